# corrupt.sh MODEL CLANG CODEC EVERY [FORM]: see corrupt.c; the model's code gets an address sanitizer on its way from
# LLVM's IR to an object.
here=$(dirname "$0")
quern compile "$1" -o m.ll --header m.h --emit llvm --name m --target x86-64 --weights "${5:-coded}" --codec "$3" --split-memory &&
  sed -e 's/^@m_weights = internal constant/@m_weights = global/' -e 's/^attributes #[0-9]* = {/& sanitize_address/' m.ll > s.ll &&
  $2 -w -O1 -fsanitize=address -I . -I "$here/../../../runtime" "$here/corrupt.c" s.ll -lm -o corrupt &&
  ./corrupt "$(sed -n 's/^@m_weights = internal constant \[\([0-9]*\) .*/\1/p' m.ll)" "$4"
