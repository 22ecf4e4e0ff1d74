# samples.sh PYTHON: the models for everywhere.sh in the current folder, 8 samples of each raw, and what
# the evaluator answers to them.
python=$1
here=$(dirname "$0")
# answer MODEL RESULTS INPUT...
answer() {
  model=$1 outputs="" flags=""
  for i in $(seq $2); do outputs="$outputs want$i.npy" flags="$flags -o want$i.npy"; done
  shift 2
  $python "$here/samples.py" join $model.in 8 "$@"
  for x in "$@"; do flags="$flags -i $x"; done
  quern run $model.qn --interpret $flags && $python "$here/samples.py" join $model.want 8 $outputs
}
make() { $python "$here/samples.py" make "$@"; }
cp "$here/../conv-winograd.qn" "$here/float_ops.qn" "$here/int8_ops.qn" "$here/int16_ops.qn" "$here/half_ops.qn" . && $python "$here/samples.py" dense coded.qn &&
  $python "$here/samples.py" layers layers.qn &&
  make fx.npy f4 8,8,8,1 && make fz.npy f4 8,8,8,2 && answer float_ops 16 fx.npy fz.npy &&
  make qx.npy i1 8,8,8,1 && make qy.npy i1 8,4,4,2 && answer int8_ops 16 qx.npy qy.npy &&
  make wx.npy i2 8,8,8,1 && make wy.npy i2 8,4,4,2 && answer int16_ops 16 wx.npy wy.npy &&
  make hx.npy f4 8,4,4,2 && answer half_ops 9 hx.npy &&
  make cx.npy i1 8,128 && answer coded 2 cx.npy && make lx.npy i1 8,8,8,16 && answer layers 2 lx.npy &&
  make ra.npy i1 8,8,8,4 && make rb.npy i1 8,8,12,4 && make rc.npy i1 8,8,5,4 && make rd.npy i1 8,8,3,4 &&
  make re.npy i1 8,8,8,3 && answer conv-winograd 14 ra.npy rb.npy rc.npy rd.npy re.npy
