"""The cases of cases.py by group: what each operator is given, and what NumPy says that it answers."""

import numpy as np

from onnx_writer import node
from reference import batch_norm, channels, conv, pool, same_pads, softmax

GROUPS = {}


def case(group):
    def keep(function):
        GROUPS.setdefault(group, {})[function.__name__] = function
        return function
    return keep


def normal(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


def f32(x):
    return np.asarray(x).astype(np.float32)


def ints(*x):
    return np.array(x, np.int64)


def one(op, x, y, constants=None, opset=13, **attributes):
    """One node x, constants -> y."""
    constants = constants or {}
    return [node(op, ["x", *constants], ["y"], **attributes)], constants, {"x": x}, {"y": f32(y)}, {"opset": opset}


# ---------------------------------------------------------------- convolutions


def one_conv(random, x, w, group=1, bias=True, **attributes):
    x, w = normal(random, *x), normal(random, *w)
    constants = {"w": w}
    if bias:
        constants["b"] = normal(random, w.shape[0])
    spatial = w.ndim - 2
    stride, dilation = attributes.get("strides"), attributes.get("dilations")
    pads = attributes.get("pads")
    if "auto_pad" in attributes and attributes["auto_pad"] != "VALID":
        pads = same_pads(x.shape[2:], w.shape[2:], stride or [1] * spatial, dilation or [1] * spatial,
                         attributes["auto_pad"] == "SAME_UPPER")
    y = conv(x, w, constants.get("b"), group, stride, dilation, pads)
    if group != 1:
        attributes["group"] = group
    return one("Conv", x, y, constants, **attributes)


@case("conv")
def conv_plain(random):
    return one_conv(random, (1, 3, 5, 6), (4, 3, 3, 2), kernel_shape=[3, 2])


@case("conv")
def conv_no_bias(random):
    return one_conv(random, (1, 3, 5, 6), (4, 3, 1, 1), bias=False)


@case("conv")
def conv_strides_pads(random):
    return one_conv(random, (1, 2, 7, 6), (3, 2, 3, 3), strides=[2, 1], pads=[1, 0, 2, 1])


@case("conv")
def conv_dilations(random):
    return one_conv(random, (1, 2, 9, 8), (3, 2, 3, 2), dilations=[2, 3])


@case("conv")
def conv_groups(random):
    return one_conv(random, (1, 6, 4, 4), (9, 2, 2, 2), group=3)


@case("conv")
def conv_depthwise(random):
    return one_conv(random, (1, 5, 6, 6), (5, 1, 3, 3), group=5, pads=[1, 1, 1, 1], strides=[2, 2])


@case("conv")
def conv_depthwise_multiplier(random):
    return one_conv(random, (1, 3, 4, 5), (6, 1, 2, 2), group=3)


@case("conv")
def conv_same_upper(random):
    return one_conv(random, (1, 2, 6, 7), (2, 2, 3, 4), auto_pad="SAME_UPPER", strides=[2, 3])


@case("conv")
def conv_same_lower(random):
    return one_conv(random, (1, 2, 6, 7), (2, 2, 4, 2), auto_pad="SAME_LOWER", strides=[1, 2])


@case("conv")
def conv_valid(random):
    return one_conv(random, (1, 2, 6, 7), (2, 2, 3, 3), auto_pad="VALID")


@case("conv")
def conv_1d(random):
    return one_conv(random, (1, 3, 9), (4, 3, 3), strides=[2], pads=[1, 0], dilations=[2])


@case("conv")
def conv_1d_depthwise(random):
    return one_conv(random, (1, 4, 9), (4, 1, 3), group=4, auto_pad="SAME_UPPER")


@case("conv")
def conv_batch(random):
    return one_conv(random, (3, 2, 4, 4), (2, 2, 3, 3))


@case("conv")
def conv_open_batch(random):
    x, w = normal(random, 1, 2, 4, 4), normal(random, 2, 2, 3, 3)
    return [node("Conv", ["x", "w"], ["y"])], {"w": w}, {"x": x}, {"y": f32(conv(x, w))}, {"open": True}


@case("conv")
def conv_typed_data(random):
    x, w = normal(random, 1, 2, 4, 4), normal(random, 2, 2, 3, 3)
    return [node("Conv", ["x", "w"], ["y"])], {"w": w}, {"x": x}, {"y": f32(conv(x, w))}, {"typed": True}


@case("conv")
def conv_shared_weights(random):
    x, w = normal(random, 1, 2, 6, 6), normal(random, 2, 2, 3, 3)
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"]), node("Conv", ["b", "w"], ["y"])]
    return nodes, {"w": w}, {"x": x}, {"y": f32(conv(np.maximum(conv(x, w), 0), w))}


@case("conv")
def conv_add_bias(random):
    x, w, b = normal(random, 1, 2, 4, 4), normal(random, 3, 2, 3, 3), normal(random, 3, 1, 1)
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Add", ["b", "a"], ["y"])]
    return nodes, {"w": w, "b": b}, {"x": x}, {"y": f32(conv(x, w) + b)}


@case("conv")
def conv_add_rows(random):
    """A constant per row is no bias, though there are as many rows as channels."""
    x, w, b = normal(random, 1, 2, 4, 4), normal(random, 4, 2, 1, 1), normal(random, 4, 1)
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    return nodes, {"w": w, "b": b}, {"x": x}, {"y": f32(conv(x, w) + b)}


@case("conv")
def conv_add_bias_used_twice(random):
    """The result without the bias is needed, too."""
    x, w, b = normal(random, 1, 2, 4, 4), normal(random, 3, 2, 3, 3), normal(random, 3, 1, 1)
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["c"]), node("Mul", ["a", "c"], ["y"])]
    a = conv(x, w)
    return nodes, {"w": w, "b": b}, {"x": x}, {"y": f32(a * (a + b))}


@case("conv")
def conv_add_bias_transposed(random):
    """After a transpose of channels to the end a vector per column is no bias."""
    x, w, b = normal(random, 1, 2, 3, 3), normal(random, 3, 2, 1, 1), normal(random, 3, 1, 1)
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Transpose", ["a"], ["t"], perm=[0, 2, 3, 1]),
             node("Add", ["t", "b"], ["y"])]
    return nodes, {"w": w, "b": b}, {"x": x}, {"y": f32(conv(x, w).transpose(0, 2, 3, 1) + b)}


# ---------------------------------------------------------------- pools, normalization


def one_pool(random, op, x, kernel, opset=13, **attributes):
    x = normal(random, *x)
    y = pool(x, kernel, "max" if op == "MaxPool" else "mean", attributes.get("strides"), attributes.get("pads"),
             attributes.get("ceil_mode", 0), attributes.get("count_include_pad", 0))
    return one(op, x, y, kernel_shape=kernel, opset=opset, **attributes)


@case("pool")
def max_pool(random):
    return one_pool(random, "MaxPool", (1, 3, 6, 7), [2, 3], strides=[2, 1])


@case("pool")
def max_pool_pads(random):
    return one_pool(random, "MaxPool", (1, 3, 6, 7), [3, 3], strides=[2, 2], pads=[1, 0, 1, 2])


@case("pool")
def max_pool_ceil(random):
    return one_pool(random, "MaxPool", (1, 2, 6, 8), [3, 3], strides=[2, 2], ceil_mode=1)


@case("pool")
def max_pool_ceil_outside(random):
    """Rounded up, the last window would start behind the input: it is not there."""
    return one_pool(random, "MaxPool", (1, 2, 4, 4), [1, 1], strides=[3, 2], pads=[0, 0, 0, 0], ceil_mode=1)


@case("pool")
def max_pool_1d(random):
    return one_pool(random, "MaxPool", (1, 3, 9), [3], strides=[2], pads=[1, 1])


@case("pool")
def average_pool(random):
    return one_pool(random, "AveragePool", (1, 3, 6, 6), [2, 2], strides=[2, 2])


@case("pool")
def average_pool_pads(random):
    return one_pool(random, "AveragePool", (1, 3, 5, 5), [3, 3], pads=[1, 1, 1, 1])


@case("pool")
def average_pool_counts_pads(random):
    return one_pool(random, "AveragePool", (1, 3, 5, 5), [3, 3], pads=[1, 1, 1, 1], count_include_pad=1)


@case("pool")
def average_pool_ceil(random):
    return one_pool(random, "AveragePool", (1, 3, 6, 6), [3, 3], strides=[2, 2], ceil_mode=1)


@case("pool")
def average_pool_ceil_counts_pads(random):
    return one_pool(random, "AveragePool", (1, 3, 6, 6), [3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1,
                    count_include_pad=1)


@case("pool")
def average_pool_ceil_counts_pads_behind(random):
    """Rounded up, a third window would start in the padding behind the input: it is not there."""
    return one_pool(random, "AveragePool", (1, 2, 4, 4), [2, 2], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1,
                    count_include_pad=1)


@case("pool")
def global_average(random):
    x = normal(random, 1, 3, 4, 5)
    return one("GlobalAveragePool", x, x.mean(axis=(2, 3), keepdims=True))


@case("pool")
def global_average_1d(random):
    x = normal(random, 1, 3, 5)
    return one("GlobalAveragePool", x, x.mean(axis=2, keepdims=True))


@case("pool")
def global_max(random):
    x = normal(random, 1, 3, 4, 5)
    return one("GlobalMaxPool", x, x.max(axis=(2, 3), keepdims=True))


def norm_constants(random, c):
    return {"s": normal(random, c), "o": normal(random, c), "m": normal(random, c), "v": np.abs(normal(random, c)) + f32(0.1)}


@case("pool")
def batch_norm_alone(random):
    x, k = normal(random, 1, 3, 4, 5), norm_constants(random, 3)
    return one("BatchNormalization", x, batch_norm(x, *k.values(), 1e-5), k)


@case("pool")
def batch_norm_rows(random):
    x, k = normal(random, 2, 5), norm_constants(random, 5)
    return one("BatchNormalization", x, batch_norm(x, *k.values(), 0.25), k, epsilon=0.25)


@case("pool")
def batch_norm_after_conv(random):
    x, w, k = normal(random, 1, 2, 5, 5), normal(random, 3, 2, 3, 3), norm_constants(random, 3)
    nodes = [node("Conv", ["x", "w"], ["a"]), node("BatchNormalization", ["a", *k], ["y"], epsilon=0.001)]
    return nodes, {"w": w, **k}, {"x": x}, {"y": f32(batch_norm(conv(x, w), *k.values(), 0.001))}


# ---------------------------------------------------------------- products


@case("dense")
def gemm(random):
    x, w = normal(random, 2, 5), normal(random, 5, 3)
    return one("Gemm", x, x @ w, {"w": w})


@case("dense")
def gemm_all(random):
    x, w, c = normal(random, 2, 5), normal(random, 3, 5), normal(random, 3)
    return one("Gemm", x, 0.5 * x @ w.T + 2 * c, {"w": w, "c": c}, transB=1, alpha=0.5, beta=2.0)


@case("dense")
def gemm_scaled_bias(random):
    x, w, c = normal(random, 2, 5), normal(random, 3, 5), normal(random, 1, 3)
    return one("Gemm", x, x @ w.T + 3 * c, {"w": w, "c": c}, transB=1, beta=3.0)


@case("dense")
def gemm_turned_input(random):
    x, w, c = normal(random, 5, 2), normal(random, 5, 3), normal(random, 2, 1)
    return one("Gemm", x, x.T @ w + c, {"w": w, "c": c}, transA=1)


@case("dense")
def gemm_two_inputs(random):
    a, b = normal(random, 2, 5), normal(random, 3, 5)
    return [node("Gemm", ["a", "b"], ["y"], transB=1)], {}, {"a": a, "b": b}, {"y": f32(a @ b.T)}


@case("dense")
def matmul(random):
    x, w = normal(random, 2, 4, 5), normal(random, 5, 3)
    return one("MatMul", x, x @ w, {"w": w})


@case("dense")
def matmul_add(random):
    x, w, b = normal(random, 2, 5), normal(random, 5, 3), normal(random, 3)
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    return nodes, {"w": w, "b": b}, {"x": x}, {"y": f32(x @ w + b)}


@case("dense")
def matmul_two_inputs(random):
    a, b = normal(random, 2, 3, 4), normal(random, 2, 4, 5)
    return [node("MatMul", ["a", "b"], ["y"])], {}, {"a": a, "b": b}, {"y": f32(a @ b)}


@case("dense")
def matmul_transposed_weights(random):
    x, w = normal(random, 2, 5), normal(random, 3, 5)
    nodes = [node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["y"])]
    return nodes, {"w": w}, {"x": x}, {"y": f32(x @ w.T)}


def rows_of_picture(random, middle, turned, weights_first=False):
    """Conv, middle, Flatten, Gemm: the dense weights' columns come in ONNX's order of a picture."""
    x, k = normal(random, 1, 2, 4, 3), normal(random, 3, 2, 2, 2)
    w = normal(random, 5, 18) if turned else normal(random, 18, 5)
    nodes = [node("Conv", ["x", "k"], ["a"]), node("Flatten", ["a"], ["f"])] + [
        node(op, ["f" if i == 0 else f"m{i - 1}"], [f"m{i}"]) for i, op in enumerate(middle)]
    last = f"m{len(middle) - 1}" if middle else "f"
    nodes += [node("Gemm", [last, "w"], ["y"], transB=1) if turned else node("MatMul", [last, "w"], ["y"])]
    flat = conv(x, k).reshape(1, -1)
    for op in middle:
        flat = {"Relu": lambda v: np.maximum(v, 0), "Tanh": np.tanh}[op](flat)
    return nodes, {"k": k, "w": w}, {"x": x}, {"y": f32(flat @ (w.T if turned else w))}


@case("dense")
def flatten_gemm(random):
    return rows_of_picture(random, [], True)


@case("dense")
def flatten_matmul(random):
    return rows_of_picture(random, ["Relu", "Tanh"], False)


@case("dense")
def flatten_add_gemm(random):
    """The sum with a constant is in ONNX's order."""
    x, k, c, w = normal(random, 1, 2, 4, 3), normal(random, 3, 2, 2, 2), normal(random, 18), normal(random, 18, 5)
    nodes = [node("Conv", ["x", "k"], ["a"]), node("Flatten", ["a"], ["f"]), node("Add", ["f", "c"], ["g"]),
             node("MatMul", ["g", "w"], ["y"])]
    return nodes, {"k": k, "c": c, "w": w}, {"x": x}, {"y": f32((conv(x, k).reshape(1, -1) + c) @ w)}


@case("dense")
def flatten_output(random):
    x, k = normal(random, 1, 2, 4, 3), normal(random, 3, 2, 2, 2)
    nodes = [node("Conv", ["x", "k"], ["a"]), node("Flatten", ["a"], ["y"])]
    return nodes, {"k": k}, {"x": x}, {"y": f32(conv(x, k).reshape(1, -1))}


# ---------------------------------------------------------------- arithmetic


@case("arithmetic")
def add_picture(random):
    x, k = normal(random, 1, 2, 4, 4), normal(random, 2, 2, 3, 3)
    pads = [1, 1, 1, 1]
    nodes = [node("Conv", ["x", "k"], ["a"], pads=pads), node("Add", ["a", "x"], ["y"])]
    return nodes, {"k": k}, {"x": x}, {"y": f32(conv(x, k, pads=pads) + x)}


@case("arithmetic")
def mul_gate(random):
    """Squeeze and excite: a gate per channel, from the picture's means."""
    x, k, w = normal(random, 1, 2, 4, 4), normal(random, 3, 2, 1, 1), normal(random, 3, 3, 1, 1)
    nodes = [node("Conv", ["x", "k"], ["a"]), node("GlobalAveragePool", ["a"], ["m"]), node("Conv", ["m", "w"], ["g"]),
             node("Sigmoid", ["g"], ["s"]), node("Mul", ["s", "a"], ["y"])]
    a = conv(x, k)
    s = 1 / (1 + np.exp(-conv(a.mean(axis=(2, 3), keepdims=True), w)))
    return nodes, {"k": k, "w": w}, {"x": x}, {"y": f32(s * a)}


@case("arithmetic")
def sub_constants(random):
    """Of each number of dims, against a picture that has its channels last by then."""
    x, k = normal(random, 1, 2, 4, 4), normal(random, 3, 2, 1, 1)
    c = {"c0": normal(random), "c1": normal(random, 4), "c2": normal(random, 4, 1), "c3": normal(random, 3, 1, 1),
         "c4": normal(random, 1, 3, 4, 4)}
    nodes, y, last = [node("Conv", ["x", "k"], ["a"])], conv(x, k), "a"
    for name, value in c.items():
        nodes.append(node("Sub", [last, name], ["y" if name == "c4" else "s" + name]))
        y, last = y - value, "s" + name
    return nodes, {"k": k, **c}, {"x": x}, {"y": f32(y)}


@case("arithmetic")
def add_lower_rank(random):
    """A value, not a constant, of fewer dims."""
    x, z, k = normal(random, 1, 2, 4, 4), normal(random, 4, 4), normal(random, 3, 2, 1, 1)
    nodes = [node("Conv", ["x", "k"], ["a"]), node("Add", ["a", "z"], ["y"])]
    return nodes, {"k": k}, {"x": x, "z": z}, {"y": f32(conv(x, k) + z)}


@case("arithmetic")
def div_constant(random):
    x, c = normal(random, 2, 3), f32([4, -0.5, 3])
    return one("Div", x, x / c, {"c": c})


@case("arithmetic")
def sum_of_three(random):
    a, b = normal(random, 2, 3), normal(random, 2, 3)
    c = normal(random, 3)
    return [node("Sum", ["a", "c", "b"], ["y"])], {"c": c}, {"a": a, "b": b}, {"y": f32(a + b + c)}


@case("arithmetic")
def activations(random):
    x = 4 * normal(random, 2, 9)
    ops = {"Relu": lambda v: np.maximum(v, 0), "Sigmoid": lambda v: 1 / (1 + np.exp(-v)), "Tanh": np.tanh,
           "HardSwish": lambda v: v * np.clip(v / 6 + 0.5, 0, 1), "HardSigmoid": lambda v: np.clip(0.2 * v + 0.5, 0, 1),
           "LeakyRelu": lambda v: np.where(v < 0, np.float32(0.01) * v, v)}
    return [node(op, ["x"], [op]) for op in ops], {}, {"x": x}, {op: f32(f(x)) for op, f in ops.items()}, {"opset": 14}


@case("arithmetic")
def activation_slopes(random):
    x = 4 * normal(random, 2, 9)
    nodes = [node("HardSigmoid", ["x"], ["h"], alpha=1 / 6, beta=0.25), node("LeakyRelu", ["x"], ["l"], alpha=0.3)]
    return nodes, {}, {"x": x}, {"h": f32(np.clip(x / 6 + 0.25, 0, 1)), "l": f32(np.where(x < 0, 0.3 * x, x))}


@case("arithmetic")
def clips(random):
    x = 4 * normal(random, 2, 9)
    c = {"zero": f32(0), "six": f32(6), "low": f32(-1.5), "most": f32(3.4028235e38)}
    nodes = [node("Clip", ["x", "zero", "six"], ["relu6"]), node("Clip", ["x", "zero", "most"], ["relu"]),
             node("Clip", ["x", "low"], ["low_only"]), node("Clip", ["x", "", "six"], ["high_only"]),
             node("Clip", ["x"], ["none"])]
    y = {"relu6": np.clip(x, 0, 6), "relu": np.maximum(x, 0), "low_only": np.maximum(x, -1.5),
         "high_only": np.minimum(x, 6), "none": x}
    return nodes, c, {"x": x}, {k: f32(v) for k, v in y.items()}


@case("arithmetic")
def clip_attributes(random):
    x = 4 * normal(random, 2, 9)
    return one("Clip", x, np.clip(x, -1, 2.5), opset=10, min=-1.0, max=2.5)


@case("arithmetic")
def softmax_last(random):
    x = normal(random, 2, 3, 4)
    return one("Softmax", x, softmax(x, -1))


@case("arithmetic")
def softmax_channels(random):
    x, k = normal(random, 1, 2, 3, 3), normal(random, 4, 2, 1, 1)
    nodes = [node("Conv", ["x", "k"], ["a"]), node("Softmax", ["a"], ["y"], axis=1)]
    return nodes, {"k": k}, {"x": x}, {"y": f32(softmax(conv(x, k), 1))}


@case("arithmetic")
def softmax_middle(random):
    x = normal(random, 2, 3, 4, 5)
    return one("Softmax", x, softmax(x, 2), axis=2)


@case("arithmetic")
def softmax_old(random):
    """Before version 13 all dims from the axis on are one."""
    x = normal(random, 2, 3, 4)
    return one("Softmax", x, softmax(x.reshape(2, 12), 1).reshape(2, 3, 4), opset=11)


@case("arithmetic")
def reduce_mean(random):
    x = normal(random, 2, 3, 4, 5)
    nodes = [node("ReduceMean", ["x"], ["a"], axes=[2, 3], keepdims=0), node("ReduceMean", ["x"], ["b"], axes=[-3]),
             node("ReduceMean", ["x"], ["c"], keepdims=0, axes=[0, 2])]
    return nodes, {}, {"x": x}, {"a": x.mean(axis=(2, 3)), "b": x.mean(axis=1, keepdims=True), "c": x.mean(axis=(0, 2))}


@case("arithmetic")
def reduce_mean_channels_last(random):
    x, k = normal(random, 1, 2, 3, 4), normal(random, 5, 2, 1, 1)
    nodes = [node("Conv", ["x", "k"], ["v"])]
    y, v = {}, f32(conv(x, k))
    for axes in ([2, 3], [1], [2], [0], [3, 1]):
        for keep in (0, 1):
            name = "m" + "".join(map(str, axes)) + str(keep)
            nodes.append(node("ReduceMean", ["v"], [name], axes=axes, keepdims=keep))
            y[name] = f32(v.mean(axis=tuple(axes), keepdims=bool(keep)))
    return nodes, {"k": k}, {"x": x}, y


@case("arithmetic")
def reduce_mean_operand(random):
    x = normal(random, 2, 3, 4)
    return one("ReduceMean", x, x.mean(axis=(1, 2), keepdims=True), {"axes": ints(1, -1)}, opset=18)


@case("arithmetic")
def bounds(random):
    x = 4 * normal(random, 2, 9)
    nodes = [node("Max", ["x", "zero"], ["a"]), node("Max", ["low", "x"], ["b"]), node("Min", ["x", "high"], ["c"]),
             node("Neg", ["x"], ["d"]), node("PRelu", ["x", "slope"], ["e"])]
    c = {"zero": f32(0), "low": f32([-1.5]), "high": f32([[2]]), "slope": f32([0.25])}
    y = {"a": np.maximum(x, 0), "b": np.maximum(x, -1.5), "c": np.minimum(x, 2), "d": -x, "e": np.where(x < 0, x / 4, x)}
    return nodes, c, {"x": x}, {k: f32(v) for k, v in y.items()}


# ---------------------------------------------------------------- moves


def after_conv(random, nodes, shape=(1, 2, 4, 6), channels=3):
    """x -> Conv 1x1 -> v, and then the nodes."""
    x, k = normal(random, *shape), normal(random, channels, shape[1], 1, 1)
    return x, k, f32(conv(x, k)), [node("Conv", ["x", "k"], ["v"])] + nodes


@case("moves")
def reshapes(random):
    shapes = {"rows": ints(1, -1), "same": ints(0, 0, 0, -1), "line": ints(-1), "two": ints(3, 24),
              "picture": ints(0, 3, 8, 3), "signal": ints(1, 3, -1), "other": ints(1, 6, 3, 4)}
    x, k, v, nodes = after_conv(random, [node("Reshape", ["v", s], ["y" + s]) for s in shapes])
    y = {"rows": (1, 72), "same": (1, 3, 4, 6), "line": (72,), "two": (3, 24), "picture": (1, 3, 8, 3),
         "signal": (1, 3, 24), "other": (1, 6, 3, 4)}
    return nodes, {"k": k, **shapes}, {"x": x}, {"y" + s: v.reshape(t) for s, t in y.items()}


@case("moves")
def reshape_back(random):
    """To rows and back to a picture, which is not the order that the convolution has."""
    x, k, v, nodes = after_conv(random, [node("Flatten", ["v"], ["f"]), node("Relu", ["f"], ["r"]),
                                         node("Reshape", ["r", "s"], ["p"]), node("Conv", ["p", "k2"], ["y"])])
    k2 = normal(random, 2, 6, 1, 1)
    y = conv(np.maximum(v, 0).reshape(1, 6, 4, 3), k2)
    return nodes, {"k": k, "k2": k2, "s": ints(1, 6, 4, 3)}, {"x": x}, {"y": f32(y)}


@case("moves")
def flattens(random):
    axes = [0, 1, 2, 3, 4, -1]
    x, k, v, nodes = after_conv(random, [node("Flatten", ["v"], [f"y{i}"], axis=a) for i, a in enumerate(axes)])
    y = {f"y{i}": v.reshape(int(np.prod(v.shape[:a])) if a else 1, -1) for i, a in enumerate(axes)}
    return nodes, {"k": k}, {"x": x}, y


@case("moves")
def squeezes(random):
    x, k, v, nodes = after_conv(random, [
        node("Squeeze", ["v", "two"], ["a"]), node("Squeeze", ["v"], ["b"]), node("Unsqueeze", ["a", "ends"], ["c"])],
        shape=(1, 2, 1, 6))
    c = {"k": k, "two": ints(2), "ends": ints(0, -1)}
    return nodes, c, {"x": x}, {"a": v[:, :, 0], "b": v[0, :, 0], "c": v[None, :, :, 0, :, None]}


@case("moves")
def squeeze_attributes(random):
    x = normal(random, 2, 1, 3)
    nodes = [node("Squeeze", ["x"], ["a"], axes=[1]), node("Unsqueeze", ["x"], ["b"], axes=[0, 2])]
    return nodes, {}, {"x": x}, {"a": x[:, 0], "b": x[None, :, None]}, {"opset": 11}


@case("moves")
def transposes(random):
    perms = [(0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0), (0, 1, 3, 2), (1, 0, 2, 3)]
    x, k, v, nodes = after_conv(random, [
        node("Transpose", ["v"], [f"y{i}"], perm=list(p)) for i, p in enumerate(perms)])
    y = {f"y{i}": v.transpose(p) for i, p in enumerate(perms)}
    return nodes, {"k": k}, {"x": x}, y


@case("moves")
def transpose_default(random):
    x = normal(random, 2, 3, 4)
    return one("Transpose", x, x.transpose())


@case("moves")
def transposes_meet(random):
    """As converters from channels-last formats write it: both transposes go."""
    x, k = normal(random, 1, 4, 5, 2), normal(random, 3, 2, 3, 3)
    nodes = [node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]), node("Conv", ["a", "k"], ["b"]),
             node("Transpose", ["b"], ["y"], perm=[0, 2, 3, 1])]
    return nodes, {"k": k}, {"x": x}, {"y": f32(conv(x.transpose(0, 3, 1, 2), k).transpose(0, 2, 3, 1))}


@case("moves")
def concats(random):
    x, k, v, nodes = after_conv(random, [
        node("Concat", ["v", "x", "c"], ["y"], axis=1), node("Concat", ["v", "v"], ["z"], axis=-1)])
    c = normal(random, 1, 1, 4, 6)
    return nodes, {"k": k, "c": c}, {"x": x}, {"y": np.concatenate([v, x, c], 1), "z": np.concatenate([v, v], 3)}


@case("moves")
def pads(random):
    x, k, v, nodes = after_conv(random, [
        node("Pad", ["v", "p"], ["a"]), node("Pad", ["v", "p", "fill"], ["b"]),
        node("Pad", ["v", "q", "", "axes"], ["c"])])
    c = {"k": k, "p": ints(0, 1, 2, 0, 0, 0, 1, 3), "fill": f32(-2.5), "q": ints(1, 2), "axes": ints(-1)}
    width = [(0, 0), (1, 0), (2, 1), (0, 3)]
    y = {"a": np.pad(v, width), "b": np.pad(v, width, constant_values=-2.5), "c": np.pad(v, [(0, 0)] * 3 + [(1, 2)])}
    return nodes, c, {"x": x}, {n: f32(a) for n, a in y.items()}, {"opset": 18}


@case("moves")
def pad_attributes(random):
    x = normal(random, 2, 3)
    return one("Pad", x, np.pad(x, [(0, 1), (2, 0)], constant_values=1.5), opset=10, pads=[0, 2, 1, 0], value=1.5)


@case("moves")
def slices(random):
    x, k, v, nodes = after_conv(random, [
        node("Slice", ["v", "b1", "e1", "a1", "s1"], ["a"]), node("Slice", ["v", "b2", "e2"], ["b"])])
    c = {"k": k, "b1": ints(1, -5), "e1": ints(2**63 - 1, -1), "a1": ints(1, 3), "s1": ints(1, 2),
         "b2": ints(0, 0, 1), "e2": ints(1, 2, 100)}
    return nodes, c, {"x": x}, {"a": v[:, 1:, :, -5:-1:2], "b": v[:1, :2, 1:]}


@case("moves")
def splits(random):
    x, k, v, nodes = after_conv(random, [
        node("Split", ["v", "sizes"], ["a", "b"], axis=1), node("Split", ["v"], ["c", "d", "e"], axis=-1)])
    c = {"k": k, "sizes": ints(1, 2)}
    y = {"a": v[:, :1], "b": v[:, 1:], "c": v[..., :2], "d": v[..., 2:4], "e": v[..., 4:]}
    return nodes, c, {"x": x}, y


@case("moves")
def split_unnamed(random):
    """A result without a name takes its part, too."""
    x = normal(random, 6, 2)
    return [node("Split", ["x"], ["a", "b", ""])], {}, {"x": x}, {"a": x[:2], "b": x[2:4]}


@case("moves")
def split_uneven(random):
    x = normal(random, 7, 2)
    nodes = [node("Split", ["x"], ["a", "b", "c"], num_outputs=3)]
    return nodes, {}, {"x": x}, {"a": x[:3], "b": x[3:6], "c": x[6:]}, {"opset": 18}


@case("moves")
def names(random):
    """Identity, Dropout and a Cast to the same type are only names; Constant is a constant."""
    x, w = normal(random, 2, 3), normal(random, 3, 2)
    nodes = [node("Constant", [], ["w"], value=w), node("Constant", [], ["half"], value_float=0.5),
             node("Constant", [], ["s"], value_ints=[1, -1]), node("Identity", ["x"], ["a"]),
             node("Dropout", ["a"], ["b"]), node("Cast", ["b"], ["c"], to=1), node("MatMul", ["c", "w"], ["d"]),
             node("Mul", ["d", "half"], ["e"]), node("Reshape", ["e", "s"], ["y"])]
    return nodes, {}, {"x": x}, {"y": f32((x @ w * 0.5).reshape(1, 4))}


@case("moves")
def input_returned(random):
    x = normal(random, 2, 3)
    return [node("Identity", ["x"], ["y"])], {}, {"x": x}, {"y": x}


@case("moves")
def output_used_on(random):
    """An output of the graph that a later node reads."""
    x, k, v, nodes = after_conv(random, [node("Relu", ["v"], ["r"]), node("Conv", ["r", "k2"], ["y"])])
    k2 = normal(random, 2, 3, 1, 1)
    return nodes, {"k": k, "k2": k2}, {"x": x}, {"v": v, "r": np.maximum(v, 0), "y": f32(conv(np.maximum(v, 0), k2))}


@case("moves")
def gathers(random):
    x, k, v, nodes = after_conv(random, [
        node("Gather", ["v", "two"], ["a"], axis=1), node("Gather", ["v", "list"], ["b"], axis=-1),
        node("Gather", ["x", "last"], ["c"])])
    c = {"k": k, "two": np.array(2, np.int64), "list": ints(1, 2, 3), "last": ints(-1)}
    return nodes, c, {"x": x}, {"a": v[:, 2], "b": v[..., 1:4], "c": x}


@case("moves")
def depth_to_space(random):
    x, k, v, nodes = after_conv(random, [
        node("DepthToSpace", ["v"], ["a"], blocksize=2), node("DepthToSpace", ["v"], ["b"], blocksize=2, mode="CRD"),
        node("SpaceToDepth", ["v"], ["c"], blocksize=2)], channels=8)
    dcr = v.reshape(1, 2, 2, 2, 4, 6).transpose(0, 3, 4, 1, 5, 2).reshape(1, 2, 8, 12)
    crd = v.reshape(1, 2, 2, 2, 4, 6).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 8, 12)
    depth = v.reshape(1, 8, 2, 2, 3, 2).transpose(0, 3, 5, 1, 2, 4).reshape(1, 32, 2, 3)
    return nodes, {"k": k}, {"x": x}, {"a": dcr, "b": crd, "c": depth}


@case("moves")
def shape_arithmetic(random):
    """As exporters write x.view(x.size(0), -1): the shape is computed in the graph."""
    x, k, v, nodes = after_conv(random, [
        node("Shape", ["v"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Unsqueeze", ["n", "first"], ["l"]),
        node("Concat", ["l", "rest"], ["t"], axis=0), node("Reshape", ["v", "t"], ["a"])])
    return nodes, {"k": k, "zero": np.array(0, np.int64), "first": ints(0), "rest": ints(-1)}, {"x": x}, {"a": v.reshape(1, -1)}


@case("moves")
def shape_products(random):
    """The spatial dims from a slice of the shape, halved, summed and cast."""
    x, k, v, nodes = after_conv(random, [
        node("Shape", ["v"], ["s"]), node("Slice", ["s", "two", "end"], ["hw"]), node("Cast", ["hw"], ["i"], to=6),
        node("Div", ["i", "half"], ["h"]), node("Mul", ["h", "half"], ["d"]), node("Sub", ["d", "half"], ["e"]),
        node("Add", ["e", "half"], ["f"]), node("Cast", ["f"], ["g"], to=7), node("Concat", ["front", "g"], ["t"], axis=0),
        node("Reshape", ["v", "t"], ["y"])])
    c = {"k": k, "two": ints(2), "end": ints(2**62), "half": np.array([2, 2], np.int32), "front": ints(3, 1)}
    return nodes, c, {"x": x}, {"y": v.reshape(3, 1, 4, 6)}


@case("moves")
def results_left_out(random):
    """Results that nothing reads may be there."""
    x = normal(random, 1, 2, 4, 4)
    nodes = [node("MaxPool", ["x"], ["a", "indices"], kernel_shape=[2, 2]), node("Dropout", ["a", "", "no"], ["y", "mask"])]
    return nodes, {"no": np.array(False)}, {"x": x}, {"y": f32(pool(x, [2, 2], "max"))}


@case("moves")
def constants_listed_as_inputs(random):
    x, w = normal(random, 2, 3), normal(random, 3, 2)
    return [node("MatMul", ["x", "w"], ["y"])], {"w": w}, {"x": x}, {"y": x @ w}, {"listed": ["w"]}
