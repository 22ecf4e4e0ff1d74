#!/usr/bin/env python3
"""fewest.py SHARED NETWORK QUARTERS MAX_DROP [CONFIG [ROTATIONS]]: what --quantize fewest makes of a network, or, where
MAX_DROP is -, int8 with CONFIG.

The labelled samples are cut into quarters. In each of 4 rotations (or those listed, 0,2) the network is calibrated on
QUARTERS of them, judged on the others; it prints bits per weight, of the weights alone and of all constants with the
decoder, as `quern report --sizes --target cortex-m4 --weights coded` has them, and right answers with the float
network's; last the sums."""
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

shared, network, quarters, max_drop = sys.argv[1:5]
config = sys.argv[5] if len(sys.argv) > 5 else "{}"
rotations = [int(r) for r in sys.argv[6].split(",")] if len(sys.argv) > 6 else range(4)
model, data = f"{shared}/models/{network}_float.tflite", f"{shared}/golden/{network}_float"
inputs, labels = np.load(f"{data}/input.npy"), np.load(f"{data}/labels.npy").ravel().astype(np.int32)


def quern(*arguments):
    return subprocess.run(["quern", *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True).stdout


def measure(folder, calibrate):
    for name, at in ("fit", calibrate), ("test", ~calibrate):
        np.save(f"{folder}/{name}.npy", inputs[at])
        np.save(f"{folder}/{name}.labels.npy", labels[at])
    search = ["fewest", "--max-drop", max_drop, "--calibrate-labels", f"{folder}/fit.labels.npy"]
    quern("opt", model, "--config", config, "--calibrate", f"{folder}/fit.npy", "-o", f"{folder}/m.qn", "--quantize",
          *(["int8"] if max_drop == "-" else search))
    sizes = json.loads(quern("report", f"{folder}/m.qn", "--sizes", "--json", "--target", "cortex-m4", "--weights",
                             "coded"))
    answers = quern("eval", f"{folder}/m.qn", "-i", f"{folder}/test.npy", "-l", f"{folder}/test.labels.npy",
                    "--against", model)
    right = [int(re.search(rf"{line} .*\((\d+)\)", answers)[1]) for line in ("top-1", "against")]
    return [sizes["bits_per_weight"], 8 * sizes["constant_bytes"] / sizes["weights"], *right, int((~calibrate).sum())]


def show(row):
    print(f"{row[0]:.3f} bits per weight, {row[1]:.3f} with all else; {100 * row[2] / row[4]:.2f} % right, "
          f"float {100 * row[3] / row[4]:.2f} %, of {row[4]}", flush=True)


rows = []
for rotation in rotations:
    quarter = np.arange(len(inputs)) * 4 // len(inputs)
    with tempfile.TemporaryDirectory() as folder:
        rows.append(measure(folder, (quarter - rotation) % 4 >= 4 - int(quarters)))
    show(rows[-1])
show([*np.mean(rows, 0)[:2], *np.sum(rows, 0)[2:].astype(int)])
