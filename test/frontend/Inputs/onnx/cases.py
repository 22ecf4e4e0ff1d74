"""cases.py QUERN FOLDER GROUP...: the groups' cases, each a small ONNX file with a sample and NumPy's answer
(reference.py), run by the evaluator. Prints what is wrong, and for each group how many are right. QUERN of - only
writes the files.

A case is a function that returns nodes, constants, inputs and expected outputs (name -> array), and may return
the opset. Random numbers are the case's own."""

import os
import subprocess
import sys
import zlib

import numpy as np

import groups
import groups_quant  # noqa: F401, adds its cases
from onnx_writer import model


def write_case(path, case):
    nodes, constants, inputs, outputs = case[:4]
    options = dict(case[4]) if len(case) > 4 else {}
    opens = options.pop("open", False)
    command = options.pop("args", [])
    info = [(k, str(v.dtype), (["N"] if opens else [v.shape[0]]) + list(v.shape[1:])) for k, v in inputs.items()]
    info += [(k, "float32", constants[k].shape) for k in options.pop("listed", [])]  # as old files do
    results = [(k, str(v.dtype), v.shape) for k, v in outputs.items()]
    with open(path + ".onnx", "wb") as f:
        f.write(model(nodes, info, results, constants, **options))
    for kind, arrays in (("-i", inputs), ("-o", outputs)):
        for k, v in arrays.items():
            name = f"{path}.{k}.npy"
            command = command + [kind, name]
            if kind == "-i":
                np.save(name, v)
    return command


def run_case(quern, folder, name, function):
    random = np.random.default_rng(zlib.crc32(name.encode()))
    path = os.path.join(folder, name)
    case = function(random)
    command = write_case(path, case)
    if quern == "-":
        return "written"
    done = subprocess.run([quern, "run", path + ".onnx", "--interpret"] + command, capture_output=True, text=True)
    if done.returncode != 0:
        return f"exit {done.returncode}: {done.stderr.strip()}"
    for key, expected in case[3].items():
        got = np.load(f"{path}.{key}.npy")
        if got.shape != expected.shape or got.dtype != expected.dtype:
            return f"{key} is {got.dtype}{got.shape}, not {expected.dtype}{expected.shape}"
        error = np.abs(got.astype(np.float64) - expected).max() / max(1, np.abs(expected).max())
        if not error <= 2e-6:
            return f"{key} is off by {error:g} of its range"
    return "ok"


def main():
    quern, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    for group in sys.argv[3:]:
        answers = {name: run_case(quern, folder, name, f) for name, f in groups.GROUPS[group].items()}
        for name, answer in answers.items():
            if answer not in ("ok", "written"):
                print(f"{name}: {answer}")
        if quern != "-":
            print(f"{group}: {list(answers.values()).count('ok')} of {len(answers)} right")


main()
