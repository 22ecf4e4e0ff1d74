"""fit_costs.py RUNTIME PLUGIN PLACE OPTIONS MODEL...: rows of codegen/costs.def for a row on a board of everywhere.sh.

Runs each model (beside it NAME.in and NAME.want, as random_layers.py --files and golden.py write them) with its tuned
kernels, compiled with OPTIONS, and with the runtime's, counts every layer's instructions with QEMU's plugin (test/e2e/Inputs/calls.c), and
fits, per kernel, factors that are not negative to the smallest relative errors. Networks (.tflite) weigh ten times as
much as random layers. Cycles per instruction are left as they are in costs.def.
"""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FEATURES = ["call", "pixels", "results", "reads", "macs"]


def measure(runtime, plugin, place, model, options):
    row = place.split("@")[0]
    text = subprocess.run(["quern", "report", model, "--speed", "--json", "--target", row, *options],
                          check=True, capture_output=True, text=True).stdout
    subprocess.run(["sh", f"{HERE}/../codegen/Inputs/everywhere.sh", runtime, place, " ".join(options), model], check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, "COUNTER": plugin})
    layers, calls = json.loads(text)["layers"], [int(line) for line in open("m.calls")]
    for layer, instructions in zip(layers, calls[:len(layers)]):
        kernel = re.sub(r"_\d+$", "", layer["kernel"])
        yield kernel, [1, *(layer[f] for f in FEATURES[1:])], instructions, 10 if model.endswith(".tflite") else 1


def fit(samples):
    """Coordinate descent on relative errors."""
    rows = [([x / y * w for x in f], w) for f, y, w in samples]
    factors = [0.0] * len(FEATURES)
    for _ in range(3000):
        for i in range(len(factors)):
            square = sum(f[i] ** 2 for f, _ in rows)
            if square:
                rest = sum(f[i] * (w - sum(c * x for c, x in zip(factors, f)) + factors[i] * f[i]) for f, w in rows)
                factors[i] = max(0.0, rest / square)
    return factors


def main():
    runtime, plugin, place = sys.argv[1:4]
    open("plain.tune", "w").write("* = runtime\n")
    kernels = {}
    for model in sys.argv[5:]:
        for options in sys.argv[4].split(), ["--tuned", "plain.tune"]:
            for kernel, features, instructions, weight in measure(runtime, plugin, place, model, options):
                single = kernel.startswith("conv2d") and features[1] == 1
                kernels.setdefault((kernel, single), []).append((features, instructions, weight))
    table = open(f"{HERE}/../../codegen/costs.def").read()
    for (kernel, single), samples in sorted(kernels.items(), key=lambda k: (k[0][0], not k[0][1])):
        factors = fit(samples)
        wrong = [abs(sum(c * x for c, x in zip(factors, f)) / y - 1) for f, y, w in samples if w > 1]
        row = place.split("@")[0]
        old = re.search(f'"{row}", *"{kernel}".*, ([0-9.]+)\\)', table)
        print(f'QN_COST("{row}", "{kernel}", {"true" if single else "false"}, '
              + ", ".join(f"{c:.4g}" for c in factors) + f", {old[1] if old else 1.3})"
              f" // {len(samples)} layers, networks' worst {max(wrong, default=0):.2f}")


main()
