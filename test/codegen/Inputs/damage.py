"""damage.py FILE flip AT | zero FROM: FILE.bad is FILE with a bit flipped, or zeros from there on."""
import sys

data, at = bytearray(open(sys.argv[1], "rb").read()), int(sys.argv[3])
if sys.argv[2] == "flip":
    data[at] ^= 4
else:
    data[at:] = bytes(len(data) - at)
open(sys.argv[1] + ".bad", "wb").write(data)
