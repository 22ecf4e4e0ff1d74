"""Models of random float convolutions, depthwise convolutions and dense layers. No NumPy.

random_floats.py SEED COUNT

Writes COUNT models mI.qn of one layer each with inputs mI.npy (two samples stacked) into the current folder.
Weights and inputs are such that nearly every sum is rounded.
"""
import random
import struct
import sys

from random_layers import channels, out_dims, pad_text
from samples import write_npy


def noise(rng, count):
    return [rng.gauss(0, 1) for _ in range(count)]


def constant(name, dims, values):
    return f"const {name} : f32[{','.join(map(str, dims))}] = [{', '.join(f'{v:.9g}' for v in values)}]\n"


def window_layer(rng, depthwise):
    while True:
        batch, c, o = rng.choice([1, 1, 2]), channels(rng), channels(rng)
        dims = [rng.randint(1, 12), rng.randint(1, 12)]
        kernel = rng.choice([[1, 1], [3, 3], [rng.randint(1, 5), rng.randint(1, 5)]])
        stride, dilation = [rng.randint(1, 2) for _ in dims], [rng.choice([1, 1, 2]) for _ in dims]
        padding, padded = pad_text(rng, dims, kernel, dilation)
        out = out_dims(dims, kernel, stride, dilation, padded)
        o, inputs = (c, 1) if depthwise else (o, c)
        if min(out) > 0 and o * inputs * kernel[0] * kernel[1] <= 6000:
            break
    w_dims = [1, *kernel, o] if depthwise else [o, *kernel, inputs]
    name = "depthwise_conv2d" if depthwise else "conv2d"
    attrs = f"stride=[{stride[0]},{stride[1]}] dilation=[{dilation[0]},{dilation[1]}] padding={padding}"
    return [batch, *dims, c], w_dims, [batch, *out, o], name, attrs


def dense_layer(rng):
    rows, k = rng.choice([1, rng.randint(1, 20)]), rng.randint(1, 300)
    o = max(1, min(channels(rng), 6000 // k))
    return [rows, k], [o, k], [rows, o], "dense", ""


def main():
    rng, count = random.Random(int(sys.argv[1])), int(sys.argv[2])
    for i in range(count):
        kind = rng.choice(["conv", "depthwise", "dense"])
        x, w, y, op, attrs = dense_layer(rng) if kind == "dense" else window_layer(rng, kind == "depthwise")
        size = 1
        for d in w:
            size *= d
        bias = rng.random() < 0.7
        text = f"model m{i}\n" + constant("@w", w, noise(rng, size))
        text += constant("@b", y[-1:], noise(rng, y[-1])) if bias else ""
        clamp = rng.choice(["", "", " activation=relu", " activation=relu6"])
        x_type, y_type = (f"f32[{','.join(map(str, dims))}]" for dims in (x, y))
        text += f"func @main(%x : {x_type}) -> {y_type} {{\n"
        text += f"  %y = {op} %x, @w{', @b' if bias else ''} {attrs}{clamp} : {y_type}\n  return %y\n}}\n"
        open(f"m{i}.qn", "w").write(text)
        size = 1
        for d in x:
            size *= d
        write_npy(f"m{i}.npy", "<f4", [2 * x[0], *x[1:]], struct.pack(f"<{2 * size}f", *noise(rng, 2 * size)))


main()
