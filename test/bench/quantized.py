#!/usr/bin/env python3
"""quantized.py SHARED [SCHEME[:CONFIG]...]: what quantization costs, network by network.

For each scheme (ROWS when none is given; CONFIG as of --config) and network: calibrates on each of some sets of
samples, evaluates on all the others against the float network's recorded answers, and prints the means of
agreement in %, of labelled top-1 less the float network's in points (in parentheses), the result's SQNR, and the
object's bytes."""
import os
import subprocess
import sys
import tempfile

import numpy as np

MOST = 100
SETS = {  # from each at most MOST samples for calibration; the others judge
    "kws": [(0, 100), (100, 200), (200, 300), (300, 400), (400, 500)],
    "ic": [(0, 100), (300, 400), (600, 700), (900, 1000)],
    "vww": [(0, 20), (20, 40), (40, 60)],
    "vww, moved": [(0, 200), (200, 400), (400, 600)],  # ten views of each picture
    "ad": [(0, 49), (49, 98)],
}
ROWS = [
    "int8",
    "int8:{recover: []}",
    "int8:{granularity: tensor}",
    "int8:{granularity: tensor, recover: [equalize, correct-bias]}",
    "int8:{granularity: tensor, recover: []}",
    "ternary",
    "int4",
    "int4:{recover: []}",
    "int16x8",
    "dynamic:{recover: []}",
    "dynamic",
]
shared, schemes = sys.argv[1], sys.argv[2:] or ROWS
folder = tempfile.TemporaryDirectory()


def quern(*arguments):
    subprocess.run(["quern", *arguments], check=True)


def model_of(network):
    return f"{shared}/models/{network.split(',')[0]}_float.tflite"


def views_of(pictures):
    """Ten of each: as it is, and moved by 8 pixels in each direction (edges go on), all mirrored, too."""
    views = []
    for picture in pictures:
        for side in (picture, picture[:, ::-1]):
            wide = np.pad(side, ((8, 8), (8, 8), (0, 0)), mode="edge")
            for y, x in ((8, 8), (0, 8), (16, 8), (8, 0), (8, 16)):
                views.append(wide[y:y + 96, x:x + 96])
    return np.stack(views)


def load(network):
    """Samples as a file, the float network's answers, labels or None."""
    model, data = model_of(network), f"{shared}/golden/{network}_float"
    labels = np.load(f"{data}/labels.npy").ravel() if os.path.exists(f"{data}/labels.npy") else None
    if not network.startswith("vww"):
        return f"{data}/input.npy", np.load(f"{data}/output.npy"), labels
    # the int8 network's 60 images begin with the float network's 40
    pixels = np.load(f"{shared}/golden/vww_int8/input.npy").astype(np.float64)
    samples, answers = f"{folder.name}/vww.npy", f"{folder.name}/vww.out.npy"
    pictures = ((pixels + 128) / 255).astype(np.float32)
    np.save(samples, views_of(pictures) if network == "vww, moved" else pictures)
    quern("run", model, "-i", samples, "-o", answers)
    return samples, np.load(answers), labels


def measure(network, options):
    samples, wanted, labels = load(network)
    model, answers = model_of(network), f"{folder.name}/answers.npy"
    agreed = right = float_right = count = 0
    signal = noise = 0.0
    for first, end in SETS[network]:
        quantize = [*options, "--calibrate", f"{samples}@{first}:{min(end, first + MOST)}"]
        quern("run", model, *quantize, "-i", samples, "-o", answers)
        others = np.ones(len(wanted), bool)
        others[first:end] = False
        got, want = np.load(answers)[others].astype(np.float64), wanted[others].astype(np.float64)
        agreed += (got.argmax(1) == want.argmax(1)).sum()
        count += len(got)
        signal += (want ** 2).sum()
        noise += ((want - got) ** 2).sum()
        if labels is not None:
            right += (got.argmax(1) == labels[others]).sum()
            float_right += (want.argmax(1) == labels[others]).sum()
    io = {"int16x8": "int16", "dynamic": "keep", "fp16": "keep", "bf16": "keep"}.get(options[1], "int8")
    quern("compile", model, *quantize, "--io", io, "-o", f"{folder.name}/m.o")
    return write_cell(None if network == "ad" else 100 * agreed / count,  # ad has no classes
                      None if labels is None else 100 * (right - float_right) / count,
                      10 * np.log10(signal / noise), os.path.getsize(f"{folder.name}/m.o"))


def write_cell(agreement, top1, sqnr, size):
    cell = "" if agreement is None else f"{agreement:.2f} "
    cell += "" if top1 is None else f"({top1:+.2f}) "
    return f"{cell}{sqnr:.1f} dB, {size}"


print("| scheme | " + " | ".join(SETS) + " |")
print("| --- |" + " --- |" * len(SETS))
for scheme in schemes:
    name, _, config = scheme.partition(":")
    options = ["--quantize", name] + (["--config", config] if config else [])
    print(f"| {scheme} | " + " | ".join(measure(network, options) for network in SETS) + " |", flush=True)
