"""errors.py FOLDER: an .onnx file per function, each wrong in one way."""

import os
import sys

import numpy as np

from onnx_writer import attribute, block, model, node, number, tensor, value_info, varint

CASES = {}
X, Y = ("x", "float32", (1, 4)), ("y", "float32", (1, 4))
PICTURE = ("x", "float32", (1, 2, 4, 4))


def case(function):
    CASES[function.__name__] = function
    return function


def f32(*x):
    return np.array(x, np.float32)


def ints(*x):
    return np.array(x, np.int64)


def zeros(*shape):
    return np.zeros(shape, np.float32)


def one(op, inputs=("x",), constants=None, x=X, y=Y, opset=13, domain="", **attributes):
    """A file of one node, which has a name."""
    return model([node(op, list(inputs), ["y"], domain, "n", **attributes)], [x], [y], constants, opset)


def unary(op="Relu", **options):
    return one(op, **options)


# ---------------------------------------------------------------- the file


@case
def file_empty():
    return b""


@case
def file_text():
    return b"hello, this is no model at all\n"


@case
def file_truncated():
    return unary()[:40]


@case
def file_number_too_long():
    return b"\x08" + b"\xff" * 12


@case
def file_wire_type():
    return number(1, 8) + varint(8 << 3 | 5) + b"abcd"


@case
def file_group():
    return number(1, 8) + varint(9 << 3 | 3)


@case
def file_no_graph():
    return number(1, 8) + block(8, number(2, 13))


@case
def file_opset_old():
    return unary(opset=6)


@case
def file_opset_new():
    return unary(opset=26)


@case
def file_deep():
    """Graphs in attributes of nodes in graphs, 3000 deep: the outermost node is looked at."""
    content = b""
    for _ in range(3000):
        content = block(1, block(1, "x") + block(2, "y") + block(4, "If") + block(5, block(1, "then_branch") + block(6, content)))
    graph = content + block(11, value_info(*X)) + block(12, value_info(*Y))
    return number(1, 8) + block(8, number(2, 13)) + block(7, graph)


@case
def file_sparse():
    return model([node("Relu", ["x"], ["y"])], [X], [Y], extra=block(15, b""))


@case
def nodes_too_many():
    return model([node("Relu", ["x"], ["y"])] * 20001, [X], [Y])


# ---------------------------------------------------------------- inputs and outputs


@case
def input_open():
    return unary(x=("x", "float32", (1, "height")), y=Y)


@case
def input_int64():
    return unary(x=("x", "int64", (1, 4)))


@case
def input_scale_unknown():
    return one("Identity", x=("x", "uint8", (1, 4)), y=("y", "uint8", (1, 4)))


@case
def input_rank():
    return unary(x=("x", "float32", (1,) * 7))


@case
def input_large():
    return unary(x=("x", "float32", (1 << 20, 1 << 20)))


@case
def input_none():
    return model([node("Constant", [], ["y"], value=zeros(1, 4))], [], [Y])


@case
def input_many():
    """What comes after the 17th is not looked at: it would be another error."""
    return model([node("Relu", ["x"], ["y"])], [(c, *X[1:]) for c in "abcdefghijklmnopxx"], [Y])


@case
def input_twice():
    return model([node("Relu", ["x"], ["y"])], [X, X], [Y])


@case
def input_no_tensor():
    graph = block(1, node("Relu", ["x"], ["y"])) + block(11, block(1, "x") + block(2, block(4, b""))) + block(12, value_info(*Y))
    return number(1, 8) + block(8, number(2, 13)) + block(7, graph)


@case
def output_unknown():
    return unary(y=("z", "float32", (1, 4)))


@case
def output_shape():
    return unary(y=("y", "float32", (4, 1)))


@case
def output_type():
    return unary(y=("y", "int8", (1, 4)))


# ---------------------------------------------------------------- nodes


@case
def node_unsupported():
    return one("Einsum", equation="ij->ji")


@case
def node_domain():
    return one("FusedGelu", domain="com.example")


@case
def node_attribute():
    return unary(slope=1.0)


@case
def node_operands():
    return one("Relu", ["x", "x"])


@case
def node_operand_left_out():
    return one("Add", ["", "x"])


@case
def node_order():
    return model([node("Relu", ["a"], ["y"]), node("Relu", ["x"], ["a"])], [X], [Y])


@case
def node_results():
    nodes = [node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2]), node("Relu", ["i"], ["z"])]
    return model(nodes, [PICTURE], [Y])


@case
def node_result_twice():
    return model([node("Relu", ["x"], ["y"]), node("Tanh", ["x"], ["y"])], [X], [Y])


@case
def node_many_operands():
    return one("Concat", ["x"] * 17, axis=0)


# ---------------------------------------------------------------- constants


def with_proto(proto):
    """x + a constant of that TensorProto."""
    graph = block(1, node("Add", ["x", "c"], ["y"])) + block(5, proto) + block(11, value_info(*X)) + block(12, value_info(*Y))
    return number(1, 8) + block(8, number(2, 13)) + block(7, graph)


@case
def tensor_external():
    return with_proto(number(1, 4) + number(2, 1) + block(8, "c") + number(14, 1) + block(13, block(1, "location") + block(2, "w.bin")))


@case
def tensor_float16():
    return with_proto(tensor("c", np.zeros(4, np.float16)))


@case
def tensor_size():
    return with_proto(number(1, 4) + number(2, 1) + block(8, "c") + block(9, b"\0" * 15))


@case
def tensor_list():
    return with_proto(number(1, 4) + number(2, 1) + block(8, "c") + block(4, b"\0" * 12))


@case
def tensor_huge():
    return with_proto(number(1, 1 << 40) + number(2, 1) + block(8, "c"))


@case
def tensor_negative():
    return with_proto(number(1, -4) + number(2, 1) + block(8, "c"))


@case
def tensor_twice():
    graph = block(5, tensor("c", zeros(1))) * 2 + block(1, node("Relu", ["x"], ["y"])) + block(11, value_info(*X)) + block(12, value_info(*Y))
    return number(1, 8) + block(8, number(2, 13)) + block(7, graph)


@case
def tensor_many_copies():
    """A constant turned around again and again."""
    nodes = [node("Transpose", [f"w{i}"], [f"w{i + 1}"]) for i in range(40)] + [node("MatMul", ["x", "w40"], ["y"])]
    return model(nodes, [("x", "float32", (1, 400))], [("y", "float32", (1, 400))], {"w0": zeros(400, 400)})


@case
def tensor_many_sums():
    """A long list of integers added to itself by each node."""
    nodes = [node("Add", ["c", "c"], [f"y{i}"]) for i in range(400)] + [node("Relu", ["x"], ["y"])]
    return model(nodes, [X], [Y], {"c": np.zeros(1024, np.int64)})


@case
def tensor_many_inverses():
    """A constant that each node divides by."""
    nodes = [node("Div", [f"x{i}", "w"], [f"x{i + 1}"]) for i in range(40)]
    return model(nodes, [("x0", "float32", (400, 400))], [("x40", "float32", (400, 400))], {"w": zeros(400, 400) + np.float32(1)})


@case
def integer_as_real():
    return one("Add", ["x", "c"], {"c": np.zeros(4, np.int8)})


# ---------------------------------------------------------------- windows


@case
def conv_weights_computed():
    return model([node("Relu", ["w"], ["v"]), node("Conv", ["x", "v"], ["y"])], [PICTURE, ("w", "float32", (2, 2, 1, 1))], [Y])


@case
def conv_channels():
    return one("Conv", ["x", "w"], {"w": zeros(4, 3, 1, 1)}, PICTURE)


@case
def conv_groups():
    return one("Conv", ["x", "w"], {"w": zeros(3, 1, 1, 1)}, PICTURE, group=2)


@case
def conv_kernel_shape():
    return one("Conv", ["x", "w"], {"w": zeros(2, 2, 3, 3)}, PICTURE, kernel_shape=[3, 1])


@case
def conv_auto_pad():
    return one("Conv", ["x", "w"], {"w": zeros(2, 2, 3, 3)}, PICTURE, auto_pad="SAME")


@case
def conv_stride():
    return one("Conv", ["x", "w"], {"w": zeros(2, 2, 3, 3)}, PICTURE, strides=[1, 0])


@case
def conv_pads():
    return one("Conv", ["x", "w"], {"w": zeros(2, 2, 3, 3)}, PICTURE, pads=[1, 1])


@case
def conv_too_small():
    return one("Conv", ["x", "w"], {"w": zeros(2, 2, 5, 5)}, PICTURE)


@case
def conv_volume():
    return one("Conv", ["x", "w"], {"w": zeros(2, 2, 1, 1, 1)}, ("x", "float32", (1, 2, 3, 3, 3)))


@case
def pool_no_window():
    return one("MaxPool", x=PICTURE)


@case
def pool_dilation():
    return one("MaxPool", x=PICTURE, kernel_shape=[2, 2], dilations=[2, 1])


@case
def batch_norm_elements():
    return one("BatchNormalization", ["x", "c", "c", "c", "c"], {"c": zeros(3)}, PICTURE)


@case
def batch_norm_training():
    return one("BatchNormalization", ["x", "c", "c", "c", "c"], {"c": zeros(2)}, PICTURE, training_mode=1)


@case
def batch_norm_variance():
    return one("BatchNormalization", ["x", "c", "c", "c", "v"], {"c": f32(1, 1), "v": f32(1, -2)}, PICTURE)


# ---------------------------------------------------------------- arithmetic


@case
def gemm_columns():
    return one("Gemm", ["x", "w"], {"w": zeros(3, 5)})


@case
def matmul_dims():
    return one("MatMul", ["x", "w"], {"w": zeros(4)})


@case
def add_shapes():
    return one("Add", ["x", "c"], {"c": zeros(3)})


@case
def add_constants():
    return one("Add", ["c", "c"], {"c": zeros(4)})


@case
def div_by_value():
    return one("Div", ["x", "x"])


@case
def div_by_zero():
    return one("Div", ["x", "c"], {"c": f32(1, 0, 1, 1)})


@case
def clip_reversed():
    return one("Clip", ["x", "a", "b"], {"a": np.array(2, np.float32), "b": np.array(1, np.float32)})


@case
def softmax_axis():
    return one("Softmax", axis=2)


@case
def reduce_axis_twice():
    return one("ReduceMean", axes=[1, -1])


# ---------------------------------------------------------------- moves


@case
def reshape_elements():
    return one("Reshape", ["x", "s"], {"s": ints(3, 2)})


@case
def reshape_open_twice():
    return one("Reshape", ["x", "s"], {"s": ints(-1, -1)})


@case
def reshape_computed():
    return one("Reshape", ["x", "x"])


@case
def squeeze_dim():
    return one("Squeeze", ["x", "a"], {"a": ints(1)})


@case
def transpose_perm():
    return one("Transpose", perm=[0, 0])


@case
def pad_mode():
    return one("Pad", ["x", "p"], {"p": ints(0, 1, 0, 1)}, mode="reflect")


@case
def slice_no_starts():
    return one("Slice", ["x", "", "e"], {"e": ints(3)})


@case
def slice_no_ends():
    return one("Slice", ["x", "s", "", "a"], {"s": ints(1), "a": ints(1)})


@case
def slice_backwards():
    return one("Slice", ["x", "a", "b", "c", "d"], {"a": ints(3), "b": ints(0), "c": ints(1), "d": ints(-1)})


@case
def split_sizes():
    return model([node("Split", ["x", "s"], ["y", "z"], axis=1)], [X], [Y], {"s": ints(1, 2)})


@case
def concat_dims():
    return model([node("Concat", ["x", "z"], ["y"], axis=0)], [X, ("z", "float32", (1, 5))], [Y])


@case
def gather_scattered():
    return one("Gather", ["x", "i"], {"i": ints(0, 2)}, axis=1)


@case
def depth_channels():
    return one("DepthToSpace", x=PICTURE, blocksize=2)


@case
def dropout_training():
    return one("Dropout", ["x", "", "t"], {"t": np.array(True)})


@case
def shape_index():
    return model([node("Shape", ["x"], ["s"]), node("Gather", ["s", "i"], ["y"])], [X], [Y], {"i": ints(2)})


@case
def shape_division():
    return model([node("Shape", ["x"], ["s"]), node("Div", ["s", "z"], ["y"])], [X], [Y], {"z": ints(0)})


@case
def shape_returned():
    return model([node("Shape", ["x"], ["y"])], [X], [("y", "int64", (2,))])


@case
def max_of_lists():
    return one("Max", ["x", "c"], {"c": zeros(4)})


@case
def cast_to_int():
    return one("Cast", to=6)


# ---------------------------------------------------------------- quantization


def quantized(scale, zero, op="QuantizeLinear", **options):
    return one(op, ["x", "s", "z"], {"s": scale, "z": zero}, y=("y", "uint8", (1, 4)), **options)


@case
def quantize_scale():
    return quantized(np.array(0, np.float32), np.array(0, np.uint8))


@case
def quantize_int16():
    return quantized(np.array(1, np.float32), np.array(0, np.int16))


@case
def quantize_channels():
    return quantized(f32(1, 2, 3, 4), np.zeros(4, np.uint8), axis=1)


@case
def quantize_zeros():
    return quantized(f32(1, 2), np.zeros(3, np.uint8))


@case
def quantize_blocks():
    return quantized(np.array(1, np.float32), np.array(0, np.uint8), opset=21, block_size=2)


@case
def dequantize_float():
    return quantized(np.array(1, np.float32), np.array(0, np.uint8), "DequantizeLinear")


@case
def dequantize_other_scale():
    c = {"s": np.array(0.5, np.float32), "t": np.array(0.25, np.float32), "z": np.array(3, np.uint8)}
    return model([node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("DequantizeLinear", ["q", "t", "z"], ["y"])], [X], [Y], c)


@case
def stored_in_arithmetic():
    c = {"s": np.array(0.5, np.float32), "z": np.array(3, np.uint8)}
    return model([node("QuantizeLinear", ["x", "s", "z"], ["q"]), node("Relu", ["q"], ["y"])], [X], [Y], c)


for name, function in CASES.items():
    with open(os.path.join(sys.argv[1], name + ".onnx"), "wb") as f:
        f.write(function())
