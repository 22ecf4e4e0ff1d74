"""A FlatBuffer from Python values, for tests: write(root, letters) -> bytes.

    dict    a table: field number -> value
    tuple   a scalar: (struct code, number), e.g. ("i", 5)
    Vector  numbers of one kind
    bytes, str, list of dicts

Values are written breadth first; one that several point to, at the same depth, is written once.
"""

import struct
from collections import deque


class Vector:
    def __init__(self, code, numbers):
        self.code, self.numbers = code, list(numbers)


def write(root, letters):
    return _Writer(root, letters).bytes()


class _Writer:
    def __init__(self, root, letters):
        self.buf = bytearray(4) + letters
        self.queue, self.places = deque(), {}
        self.point(0, root)

    def bytes(self):
        while self.queue:
            value = self.queue.popleft()
            places = self.places.pop(id(value))
            at = self.put_table(value) if isinstance(value, dict) else self.put_vector(value)
            for place in places:
                struct.pack_into("<I", self.buf, place, at - place)
        return bytes(self.buf)

    def point(self, place, value):
        """value's distance belongs at place; it is filled in when value is written."""
        if id(value) not in self.places:
            self.places[id(value)] = []
            self.queue.append(value)
        self.places[id(value)].append(place)

    def pad(self, multiple, ahead):
        self.buf.extend(bytes(-(len(self.buf) + ahead) % multiple))

    def put_table(self, fields):
        offsets, size = {}, 4
        for number, value in sorted(fields.items()):
            code = value[0] if isinstance(value, tuple) else "I"
            size += -size % struct.calcsize(code)
            offsets[number] = size
            size += struct.calcsize(code)
        count = max(fields, default=-1) + 1
        self.pad(8, 4 + 2 * count)
        vtable = struct.pack("<HH", 4 + 2 * count, size)
        vtable += b"".join(struct.pack("<H", offsets.get(i, 0)) for i in range(count))
        table = len(self.buf) + len(vtable)
        self.buf += vtable + struct.pack("<i", len(vtable)) + bytes(size - 4)
        for number, value in sorted(fields.items()):
            at = table + offsets[number]
            if isinstance(value, tuple):
                struct.pack_into("<" + value[0], self.buf, at, value[1])
            else:
                self.point(at, value)
        return table

    def put_vector(self, value):
        if isinstance(value, Vector):
            count = len(value.numbers)
            data = struct.pack(f"<{count}{value.code}", *value.numbers)
        elif isinstance(value, list):
            count, data = len(value), bytes(4 * len(value))
        else:
            data = value.encode() if isinstance(value, str) else value
            count = len(data)
        self.pad(16, 4)
        at = len(self.buf)
        self.buf += struct.pack("<I", count) + data + b"\0"
        if isinstance(value, list):
            for i, child in enumerate(value):
                self.point(at + 4 + 4 * i, child)
        return at
