#!/usr/bin/env python3
"""instructions.py CC SHARED ROWS MODELS: executed instructions of whole networks on other processors, exact.

For each of ROWS (of `quern help targets`, @N for vectors of N bits; separated by commas) and of MODELS (kws_int8,...;
their files and reference answers are in the folder SHARED) one inference is run under QEMU in user mode, with the
tuned kernels and with the runtime's plain C kernels as LLVM compiles them, and its instructions are counted by
function. Prints instructions per multiply-accumulate, what `quern report --speed` estimates of them, and the layers whose tuned
kernel takes more instructions than its plain one; exits with 1 if there are any, or if an estimate is wrong by more than 10 %. Answers must be the reference's, in every byte. quern is in PATH.
"""
import bisect
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def first_sample(path):
    """The bytes of the first sample of a .npy file."""
    raw = open(path, "rb").read()
    head = struct.unpack("<H", raw[8:10])[0]
    count = int(re.search(rb"'shape': \((\d+)", raw[10:10 + head])[1])
    body = raw[10 + head:]
    return body[:len(body) // count]


def count_by_function(program, counts):
    symbols = subprocess.run(["llvm-nm", "--defined-only", program], check=True, capture_output=True, text=True).stdout
    starts = sorted((int(at, 16), name) for at, kind, name in (line.split() for line in symbols.splitlines())
                    if kind in "tT" and not name.startswith(("$", ".L")))
    total = {}
    for line in open(counts):
        at, count = line.split()
        name = starts[bisect.bisect(starts, (int(at, 16), "\x7f")) - 1][1]
        total[name] = total.get(name, 0) + int(count)
    return total


def layers_of(summary):
    """(name, shape, function) of the layers that have one; the network's MACs."""
    rows = [line.split() for line in summary.splitlines()]
    layers = [(r[1], r[2], r[6]) for r in rows if len(r) > 7 and re.fullmatch(r"\w+_\d+", r[6])]
    return layers, int(re.search(r"(\d+) MACs", summary)[1])


def measure(shared, plugin, row, model, options):
    """Instructions of each layer, of all of the model's code; its MACs."""
    open(f"{model}.in", "wb").write(first_sample(f"{shared}/golden/{model}/input.npy"))
    open(f"{model}.want", "wb").write(first_sample(f"{shared}/golden/{model}/output.npy"))
    everywhere = [f"{HERE}/../codegen/Inputs/everywhere.sh", f"{HERE}/../../runtime", row, f"--summary {options}"]
    env = dict(os.environ, QEMU_PLUGIN=f"{plugin},to=counts")
    run = subprocess.run(["sh", *everywhere, f"{shared}/models/{model}.tflite"], env=env, capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stdout + run.stderr)
    layers, macs = layers_of(run.stdout)
    ours = subprocess.run(["llvm-nm", "--defined-only", "m.o"], check=True, capture_output=True, text=True).stdout.split()
    functions = {name: n for name, n in count_by_function("program", "counts").items() if name in ours}
    uses = [function for _, _, function in layers]
    costs = [(name, shape, function, functions.get(function, 0) / uses.count(function)) for name, shape, function in layers]
    return costs, sum(functions.values()), macs


def estimate(shared, row, model):
    command = ["quern", "report", f"{shared}/models/{model}.tflite", "--speed", "--json", "--target", row.split("@")[0]]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return sum(layer["instructions"] for layer in json.loads(text)["layers"])


def compare(shared, plugin, row, model):
    """Prints a line; the layers that cost more than plain ones, and what was estimated wrongly."""
    tuned, total, macs = measure(shared, plugin, row, model, "")
    plain, plain_total, _ = measure(shared, plugin, row, model, "--tuned runtime.tune")
    guess = estimate(shared, row, model)
    print(f"{row:16} {model:9} {total / macs:6.3f} {plain_total / macs:6.3f}  estimated {guess / total:.2f} x", flush=True)
    wrong = [f"{row} {model}: {guess:.0f} instructions estimated, {total} counted"] if abs(guess / total - 1) > 0.1 else []
    return wrong + [f"{row} {model} {name} {shape}: {function} {cost:.0f}, {other} {plain_cost:.0f}"
            for (name, shape, function, cost), (_, _, other, plain_cost) in zip(tuned, plain)
            if cost > plain_cost and function.rstrip("0123456789") != other.rstrip("0123456789")]


def main():
    cc, shared, rows, models = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3].split(","), sys.argv[4].split(",")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        plugin = f"{folder}/count.so"
        subprocess.run([cc, "-shared", "-fPIC", "-O2", f"{HERE}/count_instructions.c", "-o", plugin], check=True)
        open("runtime.tune", "w").write("* = runtime\n")
        print("instructions per multiply-accumulate: tuned, plain C kernels; the former as estimated")
        costlier = [line for row in rows for model in models for line in compare(shared, plugin, row, model)]
        os.chdir("/")
    print("\n".join(costlier) or f"no layer takes more instructions than its plain kernel")
    sys.exit(1 if costlier else 0)


main()
