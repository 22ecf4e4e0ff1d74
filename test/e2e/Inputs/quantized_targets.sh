# quantized_targets.sh PYTHON RUNTIME CONTRACT...: every_op.qn, quantized with golden/input.npy of the
# current folder, on two targets under QEMU: every byte as the evaluator on this machine answers it.
python=$1 runtime=$2
shift 2
here=$(dirname "$0")
codegen=$here/../../codegen/Inputs
vectors="qemu-riscv64 -cpu rv64,v=true,vext_spec=v1.0,vlen=128"
for contract; do
  model="$here/every_op.qn --quantize int8 --calibrate golden/input.npy --contract $contract"
  quern run $model -i golden/input.npy -o golden/output.npy --interpret &&
    quern compile $model -o $contract.o --name $contract --target cortex-m4 &&
    sh "$here/bare.sh" "$runtime" $contract 8 golden || exit 1
  quern compile $model -o m.o --name m --target rv64gcv &&
    clang --target=riscv64-linux-gnu -O1 -ffreestanding -fno-builtin -nostdlib -static -fuse-ld=lld \
      -I "$runtime" -include m.h -DNAME=m -DBOUND=M_STACK_BYTES "$codegen/linux.c" m.o -o program &&
    $python "$codegen/samples.py" join m.in 8 golden/input.npy &&
    $python "$codegen/samples.py" join m.want 8 golden/output.npy &&
    $vectors ./program < m.in > m.got 2> m.stack && cmp m.got m.want &&
    echo "$contract: equal on rv64gcv" || exit 1
done
