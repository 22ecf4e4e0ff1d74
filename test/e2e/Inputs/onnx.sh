# onnx.sh CC SHARED RUNTIME NETWORK...: compiles each float network's ONNX file in the current folder, links
# golden.c to it and compares with the reference's answers.
cc=$1 shared=$2 runtime=$3
shift 3
here=$(dirname "$0")
for net in "$@"; do
  quern compile "$shared/peers/ort/onnx/$net.f32.onnx" --name "$net" -o "$net.o" &&
    $cc -O2 -I "$runtime" -DMODEL="${net}_model" "$here/golden.c" "$net.o" -lm -o "$net" &&
    echo "$net: $("./$net" "$shared/golden/$net/input.npy" "$shared/golden/$net/output.npy")" || exit 1
done
