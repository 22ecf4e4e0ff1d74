"""Tensors for tests, without NumPy.

samples.py make OUT.npy TYPE DIMS   noise, the same every time: TYPE i1, i2 or f4, DIMS 8,4,4,2
samples.py dense OUT.qn            a model whose weights are few different numbers: worth coding
samples.py join OUT N A.npy...      raw bytes: sample 0 of each file, sample 1 of each, ...
"""
import struct
import sys


def write_npy(path, descr, dims, data):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(dims)}, }}".encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)


def read_npy(path):
    raw = open(path, "rb").read()
    return raw[10 + raw[8] + 256 * raw[9]:]


def make(path, kind, dims):
    dims = [int(d) for d in dims.split(",")]
    count, state, values = 1, 12345, []
    for d in dims:
        count *= d
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        values.append((state >> 16) % 256 - 128)
    if kind == "f4":
        write_npy(path, "<f4", dims, struct.pack(f"<{count}f", *(v / 32 for v in values)))
    elif kind == "i2":
        write_npy(path, "<i2", dims, struct.pack(f"<{count}h", *(256 * v + (97 * v) % 256 for v in values)))
    else:
        write_npy(path, "|i1", dims, struct.pack(f"<{count}b", *values))


def join(path, samples, files):
    tensors = [read_npy(f) for f in files]
    with open(path, "wb") as out:
        for n in range(samples):
            for t in tensors:
                size = len(t) // samples
                out.write(t[n * size:(n + 1) * size])


def dense(path):
    weights = ", ".join(str((i * i // 7 + i // 64) % 5 - 2) for i in range(64 * 128))
    gains = ", ".join(str(i % 3 * 0.25) for i in range(64))
    with open(path, "w") as out:
        out.write(f"""model coded
const @w : i8[64,128] q(0.5, 0) = [{weights}]
const @g : f32[64] = [{gains}]
const @b : i32[64] = [{", ".join(str(100 * i) for i in range(64))}]
const @m : i32[1] = [1073741824]
const @r : i8[1] = [4]
func @main(%x : i8[1,128] q(0.5, 3)) -> (i8[1,64] q(0.5, -1), f32[1,64]) {{
  %y = qdense %x, @w, @b, @m, @r : i8[1,64] q(0.5, -1)
  %f = dequantize %y : f32[1,64]
  %z = mul %f, @g : f32[1,64]
  return %y, %z
}}
""")


def main():
    if sys.argv[1] == "make":
        make(*sys.argv[2:5])
    elif sys.argv[1] == "dense":
        dense(sys.argv[2])
    else:
        join(sys.argv[2], int(sys.argv[3]), sys.argv[4:])


if __name__ == "__main__":
    main()
