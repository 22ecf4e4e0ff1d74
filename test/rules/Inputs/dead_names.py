"""dead_names.py ROOT: exits with 1 and names each qn_ word of README.md and of comments that no code has."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
sources = [p for folder in ("runtime", "ir", "passes", "codegen", "frontend") for p in (root / folder).iterdir()
           if p.suffix in (".c", ".h", ".def")]
comment = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
word = re.compile(r"\bqn_[a-z0-9_]+\b(?!\w*<)")
code = "\n".join(comment.sub(" ", p.read_text()) for p in sources)
# names that the tables paste together: qn_kernel_<row>, qn_attrs_<set>, qn_<params>_params
pasted = re.compile(r"qn_(kernel|attrs)_$|qn_(kernel|attrs)_\w*$|qn_\w*_params$")
known = set(word.findall(code))
bad = 0
for path in sources + [root / "README.md"]:
    text = path.read_text()
    said = text if path.suffix == ".md" else "\n".join(comment.findall(text))
    for name in sorted(set(word.findall(said)) - known):
        if not pasted.match(name):
            print(f"{path.relative_to(root)}: names {name}, which does not exist")
            bad = 1
sys.exit(bad)
