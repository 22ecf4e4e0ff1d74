"""Writes a .tflite file per function into the folder given, each wrong in one way."""

import math
import struct
import sys

from flatbuffer_writer import Vector
from tflite_writer import Model

CASES = []


def case(function):
    CASES.append(function)
    return function


def relu(m, **tensor):
    """x -> RELU -> y, x with the tensor's settings."""
    settings = {"name": "x", "shape": [1, 4], **tensor}
    x = m.tensor(**settings)
    return m.bytes([x], [m.op("RELU", [x], m.tensor("y", settings["shape"]))])


def with_weights(m, **tensor):
    """x int8 [1,4] -> FULLY_CONNECTED -> y, weights int8 [2,4] with the tensor's settings."""
    x = m.tensor("x", [1, 4], "int8", scale=0.5)
    w = m.tensor(**{"name": "w", "shape": [2, 4], "kind": "int8", "data": [1] * 8, **tensor})
    y = m.tensor("y", [1, 2], "int8", scale=0.5)
    return m.bytes([x], [m.op("FULLY_CONNECTED", [x, w], y)])


def unary(m, name, shape=(1, 4), result=(1, 4), operands=(), **options):
    x = m.tensor("x", list(shape))
    y = m.tensor("y", list(result))
    return m.bytes([x], [m.op(name, [x, *operands], y, **options)])


def patched(data, at, code, value):
    data = bytearray(data)
    struct.pack_into("<" + code, data, at, value)
    return bytes(data)


# ---------------------------------------------------------------- the FlatBuffer

@case
def file_empty(m):
    return b""


@case
def file_jpeg(m):
    return b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01" + bytes(300)


@case
def file_truncated(m):
    data = relu(m)
    return data[:len(data) // 2]


@case
def file_root_outside(m):
    return patched(relu(m), 0, "I", 0xFFFFFFF0)


def root_of(data):
    return struct.unpack_from("<I", data)[0]


@case
def file_vtable_outside(m):
    data = relu(m)
    return patched(data, root_of(data), "i", -1000000)


@case
def file_vtable_before(m):
    data = relu(m)
    return patched(data, root_of(data), "i", 1000000)


@case
def file_field_outside(m):
    data = relu(m)
    root = root_of(data)
    vtable = root - struct.unpack_from("<i", data, root)[0]
    return patched(data, vtable + 4, "H", 60000)


@case
def file_list_too_long(m):
    """The list of operator codes, field 1 of the root, with 2^30 elements."""
    data = relu(m)
    root = root_of(data)
    vtable = root - struct.unpack_from("<i", data, root)[0]
    field = root + struct.unpack_from("<H", data, vtable + 6)[0]
    return patched(data, field + struct.unpack_from("<I", data, field)[0], "I", 1 << 30)


@case
def file_vtable_small(m):
    data = relu(m)
    root = root_of(data)
    return patched(data, root - struct.unpack_from("<i", data, root)[0], "H", 2)


@case
def file_table_large(m):
    data = relu(m)
    root = root_of(data)
    return patched(data, root - struct.unpack_from("<i", data, root)[0] + 2, "H", 65535)


@case
def version(m):
    relu(m)
    return m.bytes([0], [1], version=2)


@case
def subgraphs(m):
    relu(m)
    return m.bytes([0], [1], graphs=2)


# ---------------------------------------------------------------- tensors

@case
def tensor_uint8(m):
    return relu(m, kind="uint8", scale=0.5, zero=128)


@case
def tensor_int16(m):
    return relu(m, kind="int16", scale=0.5)


@case
def tensor_float16(m):
    return relu(m, kind="float16")


@case
def tensor_int32(m):
    return relu(m, kind="int32", scale=0.5)


@case
def tensor_unknown(m):
    return relu(m, fields={1: ("b", 99)})


@case
def tensor_count(m):
    relu(m)
    m.tensors += [m.tensors[0]] * 20000
    return m.bytes([0], [1])


@case
def tensor_rank(m):
    return relu(m, shape=[1] * 7)


@case
def tensor_dim(m):
    return relu(m, shape=[1, -1])


@case
def tensor_huge(m):
    return relu(m, shape=[10000, 10000, 10000])


@case
def tensor_variable(m):
    return relu(m, fields={5: ("B", 1)})


@case
def tensor_sparse(m):
    return relu(m, fields={6: {0: Vector("i", [0, 1])}})


@case
def tensor_buffer(m):
    return relu(m, fields={2: ("I", 9)})


@case
def data_size(m):
    return with_weights(m, data=[1] * 7, scale=0.5)


@case
def data_elsewhere(m):
    """A buffer at a place of the file, which ends before."""
    m.buffers.append({1: ("Q", 100), 2: ("Q", 1 << 40)})
    return relu(m, fields={2: ("I", 1)})


@case
def data_shared(m):
    """100 buffers are the same 4 KB."""
    data = struct.pack("<1000f", *[0.5] * 1000)
    x = v = m.tensor("x", [1000])
    for i in range(100):
        v = m.op("ADD", [v, m.tensor("c", [1000], data=data)], m.tensor(f"y{i}", [1000]))
    return m.bytes([x], [v])


@case
def quantization_shared(m):
    """100 tensors have the same 1000 scales."""
    quantization = {2: Vector("f", [0.5] * 1000), 3: Vector("q", [0] * 1000)}
    for _ in range(100):
        m.tensor("c", [1000], "int8", data=[1] * 1000, fields={4: quantization})
    return relu(m)


@case
def quantization_none(m):
    return relu(m, kind="int8")


@case
def quantization_custom(m):
    return relu(m, kind="int8", scale=0.5, fields={4: {2: Vector("f", [1]), 4: ("B", 1)}})


@case
def quantization_nan(m):
    return relu(m, kind="int8", scale=math.nan)


@case
def quantization_negative(m):
    return relu(m, kind="int8", scale=-0.5)


@case
def quantization_zero_range(m):
    return relu(m, kind="int8", scale=0.5, zero=128)


@case
def quantization_zero_count(m):
    return relu(m, kind="int8", scale=0.5, zero=[0, 0])


@case
def quantization_activation_axis(m):
    return relu(m, kind="int8", scale=[0.5] * 4, axis=1)


@case
def quantization_count(m):
    return with_weights(m, scale=[0.5] * 3)


@case
def quantization_axis(m):
    return with_weights(m, scale=[0.5] * 2, axis=2)


@case
def quantization_axis_zero(m):
    return with_weights(m, scale=[0.5] * 2, zero=[0, 1])


@case
def quantization_infinite(m):
    return with_weights(m, scale=[0.5, math.inf])


# ---------------------------------------------------------------- the graph

@case
def graph_tensor_number(m):
    relu(m)
    return m.bytes([0], [2])


@case
def graph_operand_number(m):
    x = m.tensor("x", [1])
    return m.bytes([x], [m.op("RELU", [7], m.tensor("y", [1]))])


@case
def graph_code_number(m):
    x = m.tensor("x", [1])
    y = m.op("RELU", [x], m.tensor("y", [1]), fields={0: ("I", 5)})
    return m.bytes([x], [y])


@case
def graph_no_inputs(m):
    relu(m)
    return m.bytes([], [1])


@case
def graph_no_outputs(m):
    relu(m)
    return m.bytes([0], [])


@case
def graph_operator_count(m):
    relu(m)
    m.ops *= 20001
    return m.bytes([0], [1])


@case
def graph_input_twice(m):
    relu(m)
    return m.bytes([0, 0], [1])


@case
def graph_input_constant(m):
    return relu(m, data=[1, 2, 3, 4])


@case
def graph_output_missing(m):
    relu(m)
    return m.bytes([0], [m.tensor("z", [1])])


@case
def graph_cycle(m):
    """a needs b, b needs a."""
    x, a, b = (m.tensor(name, [1]) for name in "xab")
    m.op("ADD", [x, b], a)
    m.op("RELU", [a], b)
    return m.bytes([x], [b])


@case
def graph_computed_twice(m):
    x, y = m.tensor("x", [1]), m.tensor("y", [1])
    m.op("RELU", [x], y)
    m.op("TANH", [x], y)
    return m.bytes([x], [y])


@case
def graph_result_constant(m):
    x = m.tensor("x", [1])
    return m.bytes([x], [m.op("RELU", [x], m.tensor("y", [1], data=[1.0]))])


# ---------------------------------------------------------------- operators

@case
def op_not_supported(m):
    x = m.tensor("x", [1, 4])
    y = m.op("TANH", [x], m.tensor("y", [1, 4]))
    return m.bytes([x], [m.op("DIV", [x, y], m.tensor("z", [1, 4]))])


@case
def op_many_operands(m):
    x = m.tensor("x", [1, 4])
    y = m.op("BIDIRECTIONAL_SEQUENCE_LSTM", [x, -1, x, x, x, x, x, x], m.tensor("y", [1, 4]))
    return m.bytes([x], [y])


@case
def op_custom(m):
    return unary(m, "TFLite_Detection")


@case
def op_unknown(m):
    data = unary(m, "RELU")
    m.codes[0] = {3: ("i", 9999)}
    return m.bytes([0], [1])


@case
def op_operand_count(m):
    return unary(m, "ADD")


@case
def op_result_count(m):
    x = m.tensor("x", [1])
    y, z = m.tensor("y", [1]), m.tensor("z", [1])
    m.op("RELU", [x], [y, z])
    return m.bytes([x], [y])


@case
def op_operand_left_out(m):
    return unary(m, "ADD", operands=[-1])


@case
def op_options_kind(m):
    return unary(m, "ADD", operands=[0], fields={3: ("B", 21)})


@case
def op_activation(m):
    return unary(m, "ADD", operands=[0], activation=4)


@case
def op_padding(m):
    return unary(m, "MAX_POOL_2D", padding=2)


@case
def op_shape_not_constant(m):
    s = m.tensor("s", [1], "int32")
    return unary(m, "RESHAPE", operands=[s])


@case
def op_shape_float(m):
    return unary(m, "RESHAPE", operands=[m.tensor("s", [1], data=[4.0])])


@case
def op_shape_too_long(m):
    return unary(m, "RESHAPE", operands=[m.shape([1] * 7)])


@case
def op_shape_too_large(m):
    return unary(m, "RESHAPE", operands=[m.shape([1 << 40], "int64")])


@case
def op_shape_option(m):
    return unary(m, "RESHAPE", new_shape=[1] * 7)


@case
def conv_channels(m):
    x = m.tensor("x", [1, 4, 4, 3])
    w = m.tensor("w", [8, 1, 1, 2], data=[0.5] * 16)
    y = m.op("CONV_2D", [x, w], m.tensor("y", [1, 4, 4, 8]), stride_w=1, stride_h=1)
    return m.bytes([x], [y])


@case
def conv_stride(m):
    x = m.tensor("x", [1, 4, 4, 3])
    w = m.tensor("w", [1, 1, 1, 3], data=[0.5] * 3)
    y = m.op("CONV_2D", [x, w], m.tensor("y", [1, 4, 4, 1]), stride_w=1)
    return m.bytes([x], [y])


@case
def dense_format(m):
    return unary(m, "FULLY_CONNECTED", operands=[m.tensor("w", [4, 4], data=[1] * 16)], format=1)


@case
def dense_weights(m):
    return unary(m, "FULLY_CONNECTED", operands=[m.tensor("w", [4], data=[1] * 4)])


@case
def dense_elements(m):
    return unary(m, "FULLY_CONNECTED", operands=[m.tensor("w", [1, 3], data=[1] * 3)])


@case
def softmax_beta(m):
    return unary(m, "SOFTMAX")


@case
def leaky_relu_alpha(m):
    return unary(m, "LEAKY_RELU", alpha=math.inf)


@case
def pad_count(m):
    return unary(m, "PAD", operands=[m.shape([1, 1])])


@case
def pad_value(m):
    fill = m.tensor("fill", [2], data=[1.0, 2.0])
    return unary(m, "PADV2", operands=[m.tensor("p", [2, 2], "int32", [0] * 4), fill])


@case
def concat_activation(m):
    return unary(m, "CONCATENATION", activation=1)


@case
def concat_too_many(m):
    return unary(m, "CONCATENATION", operands=[0] * 16)


def strided(m, begin, end, step, **options):
    return unary(m, "STRIDED_SLICE", operands=[m.shape(begin), m.shape(end), m.shape(step)],
                 **options)


@case
def strided_slice_step(m):
    return strided(m, [0, 3], [1, 0], [1, -1])


@case
def strided_slice_ellipsis(m):
    return strided(m, [0, 0], [1, 4], [1, 1], ellipsis_mask=1)


@case
def strided_slice_empty(m):
    return strided(m, [0, 3], [1, 2], [1, 1])


@case
def strided_slice_shrink(m):
    return strided(m, [0, 4], [1, 5], [1, 1], shrink_axis_mask=2)


@case
def strided_slice_counts(m):
    return strided(m, [0, 0], [1], [1, 1])


@case
def squeeze_dim(m):
    return unary(m, "SQUEEZE", squeeze_dims=[1])


@case
def expand_dims_axis(m):
    return unary(m, "EXPAND_DIMS", operands=[m.shape([3])])


@case
def expand_dims_axes(m):
    return unary(m, "EXPAND_DIMS", operands=[m.shape([0, 1])])


@case
def quantize_float(m):
    return unary(m, "QUANTIZE")


@case
def result_shape(m):
    return unary(m, "RELU", result=(4, 1))


@case
def result_type(m):
    """RELU from float32 to int8 quantizes; from int8 to float32 dequantizes; to int16 it is wrong."""
    x = m.tensor("x", [4])
    return m.bytes([x], [m.op("RELU", [x], m.tensor("y", [4], "int16", scale=0.5))])


@case
def dequantize_float(m):
    return unary(m, "DEQUANTIZE")


for function in CASES:
    with open(f"{sys.argv[1]}/{function.__name__}.tflite", "wb") as file:
        file.write(function(Model()))
