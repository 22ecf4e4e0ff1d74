"""show.py FILE.safetensors: where the data starts, and the header."""

import struct
import sys

with open(sys.argv[1], "rb") as file:
    data = file.read()
size = struct.unpack_from("<Q", data)[0]
print(f"data at {8 + size}, {len(data) - 8 - size} bytes")
print(data[8:8 + size].decode().rstrip(" "))
