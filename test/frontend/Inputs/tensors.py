"""Writes small tensor files for tests, by the formats' definitions alone.

    tensors.py OUT.safetensors w=F32:2,1,1,1:1,2  b=I32:2:7,-7  ...
    tensors.py OUT.npy F32:2,2:1,2,3,4
"""
import json
import struct
import sys

LETTERS = {"F32": "f", "F16": "e", "I8": "b", "U8": "B", "I32": "i"}
NUMPY = {"F32": "<f4", "F16": "<f2", "I8": "|i1", "U8": "|u1", "I32": "<i4"}


def parse(text):
    kind, dims, numbers = text.split(":")
    dims = [int(d) for d in dims.split(",")] if dims else []
    convert = float if kind[0] == "F" else int
    numbers = [convert(x) for x in numbers.split(",")]
    return kind, dims, struct.pack(f"<{len(numbers)}{LETTERS[kind]}", *numbers)


def write_safetensors(path, tensors):
    header, data = {}, b""
    for text in tensors:
        name, rest = text.split("=")
        kind, dims, raw = parse(rest)
        header[name] = {"dtype": kind, "shape": dims, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    raw_header = json.dumps(header).encode()
    with open(path, "wb") as to:
        to.write(struct.pack("<Q", len(raw_header)) + raw_header + data)


def write_npy(path, text):
    kind, dims, data = parse(text)
    shape = "(" + "".join(f"{d}," for d in dims) + ")"
    header = f"{{'descr': '{NUMPY[kind]}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * ((-11 - len(header)) % 64) + "\n"
    with open(path, "wb") as to:
        to.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


path = sys.argv[1]
if path.endswith(".npy"):
    write_npy(path, sys.argv[2])
else:
    write_safetensors(path, sys.argv[2:])
