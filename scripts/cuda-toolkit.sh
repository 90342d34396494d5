#!/usr/bin/env bash
# Finds or installs what a build with `--features cuda` needs, and prints the `export` lines:
#
#     eval "$(scripts/cuda-toolkit.sh)"
#     cargo build --release --features cuda
#
# The system's CUDA is used if there is one (CUDA_HOME, CUDA_PATH or an nvcc on PATH). Otherwise
# NVIDIA's own wheels are installed with pip, at the versions below, into target/cuda-toolkit: some
# 1.5 GB, once; after that nothing is fetched. Neither needs a GPU or a driver. Without a driver the
# linker is given a libcuda whose every function answers CUDA_ERROR_STUB_LIBRARY; it is for linking
# only and never put where a program would load it.
#
# CUDA_COMPUTE_CAP, if set, is kept; otherwise it is that of the first GPU, or 80.
# With --wheels the system's CUDA is passed over. With --cudnn, for a build with `--features cudnn`,
# cuDNN 9 is looked for too, and its wheel, some 800 MB, is installed into target/cudnn if there is
# none.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

WHEELS=(
    nvidia-cuda-nvcc==13.0.88
    nvidia-nvvm==13.0.88
    nvidia-cuda-crt==13.0.88
    nvidia-cuda-runtime==13.0.96
    nvidia-cuda-cccl==13.0.85
    nvidia-cuda-nvrtc==13.0.88
    nvidia-curand==10.4.0.35
    nvidia-cublas==13.1.1.3
)
# The version whose functions candle's cudarc declares; a later 9 also serves.
CUDNN=nvidia-cudnn-cu13==9.21.1.3

say() { echo "cuda-toolkit: $*" >&2; }
fail() { say "$*"; exit 1; }

from_system() {
    local home=${CUDA_HOME:-${CUDA_PATH:-}}
    if [ -z "$home" ] && command -v nvcc >/dev/null; then
        home=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
    fi
    if [ -n "$home" ] && [ -x "$home/bin/nvcc" ]; then
        echo "$home"
    fi
}

# Wheels keep libraries under their versioned name alone; the linker asks for the plain one.
link_plain_names() {
    local versioned plain
    for versioned in "$1"/lib/lib*.so.*; do
        plain=${versioned%%.so.*}.so
        [ -e "$plain" ] || ln -s "$(basename "$versioned")" "$plain"
    done
    [ -e "$1/lib64" ] || ln -s lib "$1/lib64"
}

# A libcuda to link with: every function that cuda.h declares, under every name it has there.
make_stub() {
    local folder=$1/lib/stubs
    [ -e "$folder/libcuda.so" ] && return
    mkdir -p "$folder"
    {
        echo "/* CUDA_ERROR_STUB_LIBRARY */"
        grep -oE '\bcu[A-Z][A-Za-z0-9]*(_v[0-9]+)?(_ptds|_ptsz)?\b' "$1/include/cuda.h" |
            sort -u | sed 's/.*/int &(void) { return 34; }/'
    } >"$folder/libcuda.c"
    ${CC:-cc} -shared -fPIC -w -fno-builtin -Wl,-soname,libcuda.so.1 \
        -o "$folder/libcuda.so.new" "$folder/libcuda.c"
    mv "$folder/libcuda.so.new" "$folder/libcuda.so"
}

# wheels FOLDER PART INSTEAD WHEEL…: installs the wheels into target/FOLDER, once, and prints its
# nvidia/PART. INSTEAD is what to do where pip cannot.
wheels() {
    local root="$PWD/target/$1" part=$2 instead=$3
    shift 3
    local pins
    pins=$(printf '%s\n' "$@")
    if [ "$(cat "$root/installed" 2>/dev/null)" != "$pins" ]; then
        say "installing into $root, once: $*"
        local fresh="$root.$$"
        rm -rf "$fresh"
        trap 'rm -rf "'"$fresh"'"' EXIT
        python3 -m pip install --quiet --root-user-action=ignore --no-deps --no-compile --only-binary=:all: \
            --target "$fresh" "$@" >&2 ||
            fail "pip could not install them; $instead"
        # pip gives each wheel's files their modes, but nvcc's helpers have come without x.
        chmod +x "$fresh"/nvidia/cu13/bin/* "$fresh"/nvidia/cu13/nvvm/bin/* 2>/dev/null || true
        link_plain_names "$fresh/nvidia/$part"
        echo "$pins" >"$fresh/installed"
        rm -rf "$root"
        mv -T "$fresh" "$root"
    fi
    echo "$root/nvidia/$part"
}

from_wheels() {
    wheels cuda-toolkit cu13 "install CUDA 13.0 and set CUDA_HOME instead" "${WHEELS[@]}"
}

# Nothing where the linker finds cuDNN by itself.
cudnn_from_wheel() {
    if [ -e "$home/lib64/libcudnn.so" ] || ldconfig -p 2>/dev/null | grep 'libcudnn\.so ' >/dev/null; then
        return
    fi
    wheels cudnn cudnn "install cuDNN 9 for CUDA 13 instead" "$CUDNN"
}

compute_cap() {
    if [ -n "${CUDA_COMPUTE_CAP:-}" ]; then
        echo "$CUDA_COMPUTE_CAP"
    elif command -v nvidia-smi >/dev/null; then
        nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null |
            head -n 1 | tr -d '. \n' | grep -x '[0-9]*'
    fi
}

system=yes cudnn=
for option in "$@"; do
    case $option in
        --wheels) system=no ;;
        --cudnn) cudnn=yes ;;
        *) fail "unknown option $option; there are --wheels and --cudnn" ;;
    esac
done

home=
if [ $system = yes ]; then
    home=$(from_system)
fi
if [ -n "$home" ]; then
    say "using the CUDA at $home"
else
    home=$(from_wheels)
    say "using NVIDIA's wheels at $home"
fi
if [ -n "$cudnn" ]; then
    cudnn=$(cudnn_from_wheel)
fi

# An nvidia-smi without a driver fails, and says so where the answer would be.
cap=$(compute_cap) || cap=
# What the linker looks through. A driver's own libcuda comes before the stub.
libraries="$home/lib64"
if ! ldconfig -p 2>/dev/null | grep 'libcuda\.so ' >/dev/null; then
    if [ ! -e "$home/lib64/stubs/libcuda.so" ]; then
        make_stub "$home"
    fi
    libraries="$libraries:$home/lib64/stubs"
    say "there is no driver's libcuda: linking with a stub"
fi

own="$home/lib64"
if [ -n "$cudnn" ]; then
    say "cuDNN of NVIDIA's wheel at $cudnn"
    own="$own:$cudnn/lib"
    libraries="$libraries:$cudnn/lib"
fi

cat <<END
export CUDA_HOME='$home'
export CUDA_PATH='$home'
export CUDA_ROOT='$home'
export CUDA_COMPUTE_CAP='${cap:-80}'
export PATH='$home/bin':"\$PATH"
export LIBRARY_PATH='$libraries'"\${LIBRARY_PATH:+:\$LIBRARY_PATH}"
export LD_LIBRARY_PATH='$own'"\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
END
