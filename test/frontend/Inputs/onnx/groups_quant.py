"""Cases of quantization. Scales are such that no result lies on a tie, which contracts round differently."""

import numpy as np

from groups import case, conv, f32, ints, normal, node, pool
from reference import dequantize, quantize

FLOAT = {"args": ["--contract", "float"]}


class Graph:
    """Nodes and constants as they are added; every tensor's exact reals beside its name."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def const(self, name, value):
        self.constants[name] = value
        return name

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(node(op, inputs, [output], **attributes))
        return output

    def scales(self, name, scale, zero, dtype):
        return [self.const(name + "_s", f32(scale)), self.const(name + "_z", np.asarray(zero, dtype))]

    def quantize(self, x, scale, zero, dtype, **attributes):
        return self.add("QuantizeLinear", [x] + self.scales(x, scale, zero, dtype), x + "_q", **attributes)

    def dequantize(self, x, scale, zero, dtype, **attributes):
        return self.add("DequantizeLinear", [x] + self.scales(x + "d", scale, zero, dtype), x + "_r", **attributes)


def stored(random, shape, dtype):
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max + 1, shape).astype(dtype)


def qdq_layer(random, x_shape, w_shape, op, reals, dtype=np.uint8, zeros=(110, 130), w_axis=0, **attributes):
    """x stored -> reals -> op with int8 weights, a scale each, and an int32 bias -> stored."""
    g = Graph()
    channels = w_shape[w_axis]
    x, w = stored(random, x_shape, dtype), stored(random, w_shape, np.int8)
    b = random.integers(-2000, 2000, channels).astype(np.int32)
    xs, ys, ws = np.float32(0.037), np.float32(2.1), f32(random.uniform(0.002, 0.02, channels))
    none = np.zeros(channels)
    names = [g.dequantize("x", xs, zeros[0], dtype), g.dequantize(g.const("w", w), ws, none, np.int8, axis=w_axis),
             g.dequantize(g.const("b", b), xs * ws, none, np.int32, axis=0)]
    g.add(op, names, "y", **attributes)
    g.quantize("y", ys, zeros[1], dtype)
    y = reals(dequantize(x, xs, zeros[0]), dequantize(w, ws, none, w_axis), dequantize(b, xs * ws, none, 0))
    return g.nodes, g.constants, {"x": x}, {"y_q": quantize(y, ys, zeros[1], dtype)}, FLOAT


@case("quant")
def qdq_conv_uint8(random):
    return qdq_layer(random, (1, 3, 5, 5), (4, 3, 3, 3), "Conv", lambda x, w, b: conv(x, w, b, pads=[1, 1, 1, 1]),
                     pads=[1, 1, 1, 1])


@case("quant")
def qdq_conv_int8(random):
    return qdq_layer(random, (1, 3, 5, 5), (4, 3, 3, 3), "Conv", conv, np.int8, (-7, 20))


@case("quant")
def qdq_depthwise(random):
    return qdq_layer(random, (1, 3, 5, 5), (3, 1, 2, 2), "Conv", lambda x, w, b: conv(x, w, b, group=3), group=3)


@case("quant")
def qdq_conv_1d(random):
    return qdq_layer(random, (1, 3, 8), (4, 3, 3), "Conv", conv)


@case("quant")
def qdq_gemm(random):
    return qdq_layer(random, (2, 6), (6, 4), "Gemm", lambda x, w, b: x @ w + b, w_axis=1)


@case("quant")
def qdq_gemm_turned(random):
    return qdq_layer(random, (2, 6), (4, 6), "Gemm", lambda x, w, b: x @ w.T + b, transB=1)


@case("quant")
def qdq_flatten_gemm(random):
    """The stored picture's order goes into the stored weights, scales and all."""
    g = Graph()
    x, w, k = stored(random, (1, 2, 3, 4), np.int8), stored(random, (3, 24), np.int8), stored(random, (2, 2, 1, 1), np.int8)
    ws = f32([0.01, 0.02, 0.03])
    g.add("Conv", [g.dequantize("x", 0.05, 3, np.int8), g.dequantize(g.const("k", k), 0.01, 0, np.int8)], "a")
    g.add("Flatten", [g.quantize("a", 0.1, -5, np.int8)], "f")
    g.add("Gemm", [g.dequantize("f", 0.1, -5, np.int8),
                   g.dequantize(g.const("w", w), ws, np.zeros(3), np.int8, axis=0)], "y", transB=1)
    g.quantize("y", 0.31, 1, np.int8)
    a = quantize(conv(dequantize(x, np.float32(0.05), 3), dequantize(k, np.float32(0.01), 0)), np.float32(0.1), -5, np.int8)
    y = dequantize(a, np.float32(0.1), -5).reshape(1, -1) @ dequantize(w, ws, np.zeros(3), 0).T
    return g.nodes, g.constants, {"x": x}, {"y_q": quantize(y, np.float32(0.31), 1, np.int8)}, FLOAT


@case("quant")
def float_ends(random):
    """Reals in, reals out; the weights are floats that the file quantizes and dequantizes."""
    g = Graph()
    x, w = normal(random, 2, 5), normal(random, 5, 3)
    ws = f32([0.011, 0.017, 0.023])
    g.dequantize(g.quantize("x", 0.02, 128, np.uint8), 0.02, 128, np.uint8)
    g.dequantize(g.quantize(g.const("w", w), ws, np.zeros(3), np.int8, axis=1), ws, np.zeros(3), np.int8, axis=1)
    g.add("MatMul", ["x_q_r", "w_q_r"], "y")
    x8 = dequantize(quantize(x, np.float32(0.02), 128, np.uint8), np.float32(0.02), 128)
    w8 = dequantize(quantize(w, ws, np.zeros(3), np.int8, 1), ws, np.zeros(3), 1)
    return g.nodes, g.constants, {"x": x}, {"y": f32(x8 @ w8)}


@case("quant")
def weights_uint8(random):
    """One zero point that is not 0: stored alike."""
    g = Graph()
    x, w = stored(random, (2, 5), np.uint8), stored(random, (5, 3), np.uint8)
    g.add("MatMul", [g.dequantize("x", 0.02, 3, np.uint8), g.dequantize(g.const("w", w), 0.01, 100, np.uint8)], "y")
    g.quantize("y", 0.11, 99, np.uint8)
    y = dequantize(x, np.float32(0.02), 3) @ dequantize(w, np.float32(0.01), 100)
    return g.nodes, g.constants, {"x": x}, {"y_q": quantize(y, np.float32(0.11), 99, np.uint8)}, FLOAT


@case("quant")
def weights_with_zero_points(random):
    """Several zero points that are not 0: the weights become reals."""
    g = Graph()
    x, w, ws, wz = normal(random, 2, 5), stored(random, (3, 5), np.int8), f32([0.01, 0.02, 0.03]), [1, -2, 3]
    g.add("Gemm", ["x", g.dequantize(g.const("w", w), ws, wz, np.int8, axis=0)], "y", transB=1)
    return g.nodes, g.constants, {"x": x}, {"y": f32(x @ dequantize(w, ws, wz, 0).T)}


@case("quant")
def moves_of_stored(random):
    """Moved, and their maximum taken, as uint8, before anything says what they are worth."""
    g = Graph()
    x = stored(random, (1, 4, 6, 2), np.uint8)
    g.add("Transpose", ["x"], "t", perm=[0, 3, 1, 2])
    g.add("MaxPool", ["t"], "p", kernel_shape=[2, 2], strides=[2, 2])
    g.add("Reshape", ["p", g.const("s", ints(1, -1))], "y")
    g.dequantize("y", 0.25, 10, np.uint8)
    y = pool(x.transpose(0, 3, 1, 2).astype(np.float64), [2, 2], "max", [2, 2]).reshape(1, -1).astype(np.uint8)
    return g.nodes, g.constants, {"x": x}, {"y": y, "y_r": f32(dequantize(y, 0.25, 10))}


@case("quant")
def moves_of_dequantized(random):
    """Between a dequantize and the same quantize they move stored values: nothing is rounded."""
    g = Graph()
    x = stored(random, (1, 3, 4, 5), np.int8)
    g.add("Concat", [g.dequantize("x", 0.1, 4, np.int8), "x_r"], "c", axis=1)
    g.add("Slice", ["c", g.const("b", ints(1)), g.const("e", ints(5)), g.const("a", ints(1))], "y")
    g.quantize("y", 0.1, 4, np.int8)
    return g.nodes, g.constants, {"x": x}, {"y_q": np.concatenate([x, x], 1)[:, 1:5]}


@case("quant")
def maximum_of_dequantized(random):
    """Of stored values, it is one; the quantize that follows has another scale."""
    g = Graph()
    x = stored(random, (1, 3, 4, 6), np.int8)
    g.add("MaxPool", [g.dequantize("x", 0.1, 4, np.int8)], "p", kernel_shape=[2, 2])
    g.add("GlobalMaxPool", ["p"], "y")
    g.quantize("p", 0.21, -9, np.int8)
    real = dequantize(x, np.float32(0.1), 4)
    p = pool(real, [2, 2], "max")
    return (g.nodes, g.constants, {"x": x}, {"p_q": quantize(p, np.float32(0.21), -9, np.int8),
                                             "y": f32(p.max(axis=(2, 3), keepdims=True))}, FLOAT)


@case("quant")
def pad_of_dequantized(random):
    """With a number that no stored value stands for."""
    g = Graph()
    x = stored(random, (1, 5), np.int8)
    g.add("Pad", [g.dequantize("x", 0.1, 4, np.int8), g.const("p", ints(0, 1, 0, 2)), g.const("v", f32(-1000.03))], "y")
    return g.nodes, g.constants, {"x": x}, {"y": f32(np.pad(dequantize(x, np.float32(0.1), 4), [(0, 0), (1, 2)], constant_values=-1000.03))}


@case("quant")
def scale_in_constant_node(random):
    x = stored(random, (2, 3), np.uint8)
    nodes = [node("DequantizeLinear", ["x", "s", "z"], ["y"]), node("Constant", [], ["s"], value=f32(0.5)),
             node("Constant", [], ["z"], value=np.array(7, np.uint8))]
    return nodes[1:] + nodes[:1], {}, {"x": x}, {"y": f32(dequantize(x, 0.5, 7))}


def qlinear(random, op, shapes, reals, ys, yz, dtype=np.uint8, bias=None, domain="com.microsoft", ws=None, w_axis=0,
            **attributes):
    """op on stored x (and w, a constant) of those shapes."""
    g = Graph()
    x = stored(random, shapes[0], dtype)
    inputs, values, xs = ["x"] + g.scales("x", 0.037, 120 if dtype == np.uint8 else 5, dtype), [], np.float32(0.037)
    values.append(dequantize(x, xs, 120 if dtype == np.uint8 else 5))
    if len(shapes) > 1:
        w = stored(random, shapes[1], np.int8 if ws is not None else dtype)
        scale, zero = (f32(ws), np.zeros(len(ws))) if ws is not None else (np.float32(0.021), 99)
        inputs += [g.const("w", w)] + g.scales("w", scale, zero, w.dtype)
        values.append(dequantize(w, scale, zero, w_axis if ws is not None else None))
    result = g.scales("y", ys, yz, dtype)
    if bias:
        b = random.integers(-2000, 2000, len(ws)).astype(np.int32)
        values.append(b * np.float64(xs) * f32(ws))
        inputs = inputs + [g.const("b", b)] + result if bias == "before" else inputs + result + [g.const("b", b)]
    else:
        inputs += result
    g.add(op, inputs, "y", domain=domain, **attributes)
    return g.nodes, g.constants, {"x": x}, {"y": quantize(reals(*values), np.float32(ys), yz, dtype)}, FLOAT


@case("quant")
def qlinear_conv(random):
    return qlinear(random, "QLinearConv", [(1, 3, 5, 5), (2, 3, 3, 3)], lambda x, w, b: conv(x, w, b, pads=[1, 1, 1, 1]),
                   2.3, 131, ws=[0.011, 0.02], bias="after", domain="", pads=[1, 1, 1, 1])


@case("quant")
def qlinear_matmul(random):
    return qlinear(random, "QLinearMatMul", [(2, 6), (6, 3)], np.matmul, 1.7, 120, ws=[0.011, 0.02, 0.03], w_axis=1,
                   domain="")


@case("quant")
def qgemm(random):
    return qlinear(random, "QGemm", [(2, 6), (3, 6)], lambda x, w, b: x @ w.T + b, 1.7, 120, ws=[0.011, 0.02, 0.03],
                   bias="before", transB=1)


@case("quant")
def qlinear_add(random):
    return qlinear(random, "QLinearAdd", [(1, 3, 2, 2), (3, 1, 1)], np.add, 0.061, 100)


@case("quant")
def qlinear_mul(random):
    return qlinear(random, "QLinearMul", [(2, 7), (7,)], np.multiply, 0.083, 100)


@case("quant")
def qlinear_average(random):
    """In its operand's scale, which is what the integer op rounds in."""
    return qlinear(random, "QLinearAveragePool", [(1, 2, 4, 4)], lambda x: pool(x, [1, 3], "mean"), 0.037, 120,
                   kernel_shape=[1, 3])


@case("quant")
def qlinear_global_average(random):
    return qlinear(random, "QLinearGlobalAveragePool", [(1, 3, 4, 5)], lambda x: x.mean(axis=(2, 3), keepdims=True),
                   0.013, 100, channels_last=0)


@case("quant")
def qlinear_activations(random):
    """Sigmoid; LeakyRelu reads the same."""
    nodes, constants, x, y, options = qlinear(random, "QLinearSigmoid", [(2, 40)], lambda v: 1 / (1 + np.exp(-v)), 1 / 256, 0)
    constants.update({"l_s": f32(0.029), "l_z": np.uint8(80)})
    nodes.append(node("QLinearLeakyRelu", ["x", "x_s", "x_z", "l_s", "l_z"], ["l"], domain="com.microsoft", alpha=0.125))
    real = dequantize(x["x"], np.float32(0.037), 120)
    y["l"] = quantize(np.where(real < 0, real / 8, real), np.float32(0.029), 80, np.uint8)
    return nodes, constants, x, y, options


@case("quant")
def zero_points_left_out(random):
    """They are 0, of the type of the operand."""
    x = stored(random, (2, 40), np.int8)
    nodes = [node("QLinearSigmoid", ["x", "xs", "", "ys"], ["y"], domain="com.microsoft")]
    y = quantize(1 / (1 + np.exp(-dequantize(x, np.float32(0.037), 0))), np.float32(0.0091), 0, np.int8)
    return nodes, {"xs": f32(0.037), "ys": f32(0.0091)}, {"x": x}, {"y": y}, FLOAT
