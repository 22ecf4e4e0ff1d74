"""npy.py FOLDER: good/ and bad/ .npy files, one per mistake; their bytes are put together here, not by
a library."""

import os
import struct
import sys

VALUES = struct.pack("<6f", -1, 2, -3, 4, -5, 6)
HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"


def npy(header=HEADER, data=VALUES, version=1, length=None):
    size = struct.pack("<H" if version == 1 else "<I", len(header) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + data


def padded(header):
    """As NumPy writes it: the data starts at a multiple of 64."""
    return header + " " * (-(10 + len(header) + 1) % 64) + "\n"


def of(descr, shape, data, order="False"):
    return npy(f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n", data)


GOOD = {
    "plain": npy(padded(HEADER)),
    "not_aligned": npy(HEADER + "  \n"),
    "version_2": npy(padded(HEADER), version=2),
    "version_3": npy(HEADER, version=3),
    "other_order": npy('{"shape":(2,3),"fortran_order":False,"descr":"<f4"}'),
    "answer": npy(padded(HEADER), struct.pack("<6f", 0, 2, 0, 4, 0, 6)),
    "bytes": of("|u1", "(2, 3)", bytes([0, 1, 2, 3, 254, 255])),
    "bytes_answer": npy(padded(HEADER), struct.pack("<6f", 0, 1, 2, 3, 254, 255)),
}

BAD = {
    "empty": b"",
    "magic": b"\x93NUMPX" + npy()[6:],
    "version": npy(version=4),
    "ends_in_length": npy(version=2)[:10],
    "header_too_long": npy(length=1000),
    "data_short": npy()[:-1],
    "data_long": npy() + b"\0",
    "big_endian": of(">f4", "(2, 3)", VALUES),
    "doubles": of("<f8", "(2, 3)", VALUES * 2),
    "text": of("<U3", "(2, 3)", VALUES * 3),
    "long_type": of("<f4" * 20, "(2, 3)", VALUES),
    "records": npy(HEADER.replace("'<f4'", "[('a', '<f4')]")),
    "column_major": of("<f4", "(2, 3)", VALUES, "True"),
    "order_word": of("<f4", "(2, 3)", VALUES, "Maybe"),
    "dim_0": of("<f4", "(2, 0)", b""),
    "dim_negative": of("<f4", "(2, -3)", VALUES),
    "dims_huge": of("<f4", "(1000000, 1000000)", VALUES),
    "dim_too_long": of("<f4", "(" + "9" * 100 + ",)", VALUES),
    "dims_7": of("<f4", "(1, 1, 1, 1, 1, 1, 6)", VALUES),
    "shape_list": of("<f4", "[2, 3]", VALUES),
    "shape_open": of("<f4", "(2, 3", VALUES),
    "no_dict": npy("[1]"),
    "not_closed": npy(HEADER[:-1]),
    "no_colon": npy(HEADER.replace(":", "")),
    "key_unknown": npy("{'dtype': '<f4', 'fortran_order': False, 'shape': (2, 3)}"),
    "key_twice": npy(HEADER[:-1] + "'shape': (2, 3)}"),
    "key_missing": npy("{'descr': '<f4', 'fortran_order': False}"),
    "key_open": npy("{'descr"),
    "more_behind": npy(HEADER + "!"),
}

for folder, files in [("good", GOOD), ("bad", BAD)]:
    os.makedirs(os.path.join(sys.argv[1], folder))
    for name, data in files.items():
        with open(os.path.join(sys.argv[1], folder, name + ".npy"), "wb") as file:
            file.write(data)
