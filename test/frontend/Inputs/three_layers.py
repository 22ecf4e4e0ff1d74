"""A model of three int8 layers, 64x64 weights each: three_layers.py OUT.qn.

%a's weights are -1, 0 or 1, %b's any number, %c's -7..7: coded they take about 1.6, 8 and 3.9 bits.
"""
import random
import sys

rng = random.Random(5)
with open(sys.argv[1], "w") as out:
    out.write("model three\n")
    for name, most in ("a", 1), ("b", 127), ("c", 7):
        weights = ", ".join(str(rng.randint(-most, most)) for _ in range(4096))
        biases = ", ".join(str(rng.randint(-500, 500)) for _ in range(64))
        out.write(f"const @w{name} : i8[64,64] q(0.5, 0) = [{weights}]\n")
        out.write(f"const @b{name} : i32[64] = [{biases}]\n")
    out.write("const @m : i32[1] = [1073741824]\nconst @r : i8[1] = [4]\n")
    out.write("func @main(%x : i8[1,64] q(0.5, 0)) -> (i8[1,64] q(0.5, 0)) {\n")
    for name, x in ("a", "x"), ("b", "a"), ("c", "b"):
        out.write(f"  %{name} = qdense %{x}, @w{name}, @b{name}, @m, @r : i8[1,64] q(0.5, 0)\n")
    out.write("  return %c\n}\n")
