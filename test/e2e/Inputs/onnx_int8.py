"""onnx_int8.py SHARED NETWORK COUNT...: the uint8 ONNX file of each network, compiled under the contract `float` and
run here on the first COUNT samples; prints the answers' FNV-1a and how often the largest answer is the one of the int8
TFLite file that the network was made of."""

import subprocess
import sys

import numpy as np

shared = sys.argv[1]
for net, count in zip(sys.argv[2::2], map(int, sys.argv[3::2])):
    golden = np.load(f"{shared}/golden/{net}_int8/output.npy")[:count]
    samples = np.load(f"{shared}/golden/{net}_int8/input.npy")[:count]
    np.save("x.npy", (samples.astype(np.int16) + 128).astype(np.uint8))
    subprocess.run(["quern", "run", f"{shared}/peers/ort/onnx/{net}_int8.u8.onnx", "--contract", "float",
                    "-i", "x.npy", "-o", "y.npy"], check=True)
    answers = np.load("y.npy")
    checksum = 2166136261
    for byte in answers.tobytes():
        checksum = (checksum ^ byte) * 16777619 % 2**32
    agree = (answers.reshape(count, -1).argmax(1) == golden.reshape(count, -1).argmax(1)).sum()
    print(f"{net}: {answers.dtype} {checksum:08x}, {agree} of {count} agree")
