# networks.sh SHARED RUNTIME PYTHON OPTIONS PLACE...: the five int8 networks, a few samples each, in these places
# of everywhere.sh; their answers must be the reference's. Or, with NETWORKS set, those.
shared=$1 runtime=$2 python=$3 options=$4
shift 4
here=$(dirname "$0")
models=
for network in ${NETWORKS:-hello_world:16 kws:3 ic:2 vww:1 ad:4}; do
  $python "$here/golden.py" "$shared/golden" "${network%:*}_int8" "${network#*:}" || exit 1
  models="$models $shared/models/${network%:*}_int8.tflite"
done
for place in "$@"; do
  sh "$here/../../codegen/Inputs/everywhere.sh" "$runtime" "$place" "$options" $models || exit 1
done
