#!/usr/bin/env bash
# Imports full-size networks that torchvision made and PyTorch saved in all three forms of .pth and as safetensors,
# and compares what `tandem predict` says with torchvision's transforms and network. Prints a table; fails beyond
# 1e-4 in log-probability on the same pixels, or 1e-3 in probability from JPEG and PNG files.
#
#   scripts/compare-import-with-torchvision.sh
#
# Needs python3 with venv. PyTorch is installed into target/pytorch the first time; set PYTHON to use one that has
# torch, torchvision, safetensors, numpy and Pillow. Set TANDEM to use a command that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-target/pytorch/bin/python}
if [ -z "${PYTHON:-}" ] && ! "$python" -c 'import torchvision, safetensors' 2>/dev/null; then
    echo "installing PyTorch and torchvision into target/pytorch" >&2
    python3 -m venv target/pytorch
    target/pytorch/bin/pip install --quiet torch torchvision safetensors numpy pillow
fi
if [ -z "${TANDEM:-}" ]; then
    cargo build --release --quiet --locked -p tandem-cli
    TANDEM=${CARGO_TARGET_DIR:-target}/release/tandem
fi
TANDEM=$TANDEM exec "$python" scripts/compare_import_with_torchvision.py "$@"
