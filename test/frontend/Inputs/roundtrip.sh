# roundtrip.sh FOLDER ENDING: imports each model of that ending into the current folder and compares it with its
# YAML, as text and as an object.
for path in "$1"/*."$2"; do
  name=$(basename "$path" ".$2")
  quern import "$path" -o "$name.yaml" &&
    quern opt "$path" > file.qn && quern opt "$name.yaml" > yaml.qn && cmp file.qn yaml.qn &&
    quern compile "$path" -o file.o --name net && quern compile "$name.yaml" -o yaml.o --name net &&
    cmp file.o yaml.o && cmp file.h yaml.h && echo "$name: same"
done
