"""long_dense.py TAPS: a dense layer of three channels (m.qn, m.bin) whose first 128 weights are -128 and the others
mostly 0, an input for it (m.in, m.in.npy)."""
import random
import struct
import sys

from random_layers import write_npy

taps, rng = int(sys.argv[1]), random.Random(1)
row = lambda: bytes([128]) * 128 + bytes(rng.choice((0, 0, 0, 1, 255)) for _ in range(taps - 128))
open("m.bin", "wb").write(row() + row() + row())
x = bytes(rng.randrange(256) for _ in range(taps))
open("m.in", "wb").write(x)
write_npy("m.in.npy", (1, taps), x)
open("m.qn", "w").write(f"""model m
const @w : i8[3,{taps}] q(0.5, 0) = file("m.bin", 0)
const @b : i32[3] = [5, -100, 1000]
const @m : i32[1] = [1500000000]
const @s : i8[1] = [9]
func @main(%x : i8[1,{taps}] q(0.5, 0)) -> i8[1,3] q(0.5, -3) {{
  %y = qdense %x, @w, @b, @m, @s : i8[1,3] q(0.5, -3)
  return %y
}}
""")
