"""Numbers for random_layers.py such as no training makes, of which every one is allowed: multipliers of 0, of 1 and of all but
a power of two, any shift, biases anywhere in int32 (so that sums wrap), constant and saturated tensors, empty clamps but
for one value, windows that are longer than the image or read only its padding, steps that skip pixels, one pixel."""
import math

MOST = 2**31 - 1


def noise(rng, count):
    """Bytes: all equal, of few values, or only the two ends."""
    pool = rng.choice([[0], [127], [128], [rng.randrange(256)], (0, 1, 255), (0, 0, 0, 0, 5), (127, 128), (127, 128), range(256)])
    return bytes(rng.choice(pool) for _ in range(count))


def zero(rng):
    return rng.choice([-128, 0, 127, rng.randint(-128, 127)])


def clamp(rng, zero):
    return rng.choice([(-128, 127), (zero, 127), sorted(rng.randint(-128, 127) for _ in range(2)), [rng.randint(-128, 127)] * 2])


def biases(rng, count):
    kind = rng.choice(["none", "inside", "any", "ends"])
    number = {
        "none": lambda: 0,
        "inside": lambda: rng.randint(-(2**30), 2**30),
        "any": lambda: rng.randint(-(2**31), MOST),
        "ends": lambda: rng.choice([-(2**31), MOST, -(2**30), 2**30, 0]),
    }[kind]
    return [number() for _ in range(count)]


def multiplier(rng):
    return rng.choice([0, 1, 2, 3, 2**30 - 1, 2**30, MOST - 1, MOST, rng.randint(0, MOST)] + [rng.randint(2**30, MOST) for _ in range(4)])


def shifts(rng, contract, count):
    """Right shifts; negative: left."""
    low, high = {"tflite": (-31, 31), "single": (-30, 31), "mulhi": (-31, 0)}[contract]
    near, far = rng.choice([(low, high), (-3, 12), (1, 31), (22, 24), (30, 31), (0, 1), (0, 0)])
    return [max(low, min(high, rng.randint(near, far))) for _ in range(count)]


def factors(rng, usual, count):
    """Of the contract float: the usual one, and others down to what is no normal number."""
    odd = [0.0, 1e-40, 1e-30, 1e-9, 0.5, 0.999, 1.0, 1.5, 100.0, 1e30, 3e38]
    return [rng.choice([usual, usual, rng.choice(odd)]) for _ in range(count)]


def window(rng):
    """Size of the image, kernel, stride, dilation."""
    dims = rng.choice([[rng.randint(1, 12), rng.randint(1, 12)], [1, rng.randint(1, 100)], [rng.randint(1, 100), 1], [1, 1],
                       [rng.randint(1, 40), rng.randint(1, 40)]])
    kernel = rng.choice([[1, 1], [3, 3], [3, 3], [1, rng.randint(1, 40)], [rng.randint(1, 40), 1], [rng.randint(1, 9), rng.randint(1, 9)]])
    stride = rng.choice([[1, 1], [1, 1], [2, 2], [rng.randint(1, 9), rng.randint(1, 9)]])
    dilation = rng.choice([[1, 1], [1, 1], [rng.randint(1, 7), rng.randint(1, 7)]])
    return dims, kernel, stride, dilation


def padding(rng, dims, kernel, dilation):
    """Before and after the rows and the columns: whole windows that see no pixel are among it."""
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    before = [rng.randint(0, r + 2) for r in reach]
    return before, [max(rng.randint(0, r + 2), r - n - b) for r, n, b in zip(reach, dims, before)]


def shapes(rng):
    """Of the operands of a sum: the second one is repeated along dims of 1."""
    if rng.random() < 0.5:
        return [[1, rng.choice([rng.randint(1, 300), 64 * rng.randint(1, 5), rng.randint(2, 3000)])]] * 2
    dims = [rng.randint(1, 4), rng.randint(1, 9), rng.randint(1, 70)]
    return [dims, [n if rng.random() < 0.5 else 1 for n in dims]]


def sum_attributes(rng):
    contract = rng.choice(["tflite", "tflite", "tflite", "tflite", "single", "mulhi", "float"])
    if contract == "float":
        reals = [rng.choice([0.001, 0.5, 1.0, 30.0, 1e20, rng.uniform(0, 2)]) for _ in range(2)]
        return f"scale=[{reals[0]},{reals[1]}] contract=float"
    usual = [rng.randint(0, 3), rng.randint(0, 3), rng.randint(15, 19)]
    shr = rng.choice([usual, usual, [rng.randint(-5, 20) for _ in range(3)]])
    shr = [min(s, 0 if contract == "mulhi" else 31) for s in shr]
    mul = [multiplier(rng) for _ in range(3)]
    return f"mul={mul} shr={shr} left_shift={rng.choice([20, 20, 0, 5, 22])} contract={contract}".replace(", ", ",")
