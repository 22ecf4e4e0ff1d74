"""count_layers.py SHARED RUNTIME PLUGIN PLACE NETWORK[:OPTIMIZE]=LIMIT...: instructions of every layer of int8 networks on a board,
by QEMU's plugin (calls.c).

Each network runs twice on its first sample, in a place of everywhere.sh, with its tuned kernels (by --optimize OPTIMIZE, or
balanced) and with the runtime's kernels as LLVM compiles them (`* = runtime`). Prints instructions per network and per multiply-add, and
exits with 1 if a layer takes more than its plain kernel, a network more than its LIMIT, or if `quern report --speed`
is wrong by more than 10 % for a network or 20 % for a layer that takes a twentieth of it.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def count(runtime, plugin, place, network, options):
    """Per layer that is a call: what --json says of it, and its instructions."""
    row = place.split("@")[0]
    made = subprocess.run(["quern", "compile", network, "--target", row, "-o", "m.o", "--json", *options],
                          check=True, capture_output=True, text=True)
    layers = [layer for layer in json.loads(made.stdout)["layers"] if layer["kernel"] not in (None, "", "-")]
    subprocess.run(["sh", f"{HERE}/../../codegen/Inputs/everywhere.sh", runtime, place, " ".join(options), network], check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, "COUNTER": plugin})
    calls = [int(line) for line in open("m.calls")]
    assert len(calls) == len(layers), f"{len(layers)} layers, {len(calls)} calls"
    return layers, calls


def estimate(place, network, options):
    """What the report says of each layer that is a call; nothing for rows without a table of costs."""
    text = subprocess.run(["quern", "report", network, "--speed", "--json", "--target", place.split("@")[0], *options], check=True,
                          capture_output=True, text=True).stdout
    layers = json.loads(text)["layers"]
    return [layer["instructions"] for layer in layers] if any(layer["known"] for layer in layers) else []


def misjudged(name, layers, counts, estimates):
    """Texts of what the report is wrong about."""
    if estimates and abs(sum(estimates) / sum(counts) - 1) > 0.1:
        yield f"{name}: {sum(estimates)} instructions estimated"
    for layer, ours, guess in zip(layers, counts, estimates):
        if ours > sum(counts) / 20 and abs(guess / ours - 1) > 0.2:
            yield f"{name} {layer['name']}: {guess} instructions estimated, {ours} counted"


def main():
    shared, runtime, plugin, place = sys.argv[1:5]
    open("plain.tune", "w").write("* = runtime\n")
    wrong = []
    for word in sys.argv[5:]:
        name, limit = word.split("=")
        name, _, optimize = name.partition(":")
        options = ["--optimize", optimize or "balanced"]
        subprocess.run([sys.executable, f"{HERE}/golden.py", f"{shared}/golden", f"{name}_int8", "1"], check=True)
        network = f"{shared}/models/{name}_int8.tflite"
        layers, tuned = count(runtime, plugin, place, network, options)
        others, plain = count(runtime, plugin, place, network, ["--tuned", "plain.tune"])
        macs = sum(layer["macs"] for layer in layers)
        print(f"{place.split('@')[0]} {word}: {sum(tuned)} instructions, {sum(tuned) / macs:.2f} per MAC; "
              f"plain {sum(plain)}, {sum(plain) / macs:.2f}")
        if sum(tuned) > int(limit):
            wrong.append(f"{word.replace('=', ': more than ')}")
        wrong += misjudged(name, layers, tuned, estimate(place, network, options))
        for layer, other, ours, theirs in zip(layers, others, tuned, plain):
            if ours > theirs and layer["kernel"] != other["kernel"]:
                wrong.append(f"{name} {layer['name']}: {layer['kernel']} {ours}, {other['kernel']} {theirs}")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main()
