"""two_convolutions.py: two convolutions of 3x3 as IR, %a of few weights for many pixels, %b of many for few."""


def layer(name, inputs, outputs):
    weights = [(37 * i * i + 11 * i) % 41 - 20 for i in range(outputs * 9 * inputs)]
    print(f"const @{name}.w : i8[{outputs},3,3,{inputs}] q(0.5, 0) = {weights}")
    print(f"const @{name}.b : i32[{outputs}] = {[0] * outputs}")


layer("a", 16, 16)
layer("b", 64, 32)
print("""const @m : i32[1] = [1173741825]
const @s : i8[1] = [8]
func @main(%x : i8[1,16,16,16] q(0.5, 1), %y : i8[1,8,8,64] q(0.5, 1)) -> (i8[1,16,16,16] q(0.5, 1), i8[1,8,8,32] q(0.5, 1)) {
  %a = qconv2d %x, @a.w, @a.b, @m, @s padding=same : i8[1,16,16,16] q(0.5, 1)
  %b = qconv2d %y, @b.w, @b.b, @m, @s padding=same : i8[1,8,8,32] q(0.5, 1)
  return %a, %b
}""")
