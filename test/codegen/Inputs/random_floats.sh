# random_floats.sh PYTHON SEED COUNT: random_floats.py's models in the current folder, for everywhere.sh:
# two samples raw, and what the evaluator answers.
here=$(dirname "$0")
$1 "$here/random_floats.py" $2 $3 || exit 1
i=0
while [ $i -lt $3 ]; do
  quern run m$i.qn -i m$i.npy -o want.npy --interpret && $1 "$here/samples.py" join m$i.in 2 m$i.npy &&
    $1 "$here/samples.py" join m$i.want 2 want.npy || exit 1
  i=$((i + 1))
done
