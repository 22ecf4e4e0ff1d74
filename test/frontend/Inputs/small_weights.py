"""A dense layer half of whose weights hardly count, and samples: small_weights.py MODEL.qn X.npy.

Of 16 weights in a row 8 are near 1 and 8 are near 0.02.
"""
import random
import struct
import sys

rng = random.Random(7)
weights = [rng.uniform(0.8, 1) * (1 if i % 2 else 0.02) * rng.choice([1, -1]) for i in range(64)]
with open(sys.argv[1], "w") as out:
    out.write(f"""model small_weights
const @w : f32[4,16] = [{', '.join(f'{x:.6f}' for x in weights)}]
func @main(%x : f32[1,16]) -> f32[1,4] {{
  %y = dense %x, @w : f32[1,4]
  return %y
}}
""")
data = struct.pack("<1024f", *(rng.gauss(0, 1) for _ in range(1024)))
head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (64, 16), }"
head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
open(sys.argv[2], "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)
