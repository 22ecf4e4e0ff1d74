# fails.sh STATUS "ARGUMENTS": runs quern, which must print exactly one error and exit with STATUS;
# prints what it said.
said=$(quern $2 2>&1 >/dev/null)
status=$?
echo "$said"
[ $status = "$1" ] || { echo "quern $2: exit status $status, not $1"; exit 1; }
[ "$(echo "$said" | grep -c 'error:')" = 1 ] || { echo "quern $2: not one error"; exit 1; }
