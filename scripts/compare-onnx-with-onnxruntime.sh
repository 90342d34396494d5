#!/usr/bin/env bash
# Every preset with random weights through `tandem export --to onnx`: onnxruntime's probabilities beside
# those of `tandem predict`, in single and in half precision, and the model imported again.
#
#   scripts/compare-onnx-with-onnxruntime.sh [PRESET]...
#
# Needs python3 with venv, and 2 GB in the folder of temporary files. onnxruntime is installed into
# target/onnxruntime the first time; set PYTHON to use a python that has onnx, onnxruntime, numpy,
# safetensors and pillow.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-target/onnxruntime/bin/python}
if [ -z "${PYTHON:-}" ] && ! "$python" -c 'import onnx, onnxruntime, safetensors, PIL' 2>/dev/null; then
    echo "installing onnxruntime into target/onnxruntime" >&2
    python3 -m venv target/onnxruntime
    target/onnxruntime/bin/pip install --quiet onnx onnxruntime numpy safetensors pillow
fi
if [ -z "${TANDEM:-}" ]; then
    cargo build --release --quiet --locked -p tandem-cli
    TANDEM=${CARGO_TARGET_DIR:-target}/release/tandem
fi
export TANDEM
exec "$python" scripts/compare_onnx_with_onnxruntime.py "$@"
