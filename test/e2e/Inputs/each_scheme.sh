# each_scheme.sh PYTHON RUNTIME: quantized_targets.sh with each scheme that is no search.
for scheme in $(quern help schemes | cut -d' ' -f1 | grep -vxE 'mixed|fewest|auto'); do
  sh "$(dirname "$0")/quantized_targets.sh" $1 "$2" $scheme tflite || exit 1
done
