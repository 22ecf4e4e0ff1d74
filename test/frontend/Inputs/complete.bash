# complete.bash SCRIPT WORD... : what bash offers for the last word, one per line, as readline would ask.
compopt() { :; } # only works while readline completes
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_quern
printf '%s\n' "${COMPREPLY[@]}" | sort
