#!/usr/bin/env bash
# Reads the same folder of JPEGs by `tandem data pack` and by torchvision, in turns, and prints a table.
#
#   scripts/compare-data-with-pytorch.sh [--rounds N] [--pictures N] [--source FOLDER]
#
# Both sides decode, scale the shorter side to 256 and cut the centre 256 × 256, to bytes: torchvision by
# ImageFolder and DataLoader, with two workers and batches of 128; Tandem with two threads, and it also
# writes its shards. Needs python3 with venv. PyTorch is installed into target/pytorch the first time; set
# PYTHON to use one that has it, with torchvision and scikit-image, and TANDEM to use a command that is
# built already. Nothing else should run: both sides are measured by the clock.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-target/pytorch/bin/python}
if [ -z "${PYTHON:-}" ] && ! "$python" -c 'import torchvision, skimage' 2>/dev/null; then
    echo "installing PyTorch, torchvision and scikit-image into target/pytorch" >&2
    python3 -m venv target/pytorch
    target/pytorch/bin/pip install --quiet torch torchvision numpy pillow scikit-image
fi
if [ -z "${TANDEM:-}" ]; then
    cargo build --release --quiet --locked -p tandem-cli
    TANDEM=${CARGO_TARGET_DIR:-target}/release/tandem
fi
TANDEM=$TANDEM exec "$python" scripts/compare_data_with_pytorch.py "$@"
