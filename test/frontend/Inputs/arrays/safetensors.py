"""safetensors.py FOLDER: data/ with .safetensors files, one per mistake, and yaml/ with a model for
each that reads the tensors a (f32[2,2]) and b (f32[2]) from it."""

import json
import os
import struct
import sys

A, B = struct.pack("<4f", 1, 2, 3, 4), struct.pack("<2f", 5, 6)
MODEL = """quern: 1
weights: ../data/{}.safetensors
inputs: {{x: "f32[1,2]"}}
layers:
  - dense: {{w: a, b: b}}
outputs: [dense]
"""


def entry(begin, end, dtype="F32", shape=(2, 2), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


B_ENTRY = entry(16, 24, shape=[2])


def raw(header, data=A + B, length=None):
    header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def make(a, b=B_ENTRY, data=A + B, **more):
    return raw(json.dumps({"a": a, "b": b, **more}), data)


def without(key):
    return {k: v for k, v in entry(0, 16).items() if k != key}


FILES = {
    "good": make(entry(0, 16), __metadata__={"format": "pt"}),
    "good_order": make(entry(8, 24), entry(0, 8, shape=[2]), B + A),
    "good_spaces": raw(json.dumps({"a": entry(0, 16), "b": B_ENTRY}) + " \n "),
    "empty": b"",
    "length": raw("{}", length=1 << 40),
    "length_over": raw("{}", b"", length=3),
    "no_object": raw("[1]"),
    "not_json": raw('{"a": {"dtype": }}'),
    "cut": raw(json.dumps({"a": entry(0, 16)})[:-1]),
    "more_behind": raw(json.dumps({"a": entry(0, 16)}) + "x"),
    "deep": raw('{"a":' * 100000),
    "entry_number": make(1),
    "dtype_missing": make(without("dtype")),
    "dtype_unknown": make(entry(0, 16, "F64")),
    "dtype_number": make(entry(0, 16, 32)),
    "shape_missing": make(without("shape")),
    "shape_text": make(entry(0, 16, shape=["2", 2])),
    "shape_fraction": make(entry(0, 16, shape=[2.5, 2])),
    "shape_negative": make(entry(0, 16, shape=[-2, -2])),
    "shape_0": make(entry(0, 0, shape=[0, 2])),
    "shape_huge": make(entry(0, 16, shape=[1 << 20, 1 << 20])),
    "shape_7": make(entry(0, 16, shape=[1, 1, 1, 1, 1, 2, 2])),
    "offsets_missing": make(without("data_offsets")),
    "offsets_3": make({**entry(0, 16), "data_offsets": [0, 8, 16]}),
    "offsets_outside": make(entry(0, 25)),
    "offsets_order": make(entry(16, 0)),
    "offsets_huge": make(entry(0, 1e30)),
    "offsets_size": make(entry(0, 12)),
    "overlap": make(entry(0, 16), entry(12, 20, shape=[2])),
    "hole": make(entry(0, 16), entry(20, 28, shape=[2]), A + bytes(4) + B),
    "data_unused": make(entry(0, 16), B_ENTRY, A + B + bytes(4)),
    "data_short": make(entry(0, 16), B_ENTRY, A + B[:4]),
    "key_unknown": make(entry(0, 16, strides=[2, 1])),
    "key_twice": raw('{"a": {"dtype": "F32", "dtype": "F32"}}'),
    "name_twice": raw('{"a": %s, "a": %s}' % (json.dumps(entry(0, 16)), json.dumps(B_ENTRY))),
    "name_long": make(entry(0, 16), **{"n" * 300: entry(24, 28, shape=[1])}),
}

for folder in ["data", "yaml"]:
    os.makedirs(os.path.join(sys.argv[1], folder))
for name, data in FILES.items():
    with open(os.path.join(sys.argv[1], "data", name + ".safetensors"), "wb") as file:
        file.write(data)
    with open(os.path.join(sys.argv[1], "yaml", name + ".yaml"), "w") as file:
        file.write(MODEL.format(name))
