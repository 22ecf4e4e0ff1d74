# quantize.sh MODEL X.npy OUT CONTRACT: the float ops that are left of the quantized model, in order
# of their names; and that compiled code and the evaluator answer the same.
set -e
quantize="--quantize int8 --calibrate $2 --contract $4"
quern compile $1 $quantize --emit qn -o $3.qn
quern run $1 $quantize -i $2 -o $3.compiled.npy
quern run $1 $quantize -i $2 -o $3.evaluated.npy --interpret
cmp $3.compiled.npy $3.evaluated.npy
sed -nE 's/^  %[^ ]* = ([a-z_0-9]+) .*/\1/p' $3.qn |
  grep -vxE "concat|pad|slice|transpose|reshape|flatten|lookup|requantize|q([^u].*|u[^a].*)" | sort -u
# moves and tables are of stored values
if grep -E " = (concat|pad|slice|transpose|reshape|flatten|lookup) .*: f32" $3.qn; then exit 1; fi
