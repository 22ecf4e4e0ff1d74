"""Random int8 networks, for comparing compiled code with the evaluator byte for byte: operations read any value before them,
more than once or as both operands, several values are results, an input may be one. No NumPy.

random_networks.py SEED COUNT QUERN_COMMAND...

Writes COUNT models mN.qn of 3 to 14 operations into the current folder, their inputs mN.in and the evaluator's answers
mN.want, for everywhere.sh.

random_networks.py SEED COUNT --only NAME,NAME... QUERN_COMMAND...   only of these operations (functions below).
"""
import math
import random
import sys

from random_layers import Model, noise, out_dims, pad_text, rescaling, write_files

MOST_ELEMENTS = 6000


class Value:
    def __init__(self, name, dims, zero, scale=0.5):
        self.name, self.dims, self.zero, self.scale = name, dims, zero, scale

    def type(self):
        return f"i8[{','.join(map(str, self.dims))}] q({self.scale}, {self.zero})"


class Network(Model):
    def __init__(self, name, rng):
        super().__init__(name, odd=rng.random() < 0.3)
        self.rng = rng
        dims = [rng.choice([1, 1, 2]), rng.randint(1, 12), rng.randint(1, 12), rng.choice([1, 3, 4, 8, 16, 24, 32, rng.randint(1, 40)])]
        self.values = [Value("%x", dims, self.any_zero())]
        self.params.append(f"%x : {self.values[0].type()}")
        self.inputs.append((dims, noise(rng, math.prod(dims))))

    def any_zero(self):
        return self.rng.choice([-128, 0, self.rng.randint(-128, 127)])

    def add(self, text, dims, zero, scale=0.5):
        if not 0 < math.prod(dims) <= MOST_ELEMENTS:
            return
        y = Value(f"%y{len(self.values)}", dims, zero, scale)
        self.values.append(y)
        self.ops.append(f"{y.name} = {text} : {y.type()}")

    def other(self, fits):
        """A value that does, maybe one that is an operand already."""
        return self.rng.choice([v for v in self.values if fits(v)])

    def return_some(self):
        """The last value and others; one twice or an input, sometimes."""
        results = [self.values[-1]] + [v for v in self.values[1:-1] if self.rng.random() < 0.15]
        results += [v for v in (self.values[0], results[0]) if self.rng.random() < 0.2]
        self.results = [(v.name, v.type()) for v in results]


def text_of(numbers):
    return str(numbers).replace(" ", "")


# ---------------------------------------------------------------- operations: of a value of rank 4

def convolution(n, x, depthwise):
    size, stride, c = n.rng.choice([1, 3, 3, 5] if depthwise else [1, 1, 3]), n.rng.choice([1, 1, 2]), x.dims[3]
    o = c if depthwise else n.rng.choice([c, 4, 8, 16, n.rng.randint(1, 40)])
    w = n.weights(n.rng, [1, size, size, o] if depthwise else [o, size, size, c])
    bias, gains, zero, text = rescaling(n.rng, n, size * size * (1 if depthwise else c), o)
    dims = [x.dims[0], *out_dims(x.dims[1:3], [size, size], [stride, stride], [1, 1], None), o]
    name = "qdepthwise_conv2d" if depthwise else "qconv2d"
    n.add(f"{name} {x.name}, {w}, {bias}, {', '.join(gains)} stride=[{stride},{stride}] padding=same {text}", dims, zero)


def conv(n, x):
    convolution(n, x, False)


def depthwise(n, x):
    convolution(n, x, True)


def padded(n, x):
    """A convolution whose window is larger than a pixel, mostly of as many channels."""
    size, stride = n.rng.choice([[3, 3], [3, 3], [3, 3], [2, 5], [4, 1]]), n.rng.choice([[1, 1], [1, 1], [2, 2], [1, 2]])
    c, o = x.dims[3], n.rng.choice([x.dims[3]] * 3 + [n.rng.randint(1, 40)])
    padding, sides = pad_text(n.rng, x.dims[1:3], size, [1, 1]) if n.rng.random() < 0.3 else ("same", None)
    w = n.weights(n.rng, [o, *size, c])
    bias, gains, zero, text = rescaling(n.rng, n, size[0] * size[1] * c, o)
    dims = [x.dims[0], *out_dims(x.dims[1:3], size, stride, [1, 1], sides), o]
    n.add(f"qconv2d {x.name}, {w}, {bias}, {', '.join(gains)} stride={text_of(stride)} padding={padding} {text}", dims, zero)


def total(n, x):
    b = n.other(lambda v: v.dims == x.dims)
    mul = [2**30, n.rng.randint(2**30, 2**31 - 1), n.rng.randint(2**30, 2**31 - 1)]
    n.add(f"{n.rng.choice(['qadd', 'qsub'])} {x.name}, {b.name} mul={text_of(mul)} shr=[0,0,{n.rng.randint(17, 19)}]", x.dims, n.any_zero())


def product(n, x):
    b = n.other(lambda v: v.dims == x.dims)
    n.add(f"qmul {x.name}, {b.name} mul={n.rng.randint(2**30, 2**31 - 1)} shr={n.rng.randint(3, 7)}", x.dims, n.any_zero())


def pool(n, x):
    name, stride = n.rng.choice(["qavg_pool2d", "qmax_pool2d"]), n.rng.choice([1, 2])
    dims = [x.dims[0], *out_dims(x.dims[1:3], [3, 3], [stride, stride], [1, 1], None), x.dims[3]]
    n.add(f"{name} {x.name} window=[3,3] stride=[{stride},{stride}] padding=same", dims, x.zero, x.scale)


def mean(n, x):
    axes = n.rng.choice([[1, 2], [3], [1]])
    dims = [1 if i in axes else d for i, d in enumerate(x.dims)]
    count = math.prod(x.dims) // math.prod(dims)
    n.add(f"qmean {x.name} axes={text_of(axes)} keep_dims=true mul={2**31 // (2 * count)} shr=0", dims, n.any_zero())


def pad(n, x):
    before, after = ([0] + [n.rng.randint(0, 2) for _ in range(3)] for _ in range(2))
    dims = [d + b + a for d, b, a in zip(x.dims, before, after)]
    n.add(f"pad {x.name} before={text_of(before)} after={text_of(after)}", dims, x.zero, x.scale)


def concat(n, x):
    axis = n.rng.randint(1, 3)
    rest = lambda v: v.dims[:axis] + v.dims[axis + 1:]
    b = n.other(lambda v: rest(v) == rest(x) and (v.zero, v.scale) == (x.zero, x.scale))
    dims = x.dims[:axis] + [x.dims[axis] + b.dims[axis]] + x.dims[axis + 1:]
    n.add(f"concat {x.name}, {b.name} axis={axis}", dims, x.zero, x.scale)


def slice_(n, x):
    begin = [0] + [n.rng.randint(0, d - 1) for d in x.dims[1:]]
    size = [x.dims[0]] + [n.rng.randint(1, d - b) for d, b in zip(x.dims[1:], begin[1:])]
    n.add(f"slice {x.name} begin={text_of(begin)} size={text_of(size)}", size, x.zero, x.scale)


def reshape(n, x):
    dims = n.rng.choice([[x.dims[0], x.dims[2], x.dims[1], x.dims[3]], [x.dims[0], 1, 1, math.prod(x.dims[1:])]])
    n.add(f"reshape {x.name} shape={text_of(dims)}", dims, x.zero, x.scale)


def transpose(n, x):
    perm = [0] + n.rng.sample([1, 2, 3], 3)
    n.add(f"transpose {x.name} perm={text_of(perm)}", [x.dims[p] for p in perm], x.zero, x.scale)


def rescaled(n, x):
    n.add(f"requantize {x.name} mul={n.rng.randint(2**30, 2**31 - 1)} shr={n.rng.randint(-1, 1)}", x.dims, n.any_zero())


def softmax(n, x):
    left = n.rng.randint(20, 25)
    least = -n.rng.randint(1, min(255, 31 << (26 - left)))
    n.add(f"qsoftmax {x.name} mul={n.rng.randint(2**30, 2**31 - 1)} left_shift={left} diff_min={least}", x.dims, -128, 0.00390625)


OPERATIONS = [conv, conv, conv, depthwise, depthwise, total, total, product, pool, mean, pad, concat, slice_, reshape, transpose,
              rescaled, softmax]


def main():
    rng, count, command, choices = random.Random(int(sys.argv[1])), int(sys.argv[2]), sys.argv[3:], OPERATIONS
    if command[0] == "--only":
        choices, command = [globals()[name] for name in command[1].split(",")], command[2:]
    for i in range(count):
        network, operations = Network(f"m{i}", rng), rng.randint(3, 14)
        while len(network.ops) < operations:
            values = network.values[-3:] if rng.random() < 0.8 else network.values
            rng.choice(choices)(network, rng.choice(values))
        network.return_some()
        write_files(network, command)


if __name__ == "__main__":
    main()
