# golden.sh CC SHARED RUNTIME FORM NETWORK...: compiles each network with --weights FORM in the
# current folder, links golden.c to it and compares with the reference's answers.
cc=$1 shared=$2 runtime=$3 form=$4
shift 4
here=$(dirname "$0")
for net in "$@"; do
  quern compile "$shared/models/$net.tflite" -o "$net.o" --contract tflite --weights "$form" &&
    $cc -O2 -I "$runtime" -DMODEL="${net}_model" "$here/golden.c" "$net.o" -lm -o "$net" &&
    echo "$net: $("./$net" "$shared/golden/$net/input.npy" "$shared/golden/$net/output.npy")" || exit 1
done
