"""no_float.py ROW[=soft],... MODEL...: compiles models for rows of `quern help targets` and looks for float
instructions and for float arithmetic by call. Exit status 1 when there are any."""
import itertools
import re
import subprocess
import sys

# ARM's float and vector instructions begin with v, RISC-V's float ones with f (fence is none)
FLOAT = {"arm": re.compile(r"v[a-z]"), "riscv": re.compile(r"(c\.)?f(?!ence)")}
CALL = re.compile(r"__(aeabi_([fd]|[iu]2[fd]|[lu]*2[fd])\w*|\w+[sd]f[23]?|fix\w+|float\w+)$")


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


found = False
for row, model in itertools.product(sys.argv[1].split(","), sys.argv[2:]):
    name, _, soft = row.partition("=")
    run("quern", "compile", model, "-o", "m.o", "--target", name, *(["--float-abi", soft] if soft else []))
    kind = "riscv" if name.startswith("rv") else "arm"
    cpu = [f"--mcpu={name}"] if name.startswith("cortex") else ["--mattr=+neon"] if kind == "arm" else []
    listing = run("llvm-objdump", "-d", "--no-show-raw-insn", "--no-leading-addr", *cpu, "m.o")
    words = [line.split()[0] for line in listing.split("\n") if line.startswith(("\t", " ")) and line.split()]
    assert "<unknown>" not in words
    floats = {w for w in words if FLOAT[kind].match(w)}
    floats |= {s for s in run("llvm-nm", "--just-symbol-name", "m.o").split() if CALL.match(s)}
    found = found or bool(floats)
    print(f"{row}: {len(words)} instructions, {'floats: ' + ' '.join(sorted(floats)) if floats else 'no floats'}")
sys.exit(found)
