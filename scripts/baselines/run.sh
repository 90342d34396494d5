#!/usr/bin/env bash
# Trains and tests the methods that the paper's tables compare with; see README.md.
#
#   scripts/baselines/run.sh --data SPEC --out DIR [--train-pictures N] [--seed S] [--quick]
#
# Needs python3 with venv, and flock. requirements.txt is installed into target/baselines the first time; set
# PYTHON to use a Python that has it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ -z "${PYTHON:-}" ]; then
    home=$(cd "$here/../.." && pwd)/target/baselines
    mkdir -p "$home"
    # One installs, others wait; the copy of requirements.txt says that it was done.
    exec 9>"$home/lock"
    flock 9
    if ! cmp -s "$here/requirements.txt" "$home/requirements.txt"; then
        echo "installing OpenCV and scikit-learn into $home" >&2
        python3 -m venv "$home/venv"
        "$home/venv/bin/pip" install --quiet -r "$here/requirements.txt" >&2
        cp "$here/requirements.txt" "$home/requirements.txt"
    fi
    exec 9>&-
    PYTHON=$home/venv/bin/python
fi
exec "$PYTHON" "$here/baselines.py" "$@"
