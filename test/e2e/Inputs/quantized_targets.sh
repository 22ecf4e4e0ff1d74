# quantized_targets.sh PYTHON RUNTIME SCHEME CONTRACT...: every_op.qn, quantized with golden/input.npy of the
# current folder, on this machine and on two targets under QEMU: every byte as the evaluator on this machine answers it.
python=$1 runtime=$2 scheme=$3
shift 3
here=$(dirname "$0")
codegen=$here/../../codegen/Inputs
for contract; do
  options="--quantize $scheme --calibrate golden/input.npy --contract $contract"
  quern run "$here/every_op.qn" $options -i golden/input.npy -o golden/output.npy --interpret &&
    $python "$codegen/samples.py" join every_op.in 8 golden/input.npy &&
    $python "$codegen/samples.py" join every_op.want 8 golden/output.npy || exit 1
  quern run "$here/every_op.qn" $options -i golden/input.npy -o host.npy && cmp host.npy golden/output.npy || exit 1
  echo "$scheme $contract: host: every_op equal"
  for place in cortex-m4@mps2-an386 rv64gcv@128; do
    sh "$codegen/everywhere.sh" "$runtime" $place "$options" "$here/every_op.qn" > said || { cat said; exit 1; }
    echo "$scheme $contract: $(cut -d';' -f1 said)"
  done
done
