"""A model of two layers, one of which needs levels, and samples: two_sizes.py MODEL.qn X.npy.

%a's weights are 1 and -1: 3 levels say them exactly. %b's are 64 different ones.
"""
import random
import struct
import sys

rng = random.Random(3)
signs = [rng.choice([1, -1]) for _ in range(256)]
reals = [rng.gauss(0, 1) for _ in range(64)]
with open(sys.argv[1], "w") as out:
    out.write(f"""model two_sizes
const @v : f32[16,16] = [{', '.join(map(str, signs))}]
const @w : f32[4,16] = [{', '.join(f'{x:.6f}' for x in reals)}]
func @main(%x : f32[1,16]) -> f32[1,4] {{
  %a = dense %x, @v : f32[1,16]
  %b = dense %a, @w : f32[1,4]
  return %b
}}
""")
data = struct.pack("<1024f", *(rng.gauss(0, 1) for _ in range(1024)))
head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (64, 16), }"
head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
open(sys.argv[2], "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)
