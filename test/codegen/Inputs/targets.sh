# targets.sh MODEL...: compiles the models for every row of `quern help targets`; each object must have
# three global symbols and no undefined one. Prints the rows.
for row in $(quern help targets | awk '/^[a-z]/ {print $1}'); do
  for model in "$@"; do
    quern compile "$model" -o m.o --target "$row" --name m || exit 1
    undefined=$(llvm-nm -u m.o)
    [ -z "$undefined" ] || { echo "$row: undefined $undefined"; exit 1; }
    [ "$(llvm-nm -g --defined-only --just-symbol-name m.o | sort | tr '\n' ' ')" = "m_init m_model m_run " ] ||
      { echo "$row: other symbols than three"; exit 1; }
  done
  echo "$row: $(llvm-readobj --file-headers m.o | sed -n 's/^Format: //p')"
done
