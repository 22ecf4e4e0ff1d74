# damage.sh DAMAGE_PY CC CODEC: compiles coded.qn of the current folder with the codec, and prints what
# init and run return with its weights as they are and damaged in four ways.
damage=$1 cc=$2
quern compile coded.qn -o m.o --name m --weights coded --codec "$3" && $cc m.o -o good && ./good &&
  llvm-objcopy --dump-section .rodata.m_weights=weights.bin m.o || exit 1
for how in "flip 1000" "flip -6" "flip 2000" "zero 1500"; do
  $damage weights.bin $how && cp m.o bad.o &&
    llvm-objcopy --update-section .rodata.m_weights=weights.bin.bad bad.o && $cc bad.o -o bad && ./bad || exit 1
done
