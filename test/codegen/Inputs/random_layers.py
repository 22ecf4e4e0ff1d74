#!/usr/bin/env python3
"""Random int8 layers, for comparing compiled code with the evaluator byte for byte. No NumPy.

random_layers.py SEED COUNT QUERN_COMMAND...

Writes models of up to 8 independent layers each into the current folder, runs each compiled (the given
command) and by the evaluator (the same with --interpret), and prints how many layers differ.  Shapes:
channels 1 to 257, any kernel, stride, dilation, padding and batch; every contract; multipliers for which
the results use the whole range. Of every other model half of the numbers are odd_numbers.py's.

random_layers.py SEED COUNT --only rows QUERN_COMMAND...   only 3x3 convolutions of step 1 with channels by
fours, on images that are wide enough for every kernel of such ones.

random_layers.py SEED COUNT --few ...   weights of 15 different values, which are worth coding.

random_layers.py SEED COUNT --only pools QUERN_COMMAND...   only averages and maxima over windows.

random_layers.py SEED COUNT --only elementwise QUERN_COMMAND...   only sums, products, changes of scale and lookups.

random_layers.py SEED COUNT [--only KIND] --files QUERN_COMMAND...   writes the models (mN.qn), the inputs as raw bytes
(mN.in) and the evaluator's answers (mN.want), for everywhere.sh.
random_layers.py SEED COUNT [--only rows] --chains QUERN_COMMAND...   the same of layers that follow each other, as in networks:
3x3 depthwise convolutions and others, whose operands and results are in memory and overlap where they may.
"""
import math
import random
import struct
import subprocess
import sys

import odd_numbers

MOST_WEIGHTS, MOST_MACS, MOST_INPUT = 30000, 1500000, 30000


class Model:
    """The text of one model and the file of its constants."""

    def __init__(self, name, few=False, odd=False):
        self.few, self.odd = few, odd
        self.name, self.side, self.lines = name, b"", []
        self.params, self.results, self.inputs, self.ops = [], [], [], []

    def constant(self, kind, dims, packed, quant=""):
        self.side += b"\0" * (-len(self.side) % 16)
        name = f"@c{len(self.lines)}"
        dims = ",".join(map(str, dims))
        self.lines.append(f'const {name} : {kind}[{dims}]{quant} = file("{self.name}.bin", {len(self.side)})')
        self.side += packed
        return name

    def is_odd(self, rng):
        """Whether the next numbers are."""
        return self.odd and rng.random() < 0.5

    def bytes(self, rng, dims):
        return (odd_numbers.noise if self.is_odd(rng) else noise)(rng, math.prod(dims))

    def weights(self, rng, dims):
        """Any, or of 15 different ones."""
        numbers = self.bytes(rng, dims)
        return self.constant("i8", dims, bytes(n & 0xF0 if n >> 4 != 8 else 0x90 for n in numbers) if self.few else numbers, " q(0.5, 0)")

    def write(self):
        open(f"{self.name}.bin", "wb").write(self.side)
        with open(f"{self.name}.qn", "w") as out:
            out.write(f"model {self.name}\n" + "\n".join(self.lines) + "\n")
            out.write(f"func @main({', '.join(self.params)}) -> ({', '.join(t for _, t in self.results)}) {{\n")
            out.write("".join(f"  {op}\n" for op in self.ops))
            out.write(f"  return {', '.join(v for v, _ in self.results)}\n}}\n")
        for i, (dims, data) in enumerate(self.inputs):
            write_npy(f"{self.name}.in{i}.npy", dims, data)


def write_npy(path, dims, data):
    head = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {tuple(dims)}, }}".encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)


def channels(rng):
    return rng.choice([rng.randint(1, 257), rng.randint(1, 40), 16 * rng.randint(1, 8), rng.randint(1, 8)])


def noise(rng, count):
    """Bytes of which some are extreme."""
    return bytes(rng.choice((0, 127, 128, 255)) if rng.random() < 0.1 else rng.randrange(256) for _ in range(count))


def pad_text(rng, dims, kernel, dilation, odd=False):
    kind = rng.choice(["same", "valid", "explicit"])
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    if odd:
        before, after = odd_numbers.padding(rng, dims, kernel, dilation)
        return f"[{before[0]},{after[0]},{before[1]},{after[1]}]", [n + b + a for n, b, a in zip(dims, before, after)]
    if kind == "explicit" or (kind == "valid" and any(r > n for r, n in zip(reach, dims))):
        before = [rng.randint(0, r - 1) for r in reach]
        after = [max(rng.randint(0, r - 1), r - n - b) for r, n, b in zip(reach, dims, before)]
        return f"[{before[0]},{after[0]},{before[1]},{after[1]}]", [n + b + a for n, b, a in zip(dims, before, after)]
    return kind, ([-(-n // 1) for n in dims] if kind == "valid" else None)


def out_dims(dims, kernel, stride, dilation, padded):
    if padded is None:
        return [-(-n // s) for n, s in zip(dims, stride)]
    return [(p - (k - 1) * d - 1) // s + 1 for p, k, s, d in zip(padded, kernel, stride, dilation)]


def rescaling(rng, model, taps, count):
    """Bias, multipliers and shifts as constants; the attribute text."""
    contract = rng.choice(["tflite"] * 6 + ["single", "mulhi", "float"])
    per_channel = rng.random() < 0.6
    n = count if per_channel else 1
    spread = math.sqrt(taps) * 5500
    biases = [int(rng.gauss(0, spread / 2)) for _ in range(count)]
    reals = [rng.uniform(20, 150) / spread * rng.choice([1, 1, 1, 0.01]) for _ in range(n)]
    zero = rng.choice([-128, -128, rng.randint(-128, 127)])
    low, high = rng.choice([(-128, 127), (zero, 127), (zero, rng.randint(zero, 127))])
    if contract == "mulhi":
        mul, shr = [int(r * 2**32) for r in reals], [0] * n
    else:
        split = [math.frexp(r) for r in reals]
        mul, shr = [int(m * (2**31 - 1)) for m, _ in split], [-e for _, e in split]
    if model.is_odd(rng):
        biases = odd_numbers.biases(rng, count)
    if model.is_odd(rng):
        zero = odd_numbers.zero(rng)
        low, high = odd_numbers.clamp(rng, zero)
    if model.is_odd(rng) and contract == "float":
        reals = odd_numbers.factors(rng, reals[0], n)
    elif model.is_odd(rng) and contract != "float":
        mul, shr = [odd_numbers.multiplier(rng) for _ in range(n)], odd_numbers.shifts(rng, contract, n)
    bias = model.constant("i32", [count], struct.pack(f"<{count}i", *biases))
    if contract == "float":
        gains = [model.constant("f32", [n], struct.pack(f"<{n}f", *reals))]
    else:
        gains = [model.constant("i32", [n], struct.pack(f"<{n}i", *mul)), model.constant("i8", [n], struct.pack(f"<{n}b", *shr))]
    return bias, gains, zero, f"clamp=[{low},{high}] contract={contract}"


def any_window(rng, depthwise, odd):
    """Batch, channels, size of the image, kernel, stride, dilation and groups."""
    batch, c, o = rng.choice([1, 1, 2, 3]), channels(rng), channels(rng)
    dims = [rng.randint(1, 20), rng.randint(1, 20)]
    kernel = rng.choice([[1, 1], [3, 3], [rng.randint(1, 5), rng.randint(1, 5)]])
    stride = rng.choice([[1, 1], [2, 2], [rng.randint(1, 3), rng.randint(1, 3)]])
    dilation = rng.choice([[1, 1], [1, 1], [rng.randint(1, 3), rng.randint(1, 3)]])
    groups = rng.choice([1, 1, 1, 1, 1, rng.randint(1, 4)])
    if odd:
        dims, kernel, stride, dilation = odd_numbers.window(rng)
    if depthwise:
        o = c * rng.choice([1, 1, 1, 1, 2])
    else:
        c, o = c * groups, o * groups
    return batch, c, o, dims, kernel, stride, dilation, groups


def row_window(rng):
    c, o = 4 * rng.randint(1, 16), rng.choice([4 * rng.randint(1, 16), rng.randint(4, 40)])
    return rng.choice([1, 1, 2]), c, o, [rng.randint(1, 12), rng.randint(4, 24)], [3, 3], [1, 1], [1, 1], 1


def window_op(rng, model, kind):
    depthwise = kind == "depthwise"
    index = len(model.params)
    odd = model.is_odd(rng)
    while True:
        batch, c, o, dims, kernel, stride, dilation, groups = row_window(rng) if kind == "rows" else any_window(rng, depthwise, odd)
        padding, padded = pad_text(rng, dims, kernel, dilation, odd and rng.random() < 0.3)
        out = out_dims(dims, kernel, stride, dilation, padded)
        taps = kernel[0] * kernel[1] * (1 if depthwise else c // groups)
        if (min(out) > 0 and taps * o <= MOST_WEIGHTS and batch * dims[0] * dims[1] * c <= MOST_INPUT
                and batch * out[0] * out[1] * o * taps <= MOST_MACS):
            break
    zero = odd_numbers.zero(rng) if odd else rng.choice([-128, 0, rng.randint(-128, 127)])
    x_type = f"i8[{batch},{dims[0]},{dims[1]},{c}] q(0.5, {zero})"
    attrs = f"stride=[{stride[0]},{stride[1]}] dilation=[{dilation[0]},{dilation[1]}] padding={padding}"
    attrs += f" groups={groups}" if groups > 1 and not depthwise else ""
    model.params.append(f"%x{index} : {x_type}")
    model.inputs.append(([batch, *dims, c], model.bytes(rng, [batch, *dims, c])))
    w_dims = [1, *kernel, o] if depthwise else [o, *kernel, c // groups]
    y_type = window_layer(rng, model, depthwise, (f"%y{index}", f"%x{index}"), w_dims, [batch, *out, o], attrs)
    model.results.append((f"%y{index}", y_type))


def window_layer(rng, model, depthwise, names, w_dims, y_dims, attrs):
    """Appends names[0] = a convolution of names[1]; returns its type."""
    o = y_dims[3]
    taps = math.prod(w_dims) // o
    w = model.weights(rng, w_dims)
    bias, gains, zero, text = rescaling(rng, model, taps, o)
    y_type = f"i8[{','.join(map(str, y_dims))}] q(0.5, {zero})"
    name = "qdepthwise_conv2d" if depthwise else "qconv2d"
    model.ops.append(f"{names[0]} = {name} {names[1]}, {w}, {bias}, {', '.join(gains)} {attrs} {text} : {y_type}")
    return y_type


def chain(rng, model, layers, rows):
    """So many layers, each of which reads the one before."""
    size = (lambda: 4 * rng.randint(1, 10)) if rows else (lambda: rng.randint(4, 40))
    batch, dims, c = rng.choice([1, 1, 1, 2]), [rng.randint(3, 24), rng.randint(3, 24)], size()
    if not rows and rng.random() < 0.3:
        dims[rng.randint(0, 1)] = rng.randint(1, 2)
    model.params.append(f"%x : i8[{batch},{dims[0]},{dims[1]},{c}] q(0.5, {rng.randint(-128, 127)})")
    model.inputs.append(([batch, *dims, c], noise(rng, batch * dims[0] * dims[1] * c)))
    name = "%x"
    for i in range(layers):
        depthwise = not rows and rng.random() < 0.5
        kernel = [3, 3] if depthwise or rows else rng.choice([[1, 1], [1, 1], [3, 3]])
        stride = rng.choice([[1, 1], [1, 1], [1, 1], [1, 1], [2, 2], [1, 2]]) if max(dims) > 3 and not rows else [1, 1]
        padding, padded = pad_text(rng, dims, kernel, [1, 1]) if rng.random() < 0.3 else ("same", None)
        o = c if depthwise or rng.random() < 0.3 else size()
        dims = out_dims(dims, kernel, stride, [1, 1], padded)
        attrs = f"stride=[{stride[0]},{stride[1]}] padding={padding}"
        w_dims = [1, *kernel, o] if depthwise else [o, *kernel, c]
        y_type = window_layer(rng, model, depthwise, (f"%y{i}", name), w_dims, [batch, *dims, o], attrs)
        name, c = f"%y{i}", o
    model.results.append((name, y_type))


def dense_op(rng, model):
    index = len(model.params)
    rows, k = rng.choice([1, 1, rng.randint(1, 20)]), rng.choice([rng.randint(1, 700), channels(rng)])
    o = max(1, min(channels(rng), MOST_WEIGHTS // k))
    w = model.weights(rng, [o, k])
    bias, gains, zero, text = rescaling(rng, model, k, o)
    x_type = f"i8[{rows},{k}] q(0.5, {rng.randint(-128, 127)})"
    y_type = f"i8[{rows},{o}] q(0.5, {zero})"
    model.params.append(f"%x{index} : {x_type}")
    model.inputs.append(([rows, k], model.bytes(rng, [rows, k])))
    model.ops.append(f"%y{index} = qdense %x{index}, {w}, {bias}, {', '.join(gains)} {text} : {y_type}")
    model.results.append((f"%y{index}", y_type))


def add_op(rng, model):
    """A sum or difference of two inputs of one shape, with TFLite's scales."""
    index = len(model.params)
    count = rng.choice([rng.randint(2, 300), 64 * rng.randint(1, 5), rng.randint(2, 5000)])
    scales = [rng.uniform(0.01, 0.2) for _ in range(2)]
    most = 2 * max(scales)
    reals = [scales[0] / most, scales[1] / most, most / ((1 << 20) * rng.uniform(0.05, 0.4))]
    split = [math.frexp(r) for r in reals]
    zeros = [rng.choice([-128, 0, rng.randint(-128, 127)]) for _ in range(3)]
    name, (low, high) = rng.choice(["qadd", "qsub"]), rng.choice([(-128, 127), (zeros[2], 127)])
    attrs = f"mul=[{','.join(str(int(m * (2**31 - 1))) for m, _ in split)}] shr=[{','.join(str(-e) for _, e in split)}] left_shift=20"
    dims = [[1, count]] * 2
    if model.is_odd(rng):
        zeros, dims, attrs = [odd_numbers.zero(rng) for _ in range(3)], odd_numbers.shapes(rng), odd_numbers.sum_attributes(rng)
        low, high = odd_numbers.clamp(rng, zeros[2])
    types = [f"i8[{','.join(map(str, d))}]" for d in dims]
    for i in range(2):
        model.params.append(f"%x{index + i} : {types[i]} q(0.5, {zeros[i]})")
        model.inputs.append((dims[i], model.bytes(rng, dims[i])))
    y_type = f"{types[0]} q(0.5, {zeros[2]})"
    model.ops.append(f"%y{index} = {name} %x{index}, %x{index + 1} {attrs} clamp=[{low},{high}] : {y_type}")
    model.results.append((f"%y{index}", y_type))


def pool_op(rng, model):
    """An average or a maximum over windows; inputs have stretches of the smallest value."""
    index = len(model.params)
    op, batch = rng.choice(["qavg_pool2d", "qavg_pool2d", "qmax_pool2d"]), rng.choice([1, 1, 2])
    dims, c = [rng.randint(1, 17), rng.randint(1, 17)], rng.choice([4 * rng.randint(1, 16), rng.randint(1, 20), rng.randint(1, 140)])
    kernel = rng.choice([dims, dims, [rng.randint(1, n) for n in dims]])
    stride = [rng.randint(1, 3), rng.randint(1, 3)]
    sides = [rng.randint(0, k - 1) for k in kernel for _ in range(2)]
    padding, padded = rng.choice([("valid", dims), ("valid", dims), ("same", None),
                                  (f"[{','.join(map(str, sides))}]", [dims[0] + sides[0] + sides[1], dims[1] + sides[2] + sides[3]])])
    out = out_dims(dims, kernel, stride, [1, 1], padded)
    zero, count = rng.randint(-128, 127), batch * dims[0] * dims[1] * c
    low, high = rng.choice([(-128, 127), (zero, 127), (-100, 100)])
    x_type, y_type = (f"i8[{batch},{h},{w},{c}] q(0.5, {zero})" for h, w in (dims, out))
    model.params.append(f"%x{index} : {x_type}")
    model.inputs.append(([batch, *dims, c], rng.choice([noise(rng, count), bytes([128]) * count])))
    model.ops.append(f"%y{index} = {op} %x{index} window=[{kernel[0]},{kernel[1]}] stride=[{stride[0]},{stride[1]}] "
                     f"padding={padding} clamp=[{low},{high}] : {y_type}")
    model.results.append((f"%y{index}", y_type))


def split(real, contract):
    """Multiplier and shift."""
    if contract == "mulhi":
        return (int(real * 2**32), 0) if real < 0.5 else (int(real * 2**31), -1)
    fraction, exponent = math.frexp(real)
    return int(fraction * (2**31 - 1)), -exponent


def factors(rng, op, contract):
    """What scales an elementwise operation, as attributes."""
    if op in ("qadd", "qsub"):
        reals = [rng.choice([0.5, rng.uniform(0.1, 0.99)]), rng.choice([0.5, rng.uniform(0.1, 0.99)]), rng.uniform(0.3, 1.9) * 2**-20]
        muls, shrs = zip(*(split(real, contract) for real in reals))
        whole = f"mul=[{','.join(map(str, muls))}] shr=[{','.join(map(str, shrs))}] left_shift=20"
        return f"scale=[{reals[0]:.9g},{reals[1]:.9g}]" if contract == "float" else whole
    real = rng.uniform(0.3, 3) / 128 if op == "qmul" else rng.uniform(0.1, 1.4 if contract == "tflite" else 0.99)
    return f"scale={real:.9g}" if contract == "float" else "mul={} shr={}".format(*split(real, contract))


def elementwise_op(rng, model):
    """A sum, a difference or a product, of which an operand may repeat along some dims, a change of scale or a lookup."""
    op, contract = rng.choice(["qadd", "qsub", "qmul", "qmul", "requantize", "lookup"]), rng.choice(["tflite"] * 4 + ["single", "mulhi", "float"])
    dims = [rng.randint(1, 3), rng.randint(1, 9), rng.randint(1, 9), channels(rng)]
    other = rng.choice([dims, [rng.choice([1, n]) for n in dims], [dims[0], 1, 1, dims[3]]])
    names = []
    for shape in [dims] if op in ("requantize", "lookup") else rng.choice([[dims, other], [other, dims]]):
        names.append(f"%x{len(model.params)}")
        model.params.append(f"{names[-1]} : i8[{','.join(map(str, shape))}] q(0.5, {rng.choice([-128, 0, rng.randint(-128, 127)])})")
        model.inputs.append((shape, noise(rng, math.prod(shape))))
    zero = rng.randint(-128, 127)
    low, high = rng.choice([(-128, 127), (zero, 127), (-100, 100)])
    y_type = f"i8[{','.join(map(str, dims))}] q(0.25, {zero})"
    how = f"{factors(rng, op, contract)} clamp=[{low},{high}] contract={contract}"
    if op == "lookup":
        names, how = [names[0], model.constant("i8", [256], noise(rng, 256))], ""
    model.ops.append(f"%y{len(model.ops)} = {op} {', '.join(names)} {how} : {y_type}")
    model.results.append((f"%y{len(model.ops) - 1}", y_type))


def run(model, command, form, extra):
    """Writes what the command answers to NAME.FORMi.npy."""
    inputs = [word for i in range(len(model.inputs)) for word in ("-i", f"{model.name}.in{i}.npy")]
    outputs = [word for i in range(len(model.results)) for word in ("-o", f"{model.name}.{form}{i}.npy")]
    subprocess.run([*command, f"{model.name}.qn", *extra, *inputs, *outputs], check=True)


def write_files(model, command):
    model.write()
    run(model, command, "want", ["--interpret"])
    open(f"{model.name}.in", "wb").write(b"".join(data for _, data in model.inputs))
    with open(f"{model.name}.want", "wb") as out:
        for i in range(len(model.results)):
            raw = open(f"{model.name}.want{i}.npy", "rb").read()
            out.write(raw[10 + raw[8] + 256 * raw[9]:])


def compare(model, command):
    """The operations whose results differ."""
    model.write()
    run(model, command, "got", [])
    run(model, command, "want", ["--interpret"])
    read = lambda form, i: open(f"{model.name}.{form}{i}.npy", "rb").read()
    return [model.ops[i] for i in range(len(model.results)) if read("got", i) != read("want", i)]


def main():
    rng, count, command = random.Random(int(sys.argv[1])), int(sys.argv[2]), sys.argv[3:]
    few = command[0] == "--few"
    command = command[1:] if few else command
    only = command[1] if command[0] == "--only" else None
    command = command[2:] if only else command
    chains = command[0] == "--chains"
    files = chains or command[0] == "--files"
    wrong = []
    for first in range(0, count, 8):
        model = Model(f"m{first}", few, not (few or only or chains) and first % 16 == 8)
        if chains:
            chain(rng, model, min(8, count - first), only == "rows")
            write_files(model, command[1:])
            continue
        for _ in range(min(8, count - first)):
            kind = only or rng.choice(["conv", "conv", "conv", "depthwise", "depthwise", "dense", "add"])
            if kind == "add":
                add_op(rng, model)
            elif kind == "pools":
                pool_op(rng, model)
            elif kind == "elementwise":
                elementwise_op(rng, model)
            elif kind == "dense":
                dense_op(rng, model)
            else:
                window_op(rng, model, kind)
        if files:
            write_files(model, command[1:])
        else:
            wrong += compare(model, command)
    for op in wrong:
        print(op)
    if not files:
        print(f"{count} layers, {len(wrong)} differ")


if __name__ == "__main__":
    main()
