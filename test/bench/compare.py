#!/usr/bin/env python3
"""Times our objects, and where it is present ONNX Runtime, on the same networks in interleaved rounds.

    compare.py --quern build/quern --models ../shared/models \\
               [--ort BENCH_ORT --onnx ../shared/peers/ort/onnx] [NETWORK ...]

Prints per network the smallest time of all rounds for each, in microseconds, the ratio ours / theirs, and how much
of this machine's peak of multiply-adds ours comes to, both measured in one run of `quern run --profile`.
Times mean nothing across machines; the ratio of minima taken in one run does.  BENCH_ORT is the program of
../shared/peers/ort, built as its README says, with ORT_LIB set.  One thread each.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
RUNTIME = HERE.parent.parent / "runtime"
NETWORKS = ["kws_int8", "ic_int8", "vww_int8", "ad_int8"]


def build(args, network, folder):
    """The timing program for one network; its path."""
    model, program = folder / f"{network}.o", folder / network
    source = pathlib.Path(args.models) / f"{network}.tflite"
    subprocess.run([args.quern, "compile", source, "-o", model, "--target", args.target, "--optimize",
                    args.optimize, "--floats", args.floats, "--name", network], check=True)
    subprocess.run(["cc", "-O2", "-I", RUNTIME, f"-DMODEL={network}_model", HERE / "time_model.c", model,
                    "-o", program], check=True)
    return program


def output_of(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def peak_share(args, network):
    model = pathlib.Path(args.models) / f"{network}.tflite"
    text = output_of([args.quern, "run", model, "--profile", "--json", "--optimize", args.optimize, "--floats",
                       args.floats])
    return json.loads(text)["peak_share"]


def ort_time(args, network):
    """ONNX Runtime's smallest time for a network, or None where there is no such model."""
    paths = list(pathlib.Path(args.onnx).glob(f"{network}.*.onnx"))
    if not args.ort or not paths:
        return None
    line = output_of([args.ort, "--seconds", str(args.seconds), "--runs", "50", "--rounds", "1", paths[0]])
    return float(line.split("\n")[-2].split()[3])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quern", default="build/quern")
    parser.add_argument("--models", default="../shared/models")
    parser.add_argument("--target", default="host")
    parser.add_argument("--optimize", default="balanced")
    parser.add_argument("--floats", default="exact")
    parser.add_argument("--ort")
    parser.add_argument("--onnx", default="../shared/peers/ort/onnx")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    args = parser.parse_args()

    best = {}
    with tempfile.TemporaryDirectory() as folder:
        programs = {n: build(args, n, pathlib.Path(folder)) for n in args.networks}
        for _ in range(args.rounds):
            for network, program in programs.items():
                ours = float(output_of([program, str(args.seconds)]))
                theirs = ort_time(args, network)
                old = best.get(network, (ours, theirs))
                best[network] = min(ours, old[0]), theirs and min(theirs, old[1])
    print(f"{'network':<18}{'ours us':>10}{'ORT us':>10}{'ours/ORT':>10}{'peak':>8}")
    for network, (ours, theirs) in best.items():
        peer = f"{theirs:>10.1f}{ours / theirs:>10.2f}" if theirs else f"{'-':>10}{'-':>10}"
        print(f"{network:<18}{ours:>10.1f}{peer}{100 * peak_share(args, network):>6.0f} %")


if __name__ == "__main__":
    main()
