#!/usr/bin/env python3
"""no_slower.py QUERN [--target ROW] MODEL...: no tuned kernel takes longer on this machine than the runtime's kernel that it stands for.

Profiles each model with its tuned kernels and with `* = runtime`, in turns, and compares the smallest times of each
layer. Prints the layers whose tuned kernel is slower by more than MARGIN and by more than what a clock can tell, and
exits with 1 if there are any. What other programs take of the machine only adds to a time: as long as a layer seems
slower, more rounds are measured, up to MOST.
"""
import json
import subprocess
import sys
import tempfile

MARGIN, CLOCK_US, ROUNDS, MOST = 1.15, 0.15, 2, 12


def profile(quern, model, more):
    run = subprocess.run([quern, "run", model, "--profile", "--json", *more], check=True, capture_output=True, text=True)
    return json.loads(run.stdout)["layers"]


def is_slower(ours, plain):
    return ours["kernel"] != plain["kernel"] and ours["us"] > max(MARGIN * plain["us"], plain["us"] + CLOCK_US)


def slower_layers(quern, model, runtime, row):
    best = {}
    for done in range(1, MOST + 1):
        for which, more in ("tuned", []), ("runtime", ["--tuned", runtime]):
            for i, layer in enumerate(profile(quern, model, row + more)):
                old = best.get((which, i))
                best[which, i] = layer if not old or layer["us"] < old["us"] else old
        pairs = [(best["tuned", i], best["runtime", i]) for i in range(len(best) // 2)]
        slower = [(ours, plain) for ours, plain in pairs if is_slower(ours, plain)]
        if done >= ROUNDS and not slower:
            break
    for ours, plain in slower:
        yield f"{model} {ours['name']}: {ours['kernel']} {ours['us']:.2f} us, {plain['kernel']} {plain['us']:.2f} us"


def main():
    quern, models, row = sys.argv[1], sys.argv[2:], []
    if models[0] == "--target":
        row, models = models[:2], models[2:]
    with tempfile.NamedTemporaryFile("w", suffix=".tune") as runtime:
        runtime.write("* = runtime\n")
        runtime.flush()
        slower = [line for model in models for line in slower_layers(quern, model, runtime.name, row)]
    print("\n".join(slower) or f"no layer of {len(models)} networks is slower than its plain kernel")
    sys.exit(1 if slower else 0)


main()
