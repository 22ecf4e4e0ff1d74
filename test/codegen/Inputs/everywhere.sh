# everywhere.sh RUNTIME PLACE OPTIONS MODEL...: compiles models with `quern compile OPTIONS` for a row of
# `quern help targets`, runs them there on the samples in NAME.in and compares every byte with the answers
# in NAME.want; checks that stack and memory stay within what the header says.
#
# PLACE is ROW: as a Linux program, under QEMU where the machine is another one; ROW@BOARD: as firmware on
# a board of qemu-system; both with the plugin $COUNTER (calls.c) if it is set. ROW@N or ROW@virt-N: with vectors
# of N bits. x86-64-avxvnni@evex: with AVX-VNNI's instructions encoded as AVX-512 VNNI has them, which do the
# same. x86-64-amx@emulated: by amx.c, which the system needs not be asked for.
runtime=$1 place=$2 options=$3
shift 3
here=$(dirname "$0")
row=${place%%@*} where=${place#"$row"}
where=${where#@}

case $row in
host | x86-64*) flags=--target=x86_64-linux-gnu emulator= ;;
aarch64) flags=--target=aarch64-linux-gnu emulator="qemu-aarch64 -cpu cortex-a53" ;;
aarch64-dotprod) flags=--target=aarch64-linux-gnu emulator="qemu-aarch64 -cpu neoverse-n1" ;;
aarch64-i8mm) flags=--target=aarch64-linux-gnu emulator="qemu-aarch64 -cpu max" ;;
armv7-neon) flags=--target=armv7-linux-gnueabihf emulator=qemu-arm ;;
cortex-m0plus) flags="--target=thumbv6m-none-eabi -mcpu=cortex-m0plus" ;;
cortex-m4 | cortex-m7) flags="--target=thumbv7em-none-eabihf -mcpu=$row" ;;
cortex-m33) flags="--target=thumbv8m.main-none-eabihf -mcpu=$row" ;;
cortex-m55) flags="--target=thumbv8.1m.main-none-eabihf -mcpu=$row" ;;
rv32imc) flags="--target=riscv32-unknown-elf -march=rv32imc -mabi=ilp32" emulator=qemu-riscv32 ;;
rv64gc) flags="--target=riscv64-linux-gnu -mcmodel=medany" emulator="qemu-riscv64 -cpu rv64,v=false" ;;
rv64gcv) flags="--target=riscv64-linux-gnu -mcmodel=medany" emulator=qemu-riscv64 ;;
esac
case "$row $options" in
rv64gc*"--float-abi soft"*) flags="--target=riscv64-unknown-elf -march=rv64imac -mabi=lp64 -mcmodel=medany" ;;
*"--float-abi soft"*) flags="$(echo "$flags" | sed s/eabihf/eabi/) -mfloat-abi=soft" ;;
esac

# board EMULATOR CODE-ORIGIN LENGTH DATA-ORIGIN LENGTH
board() {
  emulator="$1 -nographic -monitor none -serial none -semihosting -kernel"
  echo "MEMORY { CODE (rwx) : ORIGIN = $2, LENGTH = $3  DATA (rw) : ORIGIN = $4, LENGTH = $5 }" > memory.ld
  system="-fno-pic -T $here/board.ld $here/board.c"
}
system="-DPAGES=1 $here/linux.c"
vector="-cpu rv64,v=true,vext_spec=v1.0,vlen=${where#virt-}"
case $where in
"") ;;
microbit) board "qemu-system-arm -M $where" 0 256K 0x20000000 16K ;;
mps2-an385 | mps2-an386 | mps2-an500) board "qemu-system-arm -M $where" 0 4M 0x20000000 4M ;;
mps2-an505) board "qemu-system-arm -M $where" 0x10000000 4M 0x38000000 2M ;;
mps3-an547) board "qemu-system-arm -M $where" 0 512K 0x21000000 4M ;;
virt) board "qemu-system-$(echo "$row" | sed 's/rv\([0-9]*\).*/riscv\1/') -M virt -bios none" 0x80000000 4M 0x80400000 4M ;;
evex) ;;
emulated) system="$system $here/amx.c -DEMULATED -mgeneral-regs-only" ;;
virt-*) board "qemu-system-riscv64 -M virt -bios none $vector" 0x80000000 4M 0x80400000 4M ;;
*) emulator="$emulator $vector" ;;
esac

# The largest number among the header's macros that match, and how many they are.
largest() { sed -n "s/^#define M_$1 \([0-9]*\).*/\1/p" m.h | sort -n | tail -1; }
count() { grep -c "^#define M_$1[0-9]*_BYTES" m.h; }

compile() {
  quern compile "$1" -o m.o --target "$row" --name m $options || return
  case $where in
  evex) edit='s/{vex}//' ;;
  emulated) edit='s/^\tsyscall$/\txorl %eax, %eax/' ;;
  *) return 0 ;;
  esac
  quern compile "$1" -o m.s --emit asm --target "$row" --name m $options && sed "$edit" m.s > edited.s &&
    clang $flags -mavx512vl -mavx512vnni -mamx-int8 -c edited.s -o m.o
}

# link FILE...: the program, with FILEs in front of the model.
link() {
  clang $flags -O1 -ffreestanding -fno-builtin -nostdlib -static -fuse-ld=lld -I. -I "$runtime" \
    -DINPUTS="$(count INPUT)" -DOUTPUTS="$(count OUTPUT)" -DTENSOR_BYTES="$(largest '[A-Z]*PUT[0-9]*_BYTES')" \
    "$here/harness.c" $system "$@" m.o -o program
}

# Leaves the answers in $name.got, what the program says in m.stack.
execute() {
  [ -z "$COUNTER" ] || plugin="-plugin $COUNTER,$(llvm-nm -S program | awk '$4 == "m_run" { print "at=0x" $1 ",bytes=0x" $2 }'),to=m.calls"
  case $system in
  *board.c)
    cp "$name.in" input && timeout 120 $emulator program $plugin > m.stack 2>&1
    status=$?
    mv output "$name.got"
    ;;
  *)
    $emulator $plugin ./program < "$name.in" > "$name.got" 2> m.stack
    status=$?
    ;;
  esac
}

# QEMU 7.2 stops where vfcvt.rtz is the first float instruction behind the start of a page
# (decode_save_opc): with the same code at another address it does not.
has_stopped() { [ $status != 0 ] && grep -q decode_save_opc m.stack; }
printf '.text\n.skip 256\n' > elsewhere.s

for model in "$@"; do
  name=$(basename "$model")
  name=${name%.*}
  compile "$model" && link || { echo "$place: $name does not link"; exit 1; }
  execute
  has_stopped && link elsewhere.s && execute
  [ $status = 0 ] || { echo "$place: $name $options: exit status $status; stack $(cat m.stack)"; exit 1; }
  cmp "$name.got" "$name.want" || { echo "$place: $name $options differs"; exit 1; }
  echo "$place: $name equal; code $(largest CODE_BYTES), memory $(largest MEMORY_BYTES), stack $(($(cat m.stack))) of $(largest STACK_BYTES)"
done
