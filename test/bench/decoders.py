#!/usr/bin/env python3
"""What each codec's decoder takes on a Cortex-M4: flash, memory, instructions.

    decoders.py --quern build/quern --models ../shared/models --harness ../shared/harness \\
                [--codec CODEC] [--check] [--host] [NETWORK ...]

One line per network (of --models, or a file) and codec:
  bits       of each weight of the network, as stored
  constants  all there is: weights, side data, tables, decoder
  decoder    bytes of code that init runs
  RAM        bytes of memory that decoding adds to those of activations and decoded weights
  insn       instructions of init by decoded weight, side data and sum included: an exact count of QEMU's, by the
             harness's plugin
--host adds what init takes here, compiled for x86-64-v3, by decoded weight: instructions, as callgrind counts them, and
nanoseconds, the least of 300 calls.
--check fails when a line is above BOUNDS.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
RUNTIME = HERE.parent.parent / "runtime"
NETWORKS = ["kws_int8", "ic_int8"]
CODECS = [line[9:line.index(",")] for line in (RUNTIME / "codecs.def").read_text().splitlines()
          if line.startswith("QN_CODEC(")]
CPU = "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard -mthumb".split()
# network, codec: bytes of constants, of decoder, of RAM, instructions. Only filters of ic are predicted.
BOUNDS = {("kws_int8", "huffman"): (24800, 700, 0, 45),
          ("ic_int8", "huffman"): (72250, 820, 0, 52),
          ("kws_int8", "rans"): (25500, 1500, 5000, 40)}


def output_of(command, **more):
    return subprocess.run([str(x) for x in command], check=True, capture_output=True, text=True, **more).stdout


def count(args, folder, memory):
    """Instructions of the model's init."""
    elf, bench = folder / "bench.elf", folder / "bench.o"
    output_of(["arm-none-eabi-gcc", *CPU, "-O2", "-I", args.harness, "-I", RUNTIME, "-DMODEL=model_model",
               f"-DMEMORY_BYTES={memory}", "-c", HERE / "decode_model.c", "-o", bench])
    build = {"HARNESS_BUILD": str(folder), "PATH": subprocess.os.environ["PATH"]}
    output_of(["sh", args.harness / "mk.sh", "m4", elf, bench, folder / "model.o"], env=build)
    (folder / "none").write_bytes(bytes(16))
    text = subprocess.run(["sh", str(args.harness / "run.sh"), "m4", str(elf), str(folder / "none"),
                           str(folder / "out"), "1"], env={**build, "PLUGIN": "1"}, check=True,
                          capture_output=True, text=True)
    runs = [line.split() for line in (text.stdout + text.stderr).splitlines() if line.startswith("INSN run 1 ")]
    return int(runs[0][4]) - 3  # what the harness adds


def compile_model(args, folder, network, *more):
    model = network if "." in network else pathlib.Path(args.models) / f"{network}.tflite"
    options = [model, "--target", "cortex-m4", "--optimize", "size", *more]
    compiled = json.loads(output_of([args.quern, "compile", *options, "--name", "model", "-o", folder / "model.o", "--json"]))
    return compiled, options


def measure_host(args, folder, network, codec):
    """Instructions and nanoseconds of the model's init on this machine."""
    model = network if "." in network else pathlib.Path(args.models) / f"{network}.tflite"
    program, at = folder / "host", folder / "host.o"
    output_of([args.quern, "compile", model, "--target", "x86-64-v3", "--weights", "coded", "--codec", codec, "--name",
               "model", "-o", at])
    output_of(["cc", "-O2", "-I", RUNTIME, "-DMODEL=model_model", HERE / "decode_host.c", at, "-o", program])
    nanoseconds = float(output_of([program, "300"]))
    counted = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                              "--toggle-collect=model_init", program, "1"], check=True, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", counted.stderr)[1]), nanoseconds


def measure(args, folder, network, codec):
    """Bits of a weight; then what BOUNDS bounds."""
    raw, _ = compile_model(args, folder, network)
    choice = ["--weights", "coded", "--codec", codec]
    split, _ = compile_model(args, folder, network, *choice, "--split-memory")
    coded, options = compile_model(args, folder, network, *choice)
    sizes = json.loads(output_of([args.quern, "report", *options, "--sizes", "--json"]))
    more = coded["memory_bytes"] - split["weights_memory_bytes"] - raw["memory_bytes"]
    host = measure_host(args, folder, network, codec) if args.host else ()
    return (sizes["weight_bits"] / sizes["weights"], sizes["constant_bytes"], sizes["decoder_bytes"], more,
            count(args, folder, coded["memory_bytes"]) / sizes["kept_weights"], *[x / sizes["kept_weights"] for x in host])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quern", default="build/quern")
    parser.add_argument("--models", default="../shared/models")
    parser.add_argument("--harness", type=lambda p: pathlib.Path(p).resolve(), default="../shared/harness")
    parser.add_argument("--codec", action="append")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--host", action="store_true")
    parser.add_argument("network", nargs="*", default=NETWORKS)
    args = parser.parse_args()
    print(f"{'network':16} {'codec':9} {'bits':>6} {'constants':>9} {'decoder':>7} {'RAM':>6} {'insn':>7}"
          + f" {'host insn':>9} {'ns':>6}" * args.host)
    missed = 0
    for network in args.network:
        for codec in args.codec or CODECS:
            with tempfile.TemporaryDirectory() as folder:
                bits, *measured = measure(args, pathlib.Path(folder), network, codec)
            print(f"{network:16} {codec:9} {bits:6.3f} {measured[0]:9} {measured[1]:7} {measured[2]:6} {measured[3]:7.1f}"
                  + "".join(f" {x:9.1f}" for x in measured[4:5]) + "".join(f" {x:6.2f}" for x in measured[5:]))
            bounds = BOUNDS.get((network, codec), measured)
            missed += any(value > bound for value, bound in zip(measured, bounds))
    return args.check and missed


if __name__ == "__main__":
    sys.exit(main())
