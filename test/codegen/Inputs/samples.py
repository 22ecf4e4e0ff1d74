"""Tensors for tests, without NumPy.

samples.py make OUT.npy TYPE DIMS   noise, the same every time: TYPE i1, i2 or f4, DIMS 8,4,4,2
samples.py dense OUT.qn            a model whose weights are few different numbers: worth coding
samples.py layers OUT.qn           layers whose weights can be decoded panel by panel
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


def constant(name, dims, numbers, kind="i8", quantized=True):
    count = 1
    for d in dims:
        count *= d
    values = ", ".join(str(numbers(i)) for i in range(count))
    return f"const @{name} : {kind}{str(dims).replace(' ', '')}{' q(0.5, 0)' if quantized else ''} = [{values}]"


def layers(path):
    """8x8 pixels. Panels of 4096 bytes, 5 more by channel for bias and shift where these pay: %a, 61 channels of 144
    weights, none of whose divisors is near the 27 that fit, in 21, 21, 19; %c, 300 of 61, in 50s; %d, two results by channel,
    9 weights each, in panels of an even number; %e, 10 of 600, in 5s; %f, a dense layer of 64 rows, in one; %g has one row and is not
    streamed."""
    def channels(name, count, weights):
        return [weights, constant(f"b{name}", [count], lambda i: 37 * i % 401 - 200, "i32", False),
                constant(f"m{name}", [count], lambda i: 2**30 + i * 2654435 % 2**30, "i32", False),
                constant(f"r{name}", [count], lambda i: 4 + i % 3, "i8", False)]

    def few(i):
        return (i * i // 7 + i // 64 + i * 13) % 5 - 2
    text = ["model layers", *channels("a", 61, constant("wa", [61, 3, 3, 16], few)),
            *channels("c", 300, constant("wc", [300, 1, 1, 61], few)),
            *channels("d", 600, constant("wd", [1, 3, 3, 600], few)),
            *channels("e", 10, constant("we", [10, 1, 1, 600], few)),
            *channels("f", 40, constant("wf", [40, 10], few)),
            *channels("g", 4, constant("wg", [4, 2560], few))]
    text.append("""func @main(%x : i8[1,8,8,16] q(0.5, 3)) -> (i8[1,8,8,40] q(0.5, 1), i8[1,4] q(0.5, 0)) {
  %a = qconv2d %x, @wa, @ba, @ma, @ra padding=same : i8[1,8,8,61] q(0.5, -5)
  %c = qconv2d %a, @wc, @bc, @mc, @rc clamp=[-100,127] : i8[1,8,8,300] q(0.5, -100)
  %d = qdepthwise_conv2d %c, @wd, @bd, @md, @rd stride=[1,1] padding=same : i8[1,8,8,600] q(0.5, 7)
  %e = qconv2d %d, @we, @be, @me, @re : i8[1,8,8,10] q(0.5, 0)
  %f = qdense %e, @wf, @bf, @mf, @rf : i8[1,8,8,40] q(0.5, 1)
  %v = reshape %f shape=[1,2560] : i8[1,2560] q(0.5, 1)
  %g = qdense %v, @wg, @bg, @mg, @rg : i8[1,4] q(0.5, 0)
  return %f, %g
}
""")
    with open(path, "w") as out:
        out.write("\n".join(text))


def main():
    if sys.argv[1] == "make":
        make(*sys.argv[2:5])
    elif sys.argv[1] == "dense":
        dense(sys.argv[2])
    elif sys.argv[1] == "layers":
        layers(sys.argv[2])
    else:
        join(sys.argv[2], int(sys.argv[3]), sys.argv[4:])


if __name__ == "__main__":
    main()
