#!/usr/bin/env bash
# Times the two-tower AlexNet here and in PyTorch, on the CPU, in turns, and prints a table.
#
#   scripts/compare-with-pytorch.sh [--rounds N] [--batch N] [--modes train,infer,lrn,pool]
#
# Needs python3 with venv. PyTorch is installed into target/pytorch the first time; set PYTHON to
# use one that has it. Nothing else should run: both sides are measured by the clock.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-target/pytorch/bin/python}
if [ -z "${PYTHON:-}" ] && ! "$python" -c 'import torch' 2>/dev/null; then
    echo "installing PyTorch into target/pytorch" >&2
    python3 -m venv target/pytorch
    target/pytorch/bin/pip install --quiet torch numpy
fi
cargo build --release --quiet --locked -p tandem-cli
exec "$python" scripts/compare_with_pytorch.py "$@"
