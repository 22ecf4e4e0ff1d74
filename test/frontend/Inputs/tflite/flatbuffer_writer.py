"""A FlatBuffer from Python values, for tests: write(root, letters) -> bytes.

    dict    a table: field number -> value
    tuple   a scalar: (struct code, number), e.g. ("i", 5)
    Vector  numbers of one kind
    bytes, str, list of dicts
"""

import struct


class Vector:
    def __init__(self, code, numbers):
        self.code, self.numbers = code, list(numbers)


def write(root, letters):
    buf = bytearray(4) + letters
    _point(buf, 0, _put_table(buf, root))
    return bytes(buf)


def _pad(buf, multiple, ahead=0):
    buf.extend(b"\0" * (-(len(buf) + ahead) % multiple))


def _point(buf, at, target):
    struct.pack_into("<I", buf, at, target - at)


def _put_table(buf, fields):
    """Vtable, table, then what the table points to. Returns the table's position."""
    offsets, size = {}, 4
    for number, value in sorted(fields.items()):
        code = value[0] if isinstance(value, tuple) else "I"
        size += -size % struct.calcsize(code)
        offsets[number] = size
        size += struct.calcsize(code)
    count = max(fields, default=-1) + 1
    _pad(buf, 8, 4 + 2 * count)
    vtable = len(buf)
    buf += struct.pack("<HH", 4 + 2 * count, size)
    buf += b"".join(struct.pack("<H", offsets.get(i, 0)) for i in range(count))
    table = len(buf)
    buf += struct.pack("<i", table - vtable) + bytes(size - 4)
    for number, value in sorted(fields.items()):
        at = table + offsets[number]
        if isinstance(value, tuple):
            struct.pack_into("<" + value[0], buf, at, value[1])
        else:
            _point(buf, at, _put_child(buf, value))
    return table


def _put_child(buf, value):
    if isinstance(value, dict):
        return _put_table(buf, value)
    if isinstance(value, list):
        _pad(buf, 4)
        at = len(buf)
        buf += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for i, child in enumerate(value):
            _point(buf, at + 4 + 4 * i, _put_table(buf, child))
        return at
    if isinstance(value, Vector):
        count = len(value.numbers)
        value = struct.pack(f"<{count}{value.code}", *value.numbers)
    else:
        value = value.encode() if isinstance(value, str) else value
        count = len(value)
    _pad(buf, 16, 4)
    at = len(buf)
    buf += struct.pack("<I", count) + value + b"\0"
    return at
