"""all_options.py MAN BASH ZSH: every option that `quern help COMMAND` lists is in the three files."""
import re
import subprocess
import sys

man, bash, zsh = (open(path).read() for path in sys.argv[1:])
commands = re.findall(r"^  quern (\w+)", subprocess.check_output(["quern", "help"], text=True), re.M)
assert "compile" in commands and "help" in commands, commands
for command in commands:
    text = subprocess.check_output(["quern", "help", command], text=True)
    flags = re.findall(r"^  (-[\w-]+)", text, re.M)
    assert "--help" in flags, text
    page = man.split(f".SS quern {command}\n")[1].split("\n.S")[0].replace("\\-", "-")
    offered = re.search(rf"\*:{command}:\*\).*options='([^']*)'", bash).group(1).split()
    shell = zsh.split(f"\n  {command})\n")[1].split(";;")[0]
    assert offered == flags, (command, offered, flags)
    for flag in flags:
        assert f".TP\n\\fB{flag}\\fR" in page, (command, flag)
        assert re.search(rf"'\*?{flag}=?\[", shell), (command, flag)
