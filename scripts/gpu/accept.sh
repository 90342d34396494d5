#!/usr/bin/env bash
# Checks and measures Tandem on this machine's GPU: the folder that scripts/gpu/build.sh made is all
# it needs, beside NVIDIA's driver and a Python with PyTorch and its CUDA libraries.
#
#     ./accept.sh --out DIR                              # under 8 minutes
#     ./accept.sh --out DIR --quick                      # under 2: small sizes, to see whether the parts fit
#     ./accept.sh --out DIR --work WORK --only compare   # this part alone
#
# Leaves in DIR acceptance.json, acceptance.md (the same for people) and acceptance.log (what every
# part said). A part that fails is recorded and the rest goes on, unless Tandem does not start; the
# exit status is 1 if one did.
# Parts of --only, commas between: machine, checks, kernels, compare. WORK is kept: a later call with
# the same one has the programs and PyTorch's compiled kernels, and reports the earlier parts too.
# PYTHON names another interpreter than python3.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
# In seconds: the whole, a program of checks, and the kernels' bench.
limit=465 checks=60 kernels=150
quick=() steps=10 out=acceptance only='' work=''
programs=(tandem-ops/ops tandem-alexnet/{two_tower,on_gpu,lrn_over_towers})

fail() { echo "accept.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
    --out) out=${2:?--out needs a folder}; shift ;;
    --work) work=${2:?--work needs a folder}; shift ;;
    --only) only=${2:?--only needs parts}; shift ;;
    --quick) quick=(--quick) steps=4 ;;
    *) fail "$1 is not known; it is accept.sh [--out DIR] [--quick] [--work DIR] [--only PART,...]" ;;
    esac
    shift
done
for name in ${only//,/ }; do
    case $name in
    machine | checks | kernels | compare) ;;
    *) fail "$name is no part; there are machine, checks, kernels and compare" ;;
    esac
done
wanted() { [ -z "$only" ] || [[ ,$only, == *,$1,* ]]; }

command -v "$python" >/dev/null || fail "there is no $python; PYTHON=... names one"
mkdir -p "$out" || fail "$out cannot be made"
if [ -n "$work" ]; then
    mkdir -p "$work" || fail "$work cannot be made"
    work=$(cd "$work" && pwd)
else
    work=$(mktemp -d) || fail "no temporary folder can be made"
    trap 'rm -rf "$work"' EXIT
fi
: >"$out/acceptance.log"
# Kernels are compiled anew here: what an earlier run left is no proof, and the home may be read-only.
export TANDEM_KERNEL_CACHE=$work/kernels CUDA_CACHE_PATH=$work/driver \
    TRITON_CACHE_DIR=$work/triton TORCHINDUCTOR_CACHE_DIR=$work/inductor
mkdir -p "$work"/{kernels,driver,triton,inductor}

# part NAME SECONDS COMMAND...: runs a command for so long at most, and keeps what it said and how it
# ended. The report is written after each, so that what stops this script leaves what was found.
part() {
    local name=$1 seconds=$2 begun=$SECONDS status=0
    shift 2
    [ "$seconds" -le $((limit - SECONDS)) ] || seconds=$((limit - SECONDS))
    echo "== $name" | tee -a "$out/acceptance.log"
    if [ "$seconds" -gt 0 ]; then
        timeout --kill-after=5 "$seconds" "$@" >"$work/$name.log" 2>&1 || status=$?
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

if wanted machine || [ ! -e "$work/ready" ]; then
    rm -f "$work/ready"
    # PyTorch's first import alone may take two minutes.
    part machine 160 "${ask[@]}" machine || finish
    part libraries 30 "${ask[@]}" libraries || finish
    part unpack 60 "${ask[@]}" unpack || finish
    part start 125 "${ask[@]}" start || finish
    touch "$work/ready"
fi
read -r gpus emulated cudnn < <("$python" -c 'import json, sys
facts = json.load(open(sys.argv[1]))
print(facts["gpus"], facts["emulated"], bool(facts["cudnn"]))' "$work/machine.json")
if [ "$cudnn" = True ]; then
    programs+=(tandem-ops/ops-cudnn)
fi
if [ "$emulated" = True ]; then
    limit=1800 checks=600 kernels=600
elif [ "${#quick[@]}" -gt 0 ]; then
    limit=115 programs=(tandem-alexnet/two_tower)
fi
# For Tandem's programs: PyTorch finds its libraries by itself.
libraries="LD_LIBRARY_PATH=$(cat "$work/library-path")"

if wanted checks; then
    rm -rf "$work"/results.jsonl "$work"/pictures "$work"/run-*
    # The operations and the network against the fixtures and the CPU.
    skip=()
    if [ "$gpus" -lt 2 ]; then
        skip=(--skip two_gpus)
    fi
    for program in "${programs[@]}"; do
        crate=$here/crates/${program%/*} results=() filter=()
        case $program in
        tandem-ops/ops) results=(TANDEM_RESULTS="$work/results.jsonl") ;;
        # The rest of it is the same.
        tandem-ops/ops-cudnn) filter=(conv the_same_twice) ;;
        esac
        part "${program/\//-}" "$checks" env -C "$crate" "$libraries" CARGO_MANIFEST_DIR="$crate" \
            ${results[@]+"${results[@]}"} "$work/tests/$program" ${skip[@]+"${skip[@]}"} ${filter[@]+"${filter[@]}"}
        [ "$program" != tandem-ops/ops ] || part results 30 "${ask[@]}" results
    done

    # A training run's losses against the CPU's.
    placements=(cpu cuda:0 "cuda:0,cuda:0")
    if [ "$gpus" -ge 2 ]; then
        placements+=("cuda:0,cuda:1")
    fi
    part pictures 30 "${ask[@]}" pictures --count $((32 * steps))
    # trace NAME COMMAND DEVICES
    trace() {
        part "train-$1" "$checks" env "$libraries" "$work/bin/$2" train --quiet --model mini --batch 32 \
            --epochs 1 --seed 1 --data "$work/pictures" --devices "$3" --out "$work/run-$1"
    }
    for devices in "${placements[@]}"; do
        trace "$devices" tandem "$devices"
    done
    [ "$cudnn" != True ] || trace cuda:0-cudnn tandem-cudnn cuda:0
    part traces 30 "${ask[@]}" traces --allowed 1e-4
fi
# These two end by themselves, with what they measured whole.
if wanted kernels; then
    [ "$kernels" -le $((limit - SECONDS)) ] || kernels=$((limit - SECONDS))
    part kernels "$kernels" "${ask[@]}" kernels --seconds $((kernels - 5))
fi
if wanted compare; then
    part compare "$limit" "${ask[@]}" compare --seconds $((limit - SECONDS - 5))
fi
finish
