#!/usr/bin/env bash
# What fine-tuning gains over training from scratch on few pictures: `mini` learns every other class of
# Fashion-MNIST, then the other five from 50 pictures a class; with --halves 2 the other way round too.
# Prints a table of test errors, means over seeds with 95 % intervals.
#
#   scripts/finetune-margin.sh [--seeds 3] [--pictures 50] [--epochs 100] [--halves 1|2] [--work DIR]
#
# Needs python3 and the whole Fashion-MNIST (Debian: dataset-fashion-mnist; DATASET says where else it is).
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet --locked -p tandem-cli
export TANDEM="${CARGO_TARGET_DIR:-target}/release/tandem"
exec python3 scripts/finetune_margin.py "$@"
