"""Gives quern each wrong type as an input's and prints where it found what."""
import subprocess
import sys

TYPES = ["f33[1]", "f32", "f32[1", "f32[1;2]", "f32[a]", "f32[0]", "f32[-1]", "f32[1000000000000]",
         "f32[99999999999999999999]", "f32[1000000,1000000]", "f32[1,1,1,1,1,1,1]", "f32[1] x",
         "f32[1] q(1, 0)", "i8[1] q(nan, 0)", "i8[1] q(-1, 0)", "i8[1] q(0, 0)", "i8[1] q(1e60, 0)",
         "i8[1] q(1)", "i8[1] q(1, 0.5)", "i8[1] q(1, 200)", "i8[2] q(@t, axis=0)", "i8[2] q(@m, axis=0)",
         "i8[2] q(@n, axis=0)", "i8[2] q(@s)", "i8[2] q(@s, asix=0)", "i8[2] q(@s, axis=1)",
         "i8[2] q(@s, axis=0)"]

path = sys.argv[1] + "/m.yaml"
for text in TYPES:
    with open(path, "w") as to:
        to.write(f'quern: 1\nweights: w.safetensors\ninputs: {{x: "{text}"}}\nlayers: [relu: {{}}]\noutputs: [relu]\n')
    run = subprocess.run(["quern", "opt", path], capture_output=True, text=True)
    if run.returncode != 1 or run.stdout:
        sys.exit(f"{text}: status {run.returncode}, printed '{run.stdout}'")
    print(text + run.stderr.split("\n")[0].replace(path, ""). replace(":", ": ", 1))
