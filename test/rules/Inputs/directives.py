"""directives.py FOLDER: exits with 1 and names the line where a FileCheck directive is misspelt.

Prefixes are CHECK and whatever --check-prefix names in the same file. A line that begins (behind
comment signs) with PREFIX and is followed by a colon somewhere soon must spell a directive.
"""
import pathlib
import re
import sys

SUFFIX = r"(-(NEXT|SAME|NOT|DAG|LABEL|EMPTY|COUNT-\d+))?(\{LITERAL\})?:"
bad = 0
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*")):
    if path.suffix not in (".qn", ".yaml", ".test") or not path.is_file():
        continue
    text = path.read_text(errors="replace")
    prefixes = {"CHECK"}
    for names in re.findall(r"--check-prefix(?:es)?[= ]([\w,-]+)", text):
        prefixes.update(names.split(","))
    for number, line in enumerate(text.splitlines(), 1):
        body = line.lstrip(" \t/#;")
        if "RUN:" in line:
            continue
        for prefix in sorted(prefixes, key=len, reverse=True):
            if not body.startswith(prefix):
                continue
            word = re.match(r"[\w{}-]*\s*:", body)
            exact = any(re.match(re.escape(p) + SUFFIX, body) for p in prefixes)
            if word and not exact:
                print(f"{path}:{number}: no FileCheck directive: {body}")
                bad = 1
            break
sys.exit(bad)
