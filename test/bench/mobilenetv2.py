#!/usr/bin/env python3
"""mobilenetv2.py FOLDER [SIZE [WIDTH]]: a MobileNetV2 with random weights, to time and to compile.

Writes FOLDER/mobilenetv2.yaml, its .safetensors, and noise.npy, two pictures of noise to calibrate on.
SIZE: of the pictures, 224; WIDTH: the multiplier of all channels, 1.0. Table 2 of Sandler et al., "MobileNetV2:
Inverted Residuals and Linear Bottlenecks" (2018), batch normalisation folded: 3.5 million weights, 300
million multiply-adds. The weights are the same every time.
"""
import array
import json
import random
import struct
import sys

BLOCKS = [  # expansion, channels, repeats, stride
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


def channels(wanted, width):
    """The multiple of 8 next to wanted * width that is not more than 10 % below it, as in the paper's code."""
    n = max(8, int(wanted * width + 4) // 8 * 8)
    return n + 8 if n < 0.9 * wanted * width else n


class Network:
    def __init__(self):
        self.random, self.layers, self.header, self.data = random.Random(1), [], {}, bytearray()

    def tensor(self, name, dims, limit):
        count = 1
        for d in dims:
            count *= d
        draw = self.random.random
        values = array.array("f", ((2 * draw() - 1) * limit for _ in range(count)))
        begin = len(self.data)
        self.data += values.tobytes()
        self.header[name] = {"dtype": "F32", "shape": dims, "data_offsets": [begin, len(self.data)]}

    def layer(self, op, name, x, dims, out, more):
        """Weights uniform in what keeps the variance through a ReLU (He et al. 2015), a tenth of that as bias."""
        fan_in = dims[1] * dims[2] if op == "depthwise_conv2d" else dims[-1] * dims[1] * dims[2] if len(dims) == 4 else dims[1]
        limit = (6 / fan_in) ** 0.5
        self.tensor(f"{name}.w", dims, limit)
        self.tensor(f"{name}.b", [out], limit / 10)
        self.layers.append(f"  - {op}: {{name: {name}, x: {x}, w: {name}.w, b: {name}.b{more}}}")
        return name


def build(width):
    net = Network()
    relu6 = ", activation: relu6"
    wide = channels(32, width)
    x = net.layer("conv2d", "first", "image", [wide, 3, 3, 3], wide, ", stride: [2, 2], padding: same" + relu6)
    index = 0
    for expansion, wanted, repeats, stride in BLOCKS:
        out = channels(wanted, width)
        for i in range(repeats):
            index += 1
            name, y, inner = f"block{index}", x, wide * expansion
            if expansion > 1:
                y = net.layer("conv2d", f"{name}.expand", y, [inner, 1, 1, wide], inner, relu6)
            step = stride if i == 0 else 1
            y = net.layer("depthwise_conv2d", f"{name}.depthwise", y, [1, 3, 3, inner], inner,
                          f", stride: [{step}, {step}], padding: same" + relu6)
            y = net.layer("conv2d", f"{name}.project", y, [out, 1, 1, inner], out, "")
            if step == 1 and wide == out:
                net.layers.append(f"  - add: {{name: {name}, a: {x}, b: {y}}}")
                y = name
            x, wide = y, out
    last = channels(1280, max(width, 1.0))
    x = net.layer("conv2d", "last", x, [last, 1, 1, wide], last, relu6)
    net.layers.append(f"  - mean: {{name: pooled, x: {x}, axes: [1, 2]}}")
    net.layer("dense", "logits", "pooled", [1000, last], 1000, "")
    return net


def write_noise(path, size):
    source = random.Random(2)
    values = array.array("f", (source.random() * 2 - 1 for _ in range(2 * size * size * 3)))
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (2, {size}, {size}, 3), }}".encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    with open(path, "wb") as to:
        to.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + values.tobytes())


def main():
    folder = sys.argv[1]
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 224
    net = build(float(sys.argv[3]) if len(sys.argv) > 3 else 1.0)
    with open(f"{folder}/mobilenetv2.safetensors", "wb") as to:
        header = json.dumps(net.header).encode()
        to.write(struct.pack("<Q", len(header)) + header + net.data)
    with open(f"{folder}/mobilenetv2.yaml", "w") as to:
        to.write("quern: 1\nmodel: mobilenetv2\nweights: mobilenetv2.safetensors\n"
                 f"inputs: {{image: \"f32[1,{size},{size},3]\"}}\nlayers:\n" + "\n".join(net.layers) +
                 "\noutputs: [logits]\n")
    write_noise(f"{folder}/noise.npy", size)


main()
