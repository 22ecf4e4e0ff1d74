"""Small TFLite files, for tests. Numbers of fields are the positions in TFLite's schema.fbs."""

import struct

from flatbuffer_writer import Vector, write

TYPES = {"float32": (0, "f"), "float16": (1, "e"), "int32": (2, "i"), "uint8": (3, "B"),
         "int64": (4, "q"), "int16": (7, "h"), "int8": (9, "b")}

# code, number of the options table, its fields: name -> (number, struct code)
_WINDOW = {"padding": (0, "b"), "stride_w": (1, "i"), "stride_h": (2, "i")}
_POOL = {**_WINDOW, "filter_w": (3, "i"), "filter_h": (4, "i"), "activation": (5, "b")}
OPS = {
    "ADD": (0, 11, {"activation": (0, "b")}),
    "AVERAGE_POOL_2D": (1, 5, _POOL),
    "CONCATENATION": (2, 10, {"axis": (0, "i"), "activation": (1, "b")}),
    "CONV_2D": (3, 1, {**_WINDOW, "activation": (3, "b"), "dilation_w": (4, "i"),
                       "dilation_h": (5, "i")}),
    "DEPTHWISE_CONV_2D": (4, 2, {**_WINDOW, "multiplier": (3, "i"), "activation": (4, "b"),
                                 "dilation_w": (5, "i"), "dilation_h": (6, "i")}),
    "DEQUANTIZE": (6, 38, {}),
    "FULLY_CONNECTED": (9, 8, {"activation": (0, "b"), "format": (1, "b"),
                               "keep_num_dims": (2, "?")}),
    "LOGISTIC": (14, 0, {}),
    "MAX_POOL_2D": (17, 5, _POOL),
    "MUL": (18, 21, {"activation": (0, "b")}),
    "RELU": (19, 0, {}),
    "RELU_N1_TO_1": (20, 0, {}),
    "RELU6": (21, 0, {}),
    "RESHAPE": (22, 17, {"new_shape": (0, "[i]")}),
    "SOFTMAX": (25, 9, {"beta": (0, "f")}),
    "TANH": (28, 0, {}),
    "PAD": (34, 22, {}),
    "TRANSPOSE": (39, 26, {}),
    "MEAN": (40, 27, {"keep_dims": (0, "?")}),
    "SUB": (41, 28, {"activation": (0, "b")}),
    "DIV": (42, 29, {}),
    "SQUEEZE": (43, 30, {"squeeze_dims": (0, "[i]")}),
    "STRIDED_SLICE": (45, 32, {"begin_mask": (0, "i"), "end_mask": (1, "i"),
                               "ellipsis_mask": (2, "i"), "new_axis_mask": (3, "i"),
                               "shrink_axis_mask": (4, "i"), "offset": (5, "?")}),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (52, 69, {}),
    "PADV2": (60, 43, {}),
    "SLICE": (65, 48, {}),
    "EXPAND_DIMS": (70, 52, {}),
    "LEAKY_RELU": (98, 75, {"alpha": (0, "f")}),
    "QUANTIZE": (114, 89, {}),
    "HARD_SWISH": (117, 91, {}),
    "BATCH_MATMUL": (126, 101, {"adj_x": (0, "?"), "adj_y": (1, "?")}),
}


class Model:
    """Tensors are numbered in the order in which they are made; buffer 0 is empty."""

    def __init__(self):
        self.tensors, self.buffers, self.codes, self.ops = [], [{}], [], []

    def tensor(self, name, shape, kind="float32", data=None, scale=None, zero=None, axis=0,
               fields=None):
        """data: a list of numbers, or bytes. fields: more fields of the table, or other ones."""
        code, letter = TYPES[kind]
        table = {0: Vector("i", shape), 1: ("b", code), 3: name}
        if data is not None:
            if not isinstance(data, bytes):
                data = struct.pack(f"<{len(data)}{letter}", *data)
            table[2] = ("I", len(self.buffers))
            self.buffers.append({0: data})
        if scale is not None:
            scales = scale if isinstance(scale, list) else [scale]
            zeros = zero if isinstance(zero, list) else [zero or 0] * len(scales)
            table[4] = {2: Vector("f", scales), 3: Vector("q", zeros), 6: ("i", axis)}
        table.update(fields or {})
        self.tensors.append(table)
        return len(self.tensors) - 1

    def shape(self, numbers, kind="int32"):
        return self.tensor("shape", [len(numbers)], kind, numbers)

    def op(self, name, inputs, outputs, fields=None, **options):
        """An operator; fields as for tensor, None leaves one out."""
        number, options_number, known = OPS.get(name, (32, 0, {}))
        code = {0: ("b", min(number, 127)), 3: ("i", number)}
        if name not in OPS:
            code[1] = name
        self.codes.append(code)
        table = {0: ("I", len(self.codes) - 1), 1: Vector("i", inputs),
                 2: Vector("i", outputs if isinstance(outputs, list) else [outputs])}
        if options_number:
            values = {}
            for key, value in options.items():
                at, letter = known[key]
                values[at] = Vector("i", value) if letter == "[i]" else (letter, value)
            table[3] = ("B", options_number)
            table[4] = values
        table.update(fields or {})
        self.ops.append({at: value for at, value in table.items() if value is not None})
        return outputs

    def bytes(self, inputs, outputs, version=3, graphs=1):
        graph = {0: self.tensors, 1: Vector("i", inputs), 2: Vector("i", outputs), 3: self.ops}
        return write({0: ("I", version), 1: self.codes, 2: [graph] * graphs, 4: self.buffers},
                     b"TFL3")
