# roundtrip.sh MODELS: imports each .tflite into the current folder and compares it with its YAML, as
# text and as an object.
for path in "$1"/*.tflite; do
  name=$(basename "$path" .tflite)
  quern import "$path" -o "$name.yaml" &&
    quern opt "$path" > tflite.qn && quern opt "$name.yaml" > yaml.qn && cmp tflite.qn yaml.qn &&
    quern compile "$path" -o tflite.o --name net && quern compile "$name.yaml" -o yaml.o --name net &&
    cmp tflite.o yaml.o && cmp tflite.h yaml.h && echo "$name: same"
done
