# package.sh GENERATOR PREFIX TENSORS: builds the project of the current folder with the package under
# PREFIX, for the host and a Cortex-M4, and says what is compiled again after which change. TENSORS
# is the script that writes weights.
set -eu
generator=$1 prefix=$2 tensors=$3
rm -rf build firmware
python3 "$tensors" w.safetensors w=F32:2,2:1,2,3,4
python3 "$tensors" b.npy F32:2:0.5,-0.5
python3 "$tensors" x.npy F32:4,1,2:1,2,0,0,1,0,0,2
configure() { cmake -G "$generator" -S . "$@" -DCMAKE_PREFIX_PATH="$prefix" >configure.log 2>&1 || cat configure.log; }
build() {
  cmake --build build >build.log 2>&1 || cat build.log
  echo "$1: $(grep -c 'Compiling .*tiny.yaml' build.log) compiled, $(build/program/program)"
}
configure -B build
build "at first"
build "again"
python3 "$tensors" w.safetensors w=F32:2,2:1,2,3,5
build "other weights"
python3 "$tensors" b.npy F32:2:0,0
build "other bias"
touch tiny.yaml
build "touched model"
python3 "$tensors" x.npy F32:2,1,2:1,2,0,0
build "other calibration"
build "again"
configure -B firmware --toolchain cortex-m4.cmake
cmake --build firmware >build.log 2>&1 || cat build.log
arm-none-eabi-nm firmware/program/program | sed -n 's/.* T \(.*_run\)$/cortex-m4 \1/p' | sort
