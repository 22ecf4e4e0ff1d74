# everywhere.sh RUNTIME ROW EMULATOR CLANG-FLAGS...: compiles the models of samples.sh for a row of
# `quern help targets`, runs them (with an emulator, or "" for none) on the samples and compares every
# byte with the evaluator's answers; checks that the stack stays within the header's bound.
runtime=$1 row=$2 emulator=$3
shift 3
here=$(dirname "$0")
# run MODEL FORM
run() {
  quern compile $1.qn -o m.o --target "$row" --name m --weights $2 &&
    clang $flags -O1 -ffreestanding -fno-builtin -nostdlib -static -fuse-ld=lld -I "$runtime" \
      -include m.h -DNAME=m -DBOUND=M_STACK_BYTES "$here/linux.c" m.o -o program &&
    $emulator ./program < $1.in > $1.got 2> $1.stack ||
    { echo "$row: $1 $2: exit status $?; stack $(cat $1.stack)"; exit 1; }
  cmp $1.got $1.want || { echo "$row: $1 $2 differs"; exit 1; }
  bound=$(sed -n 's/.*STACK_BYTES \([0-9]*\).*/\1/p' m.h)
  echo "$row: $1 $2 equal, stack $(cat $1.stack) of $bound, weights $(sed -n 's/.*WEIGHT_BYTES \([0-9]*\).*/\1/p' m.h)"
}
flags="$*"
run float_ops raw && run int8_ops raw && run coded raw && run coded coded
