#!/usr/bin/env bash
# Runs the CUDA path on a machine without a GPU: an unchanged build with `--features cuda` loads
# crates/cuda-emulator in place of NVIDIA's driver and cuBLAS. Called by .ci/run.
#
#     scripts/test-cuda-emulated.sh                # all of it
#     scripts/test-cuda-emulated.sh cargo test …   # one command in the same surroundings
set -euo pipefail
cd "$(dirname "$0")/.."
# Candle's own kernels are compiled for this; 8-bit floats, which the emulator lacks, begin at 89.
export CUDA_COMPUTE_CAP=80
# NVIDIA's wheels, whose version the emulator has: the system's CUDA may be another.
toolkit=$(scripts/cuda-toolkit.sh --wheels)
eval "$toolkit"

target=${CARGO_TARGET_DIR:-$PWD/target}
emulator=$target/cuda-emulator
cargo build --release --locked -p cuda-emulator
"$target/release/cuda-emulator-links" "$emulator"
scripts/nvcc-without-quantised.sh --install "$target/nvcc"
export NVCC=$target/nvcc/bin/nvcc
export LIBRARY_PATH=$emulator:$LIBRARY_PATH LD_LIBRARY_PATH=$emulator:$LD_LIBRARY_PATH
export CUDA_EMULATOR_DEVICES=${CUDA_EMULATOR_DEVICES:-2}

if [ $# -gt 0 ]; then
    exec "$@"
fi

# Tandem's own kernels compile without a warning and fit in registers.
python3 scripts/check-kernels.py

# Tandem's own kernels pass, and copies with a mistake in them are caught; CUDA C++ gives the values it should.
cargo test --locked -p cuda-emulator --test broken_kernels --test cuda_faults --test cuda_floats \
    --test cuda_integers --test cuda_programs --test cuda_warps -- --ignored

# One build of everything: other packages or features would compile candle again.
parts=(-p tandem-ops -p tandem-alexnet -p tandem-cli -p tandem-tests --features tandem-tests/cuda)
cargo clippy --locked "${parts[@]}" --all-targets -- -D warnings
cargo test --locked "${parts[@]}" --lib \
    --test ops --test two_tower --test lrn_over_towers --test on_gpu --test gpus --test gpu_steps

# Convolutions by cuDNN.
parts=(-p tandem-ops -p tandem-alexnet --features tandem-alexnet/cudnn)
cargo clippy --locked "${parts[@]}" --all-targets -- -D warnings
cargo test --locked "${parts[@]}" --lib --test ops --test two_tower --test on_gpu
