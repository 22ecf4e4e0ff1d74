"""top1.py FOLDER: how many of output.npy's largest elements are labels.npy's classes."""
import sys

import numpy as np

output, labels = (np.load(f"{sys.argv[1]}/{name}.npy") for name in ("output", "labels"))
print("reference", int((output.argmax(axis=1) == labels).sum()))
