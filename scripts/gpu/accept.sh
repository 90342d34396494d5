#!/usr/bin/env bash
# Checks and measures Tandem on this machine's GPU: the folder that scripts/gpu/build.sh made is all
# it needs, beside NVIDIA's driver and a Python with PyTorch and its CUDA libraries.
#
#     ./accept.sh --out DIR            # under 8 minutes
#     ./accept.sh --out DIR --quick    # small sizes, to see whether the parts fit
#
# Leaves in DIR acceptance.json, acceptance.md (the same for people) and acceptance.log (what every
# part said). A part that fails is recorded and the rest goes on; the exit status is 1 if one did.
# PYTHON names another interpreter than python3.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
# In seconds: the whole, and the kernels' bench.
limit=470 kernels=90 steps=20 quick=()
out=acceptance

fail() { echo "accept.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --out) out=${2:?--out needs a folder}; shift ;;
    --quick) quick=(--quick) limit=1800 kernels=600 steps=4 ;;
    *) fail "$1 is not known; it is accept.sh [--out DIR] [--quick]" ;;
    esac
    shift
done
command -v "$python" >/dev/null || fail "there is no $python; PYTHON=... names one"
mkdir -p "$out" || fail "$out cannot be made"
work=$(mktemp -d) || fail "no temporary folder can be made"
trap 'rm -rf "$work"' EXIT
: >"$out/acceptance.log"
# Kernels are compiled anew here: what an earlier run left is no proof.
export TANDEM_KERNEL_CACHE=$work/kernels

# part NAME SECONDS COMMAND...: runs a command for so long at most, and keeps what it said and how it
# ended. The report is written after each, so that what stops this script leaves what was found.
part() {
    local name=$1 seconds=$2 begun=$SECONDS status=0
    shift 2
    [ "$seconds" -le $((limit - SECONDS)) ] || seconds=$((limit - SECONDS))
    echo "== $name" | tee -a "$out/acceptance.log"
    if [ "$seconds" -gt 0 ]; then
        timeout --kill-after=10 "$seconds" "$@" >"$work/$name.log" 2>&1 || status=$?
    else
        echo "no time was left for it" >"$work/$name.log"
        status=124
    fi
    cat "$work/$name.log" >>"$out/acceptance.log"
    printf '%s\t%s\t%s\n' "$name" "$status" $((SECONDS - begun)) >>"$work/parts.tsv"
    if [ "$status" -ne 0 ]; then
        tail -n 4 "$work/$name.log"
        echo "== $name failed with $status"
    fi
    report
    return "$status"
}

ask=("$python" "$here/accept.py" --work "$work" --out "$out" ${quick[@]+"${quick[@]}"})
report() { "${ask[@]}" report 2>>"$out/acceptance.log"; }
finish() {
    report
    local status=$?
    echo "== $out/acceptance.md, after $SECONDS s"
    exit $status
}

part machine 60 "${ask[@]}" machine || finish
part libraries 60 "${ask[@]}" libraries || finish
part unpack 60 "${ask[@]}" unpack || finish
found=$(tail -n 1 "$work/libraries.log")
if [ -n "$found" ]; then
    export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$found"
fi
gpus=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["gpus"])' "$work/machine.json")

# The operations and the network against the fixtures and the CPU.
skip=()
if [ "$gpus" -lt 2 ]; then
    skip=(--skip two_gpus)
fi
for program in "$work"/tests/*/*; do
    package=$(basename "$(dirname "$program")")
    part "$package-$(basename "$program")" 150 \
        env -C "$here/crates/$package" CARGO_MANIFEST_DIR="$here/crates/$package" \
        INSTA_WORKSPACE_ROOT="$here" TANDEM_RESULTS="$work/results.jsonl" \
        "$program" ${skip[@]+"${skip[@]}"}
done
part results 60 "${ask[@]}" results

# A training run's losses against the CPU's.
placements=(cpu cuda:0 cuda:0,cuda:0)
if [ "$gpus" -ge 2 ]; then
    placements+=(cuda:0,cuda:1)
fi
part pictures 30 "${ask[@]}" pictures --count $((32 * steps))
for devices in "${placements[@]}"; do
    part "train-$devices" 60 "$work/bin/tandem" train --quiet --model mini --batch 32 --epochs 1 \
        --seed 1 --data "$work/pictures" --devices "$devices" --out "$work/run-$devices"
done
part traces 30 "${ask[@]}" traces --allowed 1e-4

part kernels $kernels "${ask[@]}" kernels
# PyTorch begins to compile for as long as leaves time for the last to end and for Tandem's own runs.
part compare $limit "${ask[@]}" compare --seconds $((limit - SECONDS - 120))
finish
