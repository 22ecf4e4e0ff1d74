"""Writes a .qn of N ops. layers: a chain of quantized dense layers with weights of their own, four
ops each; names: a function per op, each making a constant called y."""
import sys

kind, count = sys.argv[1], int(sys.argv[2])
if kind == "layers":
    stored, ops, x = "i8[1,4] q(0.5, 0)", [], "%x"
    for i in range(count // 4):
        print(f"const @w{i} : i8[4,4] q(0.5, 0) = [{', '.join(map(str, range(16)))}]")
        ops += [f"  %a{i} = dequantize {x} : f32[1,4]",
                f"  %b{i} = dequantize @w{i} : f32[4,4]",
                f"  %c{i} = dense %a{i}, %b{i} : f32[1,4]",
                f"  %d{i} = quantize %c{i} : {stored}"]
        x = f"%d{i}"
    print(f"func @main(%x : {stored}) -> {stored} {{", *ops, f"  return {x}", "}", sep="\n")
else:
    print("const @y.1 : f32[1] = [0.5]")
    for i in range(count):
        print(f"func @f{i}() -> f32[1] {{\n  %y = tanh @y.1 : f32[1]\n  return %y\n}}")
