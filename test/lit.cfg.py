import os
import platform
import shutil
import lit.formats

config.name = "quern"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".qn", ".yaml", ".test"]
config.excludes = ["Inputs", "bench"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.quern_build, "test")
config.environment["PATH"] = os.pathsep.join(
    [config.quern_build, config.llvm_bin, config.environment["PATH"]])
config.environment["FILECHECK_OPTS"] = (
    "--dump-input=fail --enable-var-scope --allow-unused-prefixes=false")

# %cc: the C compiler, %runtime: the folder of quern.h and the kernels, %build: what CMake built,
# %root: the repository, %shared: real networks with their reference answers, where they are
# present (feature `shared`)
shared = os.path.join(config.quern_source, "..", "shared")
config.substitutions += [
    ("%cc", config.cc),
    ("%runtime", os.path.join(config.quern_source, "runtime")),
    ("%build", config.quern_build),
    ("%root", config.quern_source),
    ("%shared", shared),
    ("%python", shutil.which("python3", path="/usr/bin") or "python3"),
]
if os.path.isdir(os.path.join(shared, "models")):
    config.available_features.add("shared")
if os.path.isdir(os.path.join(shared, "peers", "ort", "onnx")):  # the same networks as ONNX files
    config.available_features.add("shared-onnx")
if config.quern_sanitize:
    config.available_features.add("sanitize")
    # LLVM and the machine's own libraries keep what they allocate until the process ends
    config.environment["ASAN_OPTIONS"] = "detect_leaks=0"
config.available_features.add(platform.machine())  # x86_64, aarch64, ...
if os.path.exists("/proc/cpuinfo"):  # what x86 machines differ in
    config.available_features |= set(open("/proc/cpuinfo").read().split()) & {"avx2", "avx_vnni", "avx512_vnni", "amx_int8"}
for tool in ["qemu-aarch64", "qemu-arm", "qemu-riscv64", "qemu-riscv32", "qemu-system-arm",
             "arm-none-eabi-gcc", "ld.lld", "c++", "qemu-system-riscv32", "qemu-system-riscv64", "groff", "zsh", "cmake", "make", "ninja",
             "pkg-config"]:
    if shutil.which(tool, path=config.environment["PATH"]):
        config.available_features.add(tool)
