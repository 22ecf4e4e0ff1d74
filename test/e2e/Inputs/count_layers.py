"""count_layers.py SHARED RUNTIME PLUGIN PLACE NETWORK=LIMIT...: instructions of every layer of int8 networks on a board,
by QEMU's plugin (calls.c).

Each network runs twice on its first sample, in a place of everywhere.sh, with its tuned kernels and with the
runtime's kernels as LLVM compiles them (`* = runtime`). Prints instructions per network and per multiply-add, and
exits with 1 if a layer takes more than its plain kernel or a network more than its LIMIT.
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


def main():
    shared, runtime, plugin, place = sys.argv[1:5]
    open("plain.tune", "w").write("* = runtime\n")
    wrong = []
    for word in sys.argv[5:]:
        name, limit = word.split("=")
        subprocess.run([sys.executable, f"{HERE}/golden.py", f"{shared}/golden", f"{name}_int8", "1"], check=True)
        network = f"{shared}/models/{name}_int8.tflite"
        layers, tuned = count(runtime, plugin, place, network, [])
        others, plain = count(runtime, plugin, place, network, ["--tuned", "plain.tune"])
        macs = sum(layer["macs"] for layer in layers)
        print(f"{place.split('@')[0]} {name}: {sum(tuned)} instructions, {sum(tuned) / macs:.2f} per MAC; "
              f"plain {sum(plain)}, {sum(plain) / macs:.2f}")
        if sum(tuned) > int(limit):
            wrong.append(f"{name}: more than {limit}")
        for layer, other, ours, theirs in zip(layers, others, tuned, plain):
            if ours > theirs and layer["kernel"] != other["kernel"]:
                wrong.append(f"{name} {layer['name']}: {layer['kernel']} {ours}, {other['kernel']} {theirs}")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main()
