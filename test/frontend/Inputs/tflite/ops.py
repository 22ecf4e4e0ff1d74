"""Writes a .tflite file per function into the folder given: each operator that is read."""

import sys

from tflite_writer import Model

SAME, VALID = 0, 1
RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3


def weights(m, *shape):
    count = 1
    for dim in shape:
        count *= dim
    return m.tensor("weights", list(shape), data=[0.5] * count)


def conv(m):
    x = m.tensor("x", [1, 5, 6, 4])
    # strides and dilations: columns come first in the file, rows first in the IR
    y = m.op("CONV_2D", [x, weights(m, 2, 3, 2, 4), weights(m, 2)], m.tensor("y", [1, 3, 6, 2]),
             padding=SAME, stride_w=1, stride_h=2, activation=RELU)
    # weights that take 2 of 4 channels: 2 groups; the bias is left out by -1
    z = m.op("CONV_2D", [x, weights(m, 6, 2, 2, 2), -1], m.tensor("z", [1, 2, 5, 6]),
             padding=VALID, stride_w=1, stride_h=1, dilation_w=1, dilation_h=3)
    return [x], [y, z]


def depthwise(m):
    x = m.tensor("x", [1, 5, 6, 2])
    y = m.op("DEPTHWISE_CONV_2D", [x, weights(m, 1, 3, 2, 6), weights(m, 6)],
             m.tensor("y", [1, 5, 3, 6]), padding=SAME, stride_w=2, stride_h=1, multiplier=3,
             activation=RELU6)
    z = m.op("DEPTHWISE_CONV_2D", [x, weights(m, 1, 2, 2, 2)], m.tensor("z", [1, 4, 3, 2]),
             padding=VALID, stride_w=1, stride_h=1, dilation_w=3, activation=RELU_N1_TO_1)
    return [x], [y, z]


def dense(m):
    x = m.tensor("x", [2, 3, 4])
    w = weights(m, 5, 4)
    a = m.op("FULLY_CONNECTED", [x, w, weights(m, 5)], m.tensor("a", [6, 5]), activation=RELU)
    b = m.op("FULLY_CONNECTED", [x, w], m.tensor("b", [2, 3, 5]), keep_num_dims=True)
    c = m.op("FULLY_CONNECTED", [x, weights(m, 7, 12), -1], m.tensor("c", [2, 7]))
    d = m.op("FULLY_CONNECTED", [a, weights(m, 2, 5)], m.tensor("d", [1, 6, 2]))
    return [x], [b, c, d]


def matmul(m):
    a, b = m.tensor("a", [2, 3, 4]), m.tensor("b", [2, 4, 5])
    y = m.op("BATCH_MATMUL", [a, b], m.tensor("y", [2, 3, 5]))
    z = m.op("BATCH_MATMUL", [y, b], m.tensor("z", [2, 3, 4]), adj_y=True)
    t = m.op("BATCH_MATMUL", [y, z], m.tensor("t", [2, 5, 4]), adj_x=True)
    return [a, b], [t]


def arithmetic(m):
    x = m.tensor("x", [1, 4])
    v = m.op("ADD", [x, weights(m, 4)], m.tensor("add", [1, 4]), activation=RELU)
    v = m.op("SUB", [v, x], m.tensor("sub", [1, 4]), activation=RELU6)
    v = m.op("MUL", [v, x], m.tensor("mul", [1, 4]), activation=RELU_N1_TO_1)
    for name in ["LOGISTIC", "TANH", "RELU", "RELU6", "RELU_N1_TO_1", "HARD_SWISH"]:
        v = m.op(name, [v], m.tensor(name.lower(), [1, 4]))
    v = m.op("LEAKY_RELU", [v], m.tensor("leaky_relu", [1, 4]), alpha=0.25)
    v = m.op("SOFTMAX", [v], m.tensor("softmax", [1, 4]), beta=2.0)
    return [x], [v]


def pools(m):
    x = m.tensor("x", [1, 6, 6, 2])
    a = m.op("AVERAGE_POOL_2D", [x], m.tensor("a", [1, 3, 6, 2]), padding=SAME, stride_w=1,
             stride_h=2, filter_w=3, filter_h=2, activation=RELU)
    b = m.op("MAX_POOL_2D", [x], m.tensor("b", [1, 5, 2, 2]), padding=VALID, stride_w=2,
             stride_h=1, filter_w=3, filter_h=2)
    c = m.op("MEAN", [x, m.shape([1, -2])], m.tensor("c", [1, 2]))
    d = m.op("MEAN", [x, m.tensor("axis", [], "int32", [3])], m.tensor("d", [1, 6, 6, 1]),
             keep_dims=True)
    return [x], [a, b, c, d]


def movement(m):
    x = m.tensor("x", [1, 2, 3])
    a = m.op("PAD", [x, m.tensor("pads", [3, 2], "int32", [0, 0, 1, 2, 0, 3])],
             m.tensor("a", [1, 5, 6]))
    b = m.op("PADV2", [x, m.tensor("pads", [3, 2], "int64", [0, 0, 0, 1, 0, 0]),
                       m.tensor("fill", [1], data=[-1.5])], m.tensor("b", [1, 3, 3]))
    c = m.op("CONCATENATION", [b, x, b], m.tensor("c", [1, 8, 3]), axis=-2)
    d = m.op("SLICE", [a, m.shape([0, 1, 2]), m.shape([1, 3, -1], "int64")],
             m.tensor("d", [1, 3, 4]))
    e = m.op("TRANSPOSE", [d, m.shape([2, 0, 1])], m.tensor("e", [4, 1, 3]))
    return [x], [c, e]


def strided_slice(m):
    x = m.tensor("x", [4, 6, 8])
    a = m.op("STRIDED_SLICE", [x, m.shape([1, 0, -3]), m.shape([3, -1, 99]), m.shape([1, 2, 1])],
             m.tensor("a", [2, 3, 3]))
    # masks: begin of dim 0 and end of dim 1 do not count; lists may be shorter than the rank
    b = m.op("STRIDED_SLICE", [x, m.shape([3, 2]), m.shape([2, 1]), m.shape([1, 3])],
             m.tensor("b", [2, 2, 8]), begin_mask=1, end_mask=2)
    # x[:, -1, 5] as [4]
    c = m.op("STRIDED_SLICE", [x, m.shape([0, -1, 5]), m.shape([4, 0, 6]), m.shape([1, 1, 1])],
             m.tensor("c", [4]), shrink_axis_mask=6)
    return [x], [a, b, c]


def reshapes(m):
    x = m.tensor("x", [1, 2, 3])
    a = m.op("RESHAPE", [x, m.shape([3, -1])], m.tensor("a", [3, 2]))
    b = m.op("RESHAPE", [a], m.tensor("b", [2, 3]), new_shape=[2, 3])
    c = m.op("RESHAPE", [b], m.tensor("c", [6]), fields={3: None, 4: None})
    d = m.op("EXPAND_DIMS", [c, m.tensor("axis", [1], "int32", [-1])], m.tensor("d", [6, 1]))
    e = m.op("EXPAND_DIMS", [d, m.tensor("axis", [], "int64", [0])], m.tensor("e", [1, 6, 1]))
    f = m.op("SQUEEZE", [e], m.tensor("f", [1, 6]), squeeze_dims=[-1])
    g = m.op("SQUEEZE", [f], m.tensor("g", [6]))
    return [x], [g]


def quantized(m):
    x = m.tensor("x", [1, 2, 2, 2], "int8", scale=0.5, zero=3)
    w = m.tensor("w", [2, 1, 1, 2], "int8", [1, 2, 3, 4], scale=[0.25, 0.125], axis=0)
    # the bias's axis is the weights': a slip of old converters
    b = m.tensor("b", [2], "int32", [10, -10], scale=[0.125, 0.0625], axis=3)
    y = m.op("CONV_2D", [x, w, b], m.tensor("y", [1, 2, 2, 2], "int8", scale=1.0, zero=-128),
             padding=SAME, stride_w=1, stride_h=1)
    dw = m.tensor("w", [1, 1, 1, 2], "int8", [1, -1], scale=[0.25, 0.125], axis=3)
    z = m.op("DEPTHWISE_CONV_2D", [y, dw], m.tensor("z", [1, 2, 2, 2], "int8", scale=2.0),
             padding=SAME, stride_w=1, stride_h=1)
    f = m.op("RESHAPE", [z, m.shape([1, 8])], m.tensor("f", [1, 8], "int8", scale=2.0))
    # a scale's change is TFLite's QUANTIZE, too
    r = m.op("QUANTIZE", [f], m.tensor("r", [1, 8], "int8", scale=4.0, zero=1))
    d = m.op("DEQUANTIZE", [r], m.tensor("d", [1, 8]))
    q = m.op("QUANTIZE", [d], m.tensor("q", [1, 8], "int8", scale=1.0, zero=0))
    p = m.op("PADV2", [q, m.tensor("pads", [2, 2], "int32", [0, 0, 1, 0]),
                       m.tensor("fill", [], "int8", [5], scale=1.0, zero=1)],
             m.tensor("p", [1, 9], "int8", scale=1.0, zero=0))
    return [x], [p]


def names(m):
    """Joined names, letters that the IR does not have, and names that are there twice."""
    x = m.tensor("serving/x:0", [1, 4])
    a = m.op("RELU", [x], m.tensor("net/relu;net/bias", [1, 4]))
    b = m.op("TANH", [a], m.tensor("net/relu", [1, 4]))
    c = m.op("RELU6", [b], m.tensor("", [1, 4]))
    d = m.op("TANH", [c], m.tensor("n" * 100, [1, 4]))
    return [x], [d]


def outputs(m):
    """Inputs and constants may be outputs, one may be two outputs."""
    x = m.tensor("x", [2])
    k = m.tensor("k", [2], data=[1.0, 2.0])
    y = m.op("RELU", [x], m.tensor("y", [2]))
    return [x], [x, k, y, y]


def far_data(m):
    """Files above 2 GB keep data outside the FlatBuffer: a buffer says where. Here: bytes 4 to 8."""
    x = m.tensor("x", [4], "int8", scale=1.0)
    m.buffers.append({1: ("Q", 4), 2: ("Q", 4)})
    k = m.tensor("k", [4], "int8", scale=1.0, fields={2: ("I", 1)})
    return [x], [m.op("ADD", [x, k], m.tensor("y", [4], "int8", scale=1.0))]


for case in [conv, depthwise, dense, matmul, arithmetic, pools, movement, strided_slice, reshapes,
             quantized, names, outputs, far_data]:
    model = Model()
    inputs, results = case(model)
    with open(f"{sys.argv[1]}/{case.__name__}.tflite", "wb") as file:
        file.write(model.bytes(inputs, results))
