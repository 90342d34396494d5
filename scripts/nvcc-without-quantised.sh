#!/usr/bin/env bash
# Stands in for nvcc in the emulated test build alone (scripts/test-cuda-emulated.sh): compiles an
# empty file in place of candle's quantised matrix products (moe_*, mmq_*, mmvq_*). Tandem never
# calls them, and they are nine of the ten minutes that candle's kernels take to compile. A build
# for use runs nvcc itself.
#
# With --install FOLDER it makes FOLDER/bin/nvcc, which finds the real nvcc through CUDA_HOME, and
# beside it what build scripts look for around an nvcc.
set -euo pipefail

if [ "${1:-}" = --install ]; then
    : "${CUDA_HOME:?is not set; eval \"\$(scripts/cuda-toolkit.sh)\" first}"
    mkdir -p "$2/bin"
    cp "$0" "$2/bin/nvcc"
    echo '/* Nothing: see scripts/nvcc-without-quantised.sh. */' >"$2/empty.cu"
    for part in include lib64 nvvm; do
        ln -sfn "$CUDA_HOME/$part" "$2/$part"
    done
    exit
fi

empty="$(dirname "$0")/../empty.cu"
arguments=()
for argument in "$@"; do
    case "$(basename -- "$argument")" in
    moe_*.cu | mmq_*.cu | mmvq_*.cu) arguments+=("$empty") ;;
    *) arguments+=("$argument") ;;
    esac
done
exec "$CUDA_HOME/bin/nvcc" "${arguments[@]}"
