# bare.sh RUNTIME NAME SAMPLES GOLDEN: links NAME.o of the current folder into firmware, runs the first
# SAMPLES of GOLDEN's inputs under QEMU and compares every byte with its outputs.
runtime=$1 name=$2 samples=$3 golden=$4
here=$(dirname "$0")
flags="-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -O2 -ffreestanding -nostdlib"
python3 - "$samples" "$golden" <<'END' || exit 1
import sys
samples, golden = int(sys.argv[1]), sys.argv[2]
for name, to in (("input", "input.bin"), ("output", "want.bin")):
    raw = open(f"{golden}/{name}.npy", "rb").read()
    data = raw[10 + raw[8] + 256 * raw[9]:]
    count = int(raw[10:].split(b"'shape': (")[1].split(b",")[0])
    open(to, "wb").write(data[:len(data) // count * samples])
END
arm-none-eabi-gcc $flags -I "$runtime" -DMODEL="${name}_model" -T "$here/bare.ld" "$here/bare.c" "$name.o" -o "$name.elf" &&
  timeout 120 qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -semihosting -kernel "$name.elf" &&
  cmp output.bin want.bin && echo "$name: $samples samples equal on cortex-m4"
