#!/usr/bin/env python3
"""fit_costs.py RUNTIME PLUGIN PLACE[,PLACE...] OPTIONS MODEL...: rows of codegen/costs.def, for the first of some rows on boards
or emulators of everywhere.sh; all that take its costs (QN_COSTS_LIKE) can be counted together.

Runs each model (beside it NAME.in and NAME.want, as random_layers.py --files and golden.py write them) with its tuned
kernels, compiled with OPTIONS, and with the runtime's, counts every layer's instructions with QEMU's plugin (test/e2e/Inputs/calls.c), and
fits, per kernel and kind of layer, factors that are not negative to the smallest relative errors, for what the kernel may
compute at once. Networks (.tflite) weigh ten times as much as random layers. Cycles per instruction are left as they are in costs.def.
"""
import itertools
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TAPS, CHANNELS = (1, 2, 4, 8, 16), (1, 2, 3, 4, 8, 16, 32)
WORTH = 0.9  # of the error without rounding up


def measure(runtime, plugin, place, model, options):
    """What the report says of each layer, with its instructions and its weight."""
    row = place.split("@")[0]
    text = subprocess.run(["quern", "report", model, "--speed", "--json", "--target", row, *options],
                          check=True, capture_output=True, text=True).stdout
    subprocess.run(["sh", f"{HERE}/../codegen/Inputs/everywhere.sh", runtime, place, " ".join(options), model], check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, "COUNTER": plugin})
    layers, calls = json.loads(text)["layers"], [int(line) for line in open("m.calls")]
    return [{**layer, "count": count, "weight": 10 if model.endswith(".tflite") else 1} for layer, count in zip(layers, calls)]


def up(n, by):
    return -(-n // by) * by


def features(layer, taps, channels):
    """As qn_estimate_work counts them."""
    results = layer["pixels"] * up(layer["results"] // max(layer["pixels"], 1), channels)
    row_taps = layer["macs"] // max(layer["results"], 1) // layer["rows"]
    return [1, layer["pixels"], results, layer["reads"], results * layer["rows"] * up(row_taps, taps)]


def fit(layers, taps, channels, rounds):
    """Coordinate descent on the sum of squares of relative errors: that and the factors."""
    rows = [([x / layer["count"] * layer["weight"] for x in features(layer, taps, channels)], layer["weight"]) for layer in layers]
    n = range(5)
    square = [[sum(f[i] * f[j] for f, _ in rows) for j in n] for i in n]
    right = [sum(f[i] * w for f, w in rows) for i in n]
    factors = [0.0 for _ in n]
    for _ in range(rounds):
        for i in n:
            if square[i][i]:
                others = sum(square[i][j] * factors[j] for j in n if j != i)
                factors[i] = max(0.0, (right[i] - others) / square[i][i])
    return sum((w - sum(c * x for c, x in zip(factors, f))) ** 2 for f, w in rows), factors


def fit_best(layers, tuned):
    """(taps, channels), factors: of what a tuned kernel computes at once, where that explains much."""
    choice, least = (1, 1), WORTH * fit(layers, 1, 1, 300)[0]
    for ways in itertools.product(TAPS, CHANNELS) if tuned else ():
        error = fit(layers, *ways, 300)[0]
        if error < 0.999 * least:
            choice, least = ways, error
    return choice, fit(layers, *choice, 5000)[1]


def kind(layer, kernel):
    if not kernel.startswith("conv2d"):
        return "any"
    return "single" if layer["pixels"] == 1 else "point" if layer["point"] else "any"


def rows_for(row, layers, table):
    kernels = {}
    for layer in layers:
        kernel = re.sub(r"_\d+$", "", layer["kernel"])
        kernels.setdefault((kernel, kind(layer, kernel)), []).append(layer)
    order = ["single", "point", "any"]
    for (kernel, of), samples in sorted(kernels.items(), key=lambda k: (k[0][0], order.index(k[0][1]))):
        (taps, channels), factors = fit_best(samples, not kernel.endswith("_i8"))
        wrong = [abs(sum(c * x for c, x in zip(factors, features(s, taps, channels))) / s["count"] - 1)
                 for s in samples if s["weight"] > 1]
        old = re.search(f'"{row}", *"{kernel}".*, ([0-9.]+)\\)', table)
        numbers = "".join(f"{0 if c < 1e-6 else c:8.4g}," for c in factors)
        yield (f'QN_COST({f"{chr(34)}{row}{chr(34)},":17}{f"{chr(34)}{kernel}{chr(34)},":19}{of + ",":8}{taps:4},{channels:8},'
               f"{numbers} {old[1] if old else 0}) // {len(samples)} layers, networks' worst {max(wrong, default=0):.2f}")


def main():
    runtime, plugin, places = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
    open("plain.tune", "w").write("* = runtime\n")
    layers = [layer for place in places for model in sys.argv[5:] for options in (sys.argv[4].split(), ["--tuned", "plain.tune"])
              for layer in measure(runtime, plugin, place, model, options)]
    table = open(f"{HERE}/../../codegen/costs.def").read()
    print("\n".join(rows_for(places[0].split("@")[0], layers, table)))


if __name__ == "__main__":
    main()
