"""ONNX files written byte by byte in protocol buffers' wire format: only what tests need."""

import struct

import numpy as np

CODES = {"float32": 1, "uint8": 2, "int8": 3, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}


def varint(x):
    x &= (1 << 64) - 1
    out = bytearray()
    while x > 127:
        out.append(x & 127 | 128)
        x >>= 7
    return bytes(out + bytearray([x]))


def number(field, x):
    return varint(field << 3) + varint(x)


def block(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def real(field, x):
    return varint(field << 3 | 5) + struct.pack("<f", x)


def tensor(name, array, typed=False):
    """TensorProto. typed: elements in float_data, int32_data or int64_data, packed."""
    array = np.asarray(array)
    code = CODES[str(array.dtype)]
    out = b"".join(number(1, d) for d in array.shape) + number(2, code)
    if not typed:
        return out + block(8, name) + block(9, array.tobytes())
    if code == 1:
        return out + block(8, name) + block(4, array.tobytes())
    return out + block(8, name) + block(7 if code == 7 else 5, b"".join(varint(int(x)) for x in array.flat))


def attribute(name, value):
    out = block(1, name)
    if isinstance(value, float):
        return out + real(2, value) + number(20, 1)
    if isinstance(value, (int, np.integer)):
        return out + number(3, value) + number(20, 2)
    if isinstance(value, str):
        return out + block(4, value) + number(20, 3)
    if isinstance(value, np.ndarray):
        return out + block(5, tensor("", value)) + number(20, 4)
    if value and isinstance(value[0], float):
        return out + b"".join(real(7, x) for x in value) + number(20, 6)
    return out + b"".join(number(8, x) for x in value) + number(20, 7)


def node(op, inputs, outputs, domain="", name="", **attributes):
    out = b"".join(block(1, i) for i in inputs) + b"".join(block(2, o) for o in outputs)
    out += block(3, name) if name else b""
    out += block(4, op)
    out += b"".join(block(5, attribute(k, v)) for k, v in attributes.items())
    return out + (block(7, domain) if domain else b"")


def value_info(name, dtype, shape):
    """A dim that is a word is an open one."""
    dims = b"".join(block(1, block(2, d) if isinstance(d, str) else number(1, d)) for d in shape)
    return block(1, name) + block(2, block(1, number(1, CODES[dtype]) + block(2, dims)))


def model(nodes, inputs, outputs, constants=None, opset=13, typed=False, extra=b""):
    """inputs, outputs: lists of (name, dtype, shape). constants: name -> array."""
    graph = b"".join(block(1, n) for n in nodes) + block(2, "graph")
    for name, array in (constants or {}).items():
        graph += block(5, tensor(name, array, typed))
    graph += b"".join(block(11, value_info(*i)) for i in inputs)
    graph += b"".join(block(12, value_info(*o)) for o in outputs)
    opsets = block(8, number(2, opset)) + block(8, block(1, "com.microsoft") + number(2, 1))
    return number(1, 8) + opsets + block(7, graph + extra)
