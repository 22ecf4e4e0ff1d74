"""A dense layer of 8192 random weights and 64 samples: one_layer.py MODEL.qn X.npy."""
import random
import struct
import sys

rng = random.Random(9)
with open(sys.argv[1], "w") as out:
    out.write(f"""model one_layer
const @w : f32[64,128] = [{', '.join(f'{rng.gauss(0, 1):.5f}' for _ in range(8192))}]
func @main(%x : f32[1,128]) -> f32[1,64] {{
  %y = dense %x, @w : f32[1,64]
  return %y
}}
""")
data = struct.pack("<8192f", *(rng.gauss(0, 1) for _ in range(8192)))
head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (64, 128), }"
head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
open(sys.argv[2], "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)
