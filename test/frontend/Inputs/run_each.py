"""run_each.py FOLDER COMMAND...: the command on every file of the folder: name, exit status and what
it writes to standard error, the folder's name left out."""

import os
import subprocess
import sys

folder, command = sys.argv[1], sys.argv[2:]
for name in sorted(os.listdir(folder)):
    done = subprocess.run(command + [os.path.join(folder, name)], capture_output=True)
    print(f"== {name}, exit {done.returncode}")
    print(done.stderr.decode(errors="replace").replace(folder + os.sep, ""), end="")
