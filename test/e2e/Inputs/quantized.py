"""quantized.py SHARED NETWORK CALIBRATE EVALUATE [agreement=LEAST] [top1=LEAST LOSS] [sqnr=LEAST] [scheme=int8]
             [OPTION...]

Quantizes a float network on some samples (FIRST:END), evaluates it on others, and fails below the limits."""
import json
import os
import subprocess
import sys

shared, network, calibrate, evaluate = sys.argv[1:5]
limits = dict(word.split("=") for word in sys.argv[5:] if "=" in word)
options = [word for word in sys.argv[5:] if "=" not in word]
model = f"{shared}/models/{network}_float.tflite"
data = f"{shared}/golden/{network}_float"
labels = ["-l", f"{data}/labels.npy@{evaluate}"] if os.path.exists(f"{data}/labels.npy") else []

command = ["quern", "eval", model, "--json", "--against", model, "-i", f"{data}/input.npy@{evaluate}", *labels,
           *([] if "--quantize" in options else ["--quantize", limits.get("scheme", "int8")]),
           "--calibrate", f"{data}/input.npy@{calibrate}", *options]
got = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
print(got)
if "agreement" in limits:
    assert got["agreement"] >= float(limits["agreement"])
if "sqnr" in limits:
    assert got["sqnr_db"][0] >= float(limits["sqnr"])
if "top1" in limits:
    assert got["top1"] >= got["against_top1"] + float(limits["top1"])
