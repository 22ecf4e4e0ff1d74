"""Prints what a test needs to see of the JSON schema."""
import json
import subprocess
import sys

schema = json.load(open(sys.argv[1]))
layers = schema["definitions"]["layer"]["properties"]


def needs(op):
    kind = layers[op]["type"]
    return (" ".join(layers[op].get("required", ["nothing"])) + ", " +
            (kind if isinstance(kind, str) else " or ".join(kind)))


print("model:", *sorted(schema["properties"]))
print("model needs:", *sorted(schema["required"]))
print("flatten:", *sorted(layers["flatten"]["properties"]))
print("flatten needs:", needs("flatten"))
print("conv2d:", *sorted(layers["conv2d"]["properties"]))
print("conv2d needs:", needs("conv2d"))
print("max_pool2d needs:", needs("max_pool2d"))
print("stride default:", layers["conv2d"]["properties"]["stride"]["default"])
print("activation words:", *layers["conv2d"]["properties"]["activation"]["enum"])
print("quantize:", *sorted(schema["properties"]["quantize"]["anyOf"][1]["properties"]))

known = subprocess.run(["quern", "help", "ops"], capture_output=True, text=True, check=True).stdout
names = [line.split()[0] for line in known.splitlines() if line[:1].isalpha()]
assert len(names) > 20, names
print("ops that help knows and the schema lacks:", *[n for n in names if n not in layers] or ["none"])
