#!/usr/bin/env bash
# Full-size CaffeNet and bvlc_alexnet with random weights, written by google.protobuf, through `tandem
# import` and `tandem predict` on one device and on two, beside PyTorch in float64.
#
#   scripts/compare-caffe-with-pytorch.sh
#
# Needs python3 with venv, and 2 GB in target/. PyTorch is installed into target/pytorch the first time;
# set PYTHON to use one that has torch, numpy, protobuf, safetensors and pillow.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-target/pytorch/bin/python}
if [ -z "${PYTHON:-}" ] && ! "$python" -c 'import torch, google.protobuf, safetensors, PIL' 2>/dev/null; then
    echo "installing PyTorch into target/pytorch" >&2
    python3 -m venv target/pytorch
    target/pytorch/bin/pip install --quiet torch numpy protobuf safetensors pillow
fi
if [ -z "${TANDEM:-}" ]; then
    cargo build --release --quiet --locked -p tandem-cli
    TANDEM=${CARGO_TARGET_DIR:-target}/release/tandem
fi
export TANDEM
exec "$python" scripts/compare_caffe_with_pytorch.py "$@"
