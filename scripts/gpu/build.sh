#!/usr/bin/env bash
# Makes the folder that accept.sh checks and measures Tandem with, on a machine that has a GPU and
# neither Rust nor a network:
#
#     scripts/gpu/build.sh                                  # here; target/gpu-acceptance
#     gpu-acceptance/accept.sh --out results                # there
#
# In it: the release command and the test programs that use a GPU, with the cuda feature, stripped and
# packed, the command and the operations' tests once more with convolutions by cuDNN; the fixtures; what
# the emulator gave for every operation; PyTorch's peer. 60 MiB at most, and 62 with the working tree,
# for both travel together. The toolkit is that of scripts/cuda-toolkit.sh; the machine must have
# libraries of its major version, which PyTorch's wheels bring along. A different CUDA is built with by
# CUDA_HOME=...
#
# For every GPU of compute capability 8.0 and up: our kernels are compiled on the machine for its
# GPU, and candle's travel as PTX for 8.0, which the driver compiles. Not 9.0: candle's build makes
# "9.0a" of it, whose PTX runs on a 9.0 and on nothing else; and the emulator could not run it.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
folder=$target/gpu-acceptance
commit=$(git describe --always --dirty --abbrev=12)
export CUDA_COMPUTE_CAP=80
toolkit=$(scripts/cuda-toolkit.sh)
eval "$toolkit"

say() { echo "gpu/build: $*" >&2; }

# Place in the folder and file, tab between, of each program in cargo's messages; $1 ends its name.
programs() {
    python3 -c '
import json, os, sys
for message in map(json.loads, sys.stdin):
    if not message.get("executable"):
        continue
    package = os.path.basename(os.path.dirname(message["manifest_path"]))
    folder = "tests/" + package if message["profile"]["test"] else "bin"
    print(folder + "/" + message["target"]["name"] + sys.argv[1], message["executable"], sep="\t")' "$1"
}

say "building (candle's own kernels take ten minutes, once)"
# In a folder of its own: scripts/test-cuda-emulated.sh builds candle's kernels without some.
fresh=$folder.new
rm -rf "$fresh"
mkdir -p "$fresh/crates" "$fresh/pictures"
# pack SUFFIX FEATURE TEST...: builds the command and tests with a feature, and strips them into place.
pack() {
    local suffix=$1 feature=$2 messages
    shift 2
    messages=$(CARGO_TARGET_DIR=$target/gpu cargo build --release --locked --features "tandem-cli/$feature" \
        -p tandem-ops -p tandem-alexnet -p tandem-cli --bin tandem "${@/#/--test=}" \
        --message-format json-render-diagnostics)
    programs "$suffix" <<<"$messages" | while IFS=$'\t' read -r place program; do
        mkdir -p "$(dirname "$fresh/$place")"
        strip -o "$fresh/$place" "$program"
    done
}
pack '' cuda ops two_tower on_gpu lrn_over_towers

# A stand-in for the linker: cuDNN itself is large, and comes with PyTorch where the folder goes.
scripts/test-cuda-emulated.sh true
mkdir -p "$target/gpu/stubs"
nm -D --defined-only "$target/release/libcuda_emulator.so" | sed -n 's/.* \(cudnn.*\)/void \1(void) {}/p' |
    cc -shared -x c -Wl,-soname,libcudnn.so.9 -o "$target/gpu/stubs/libcudnn.so" -
LIBRARY_PATH=$target/gpu/stubs:$LIBRARY_PATH pack -cudnn cudnn ops
for crate in tandem-ops tandem-alexnet; do
    (cd crates && cp -r --parents "$crate/tests/fixtures" "$fresh/crates")
done
cp data/fashion-mnist-small/*.gz "$fresh/pictures"
cp scripts/gpu/accept.sh scripts/gpu/{accept,common,measure,report}.py scripts/pytorch_peer.py "$fresh"

say "running every operation under the emulator, for its results"
results=$fresh/emulated-results.jsonl
CARGO_MANIFEST_DIR=$PWD/crates/tandem-ops TANDEM_RESULTS=$results \
    scripts/test-cuda-emulated.sh "$fresh/tests/tandem-ops/ops"
gzip -9 --no-name "$results"

# What accept.sh says of the build, and looks for on the machine.
needed=$(readelf -d "$fresh/bin/tandem" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
{
    echo "commit: $commit"
    echo "cuda: $(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/\1/p')"
    echo "rustc: $(rustc --version)"
    echo "glibc: $(find "$fresh/bin" "$fresh/tests" -type f -exec readelf -V {} + |
        grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | cut -d _ -f 2)"
    # libcuda is the driver's own.
    echo "libraries: $(grep -E '^lib(nv|cu)' <<<"$needed" | grep -v '^libcuda\.so' | xargs)"
    echo "cudnn: $(readelf -d "$fresh/bin/tandem-cudnn" | grep -o 'libcudnn[^]]*')"
} | python3 -c '
import json, sys
facts = dict(line.strip().split(": ", 1) for line in sys.stdin)
facts["libraries"] = facts["libraries"].split()
print(json.dumps(facts, indent=1))' >"$fresh/build.json"

# Each program holds candle's kernels: a window wider than a program stores them once.
tar -C "$fresh" -c bin tests | xz --lzma2=preset=6,dict=96MiB >"$fresh/programs.tar.xz"
rm -rf "$folder" "${fresh:?}/bin" "${fresh:?}/tests"
mv "$fresh" "$folder"

mebibyte=1048576
size=$(du -sb "$folder" | cut -f 1)
# Files that git knows or would add; those deleted are not there to be counted.
tree=$(git ls-files -coz --exclude-standard | { xargs -0 stat -c %s 2>/dev/null || true; } |
    awk '{ bytes += $1 } END { print bytes + 0 }')
allowed=$((62 * mebibyte - tree))
[ "$allowed" -le $((60 * mebibyte)) ] || allowed=$((60 * mebibyte))
say "$folder: $((size / mebibyte)) MiB of $((allowed / mebibyte)), for the working tree has $((tree / mebibyte))"
case $folder in
"$(pwd -P)"/*) ;;
*) say "it is outside the repository: what carries the repository leaves it behind" ;;
esac
if [ "$size" -gt "$allowed" ]; then
    du -ab "$folder" | sort -n | tail -n 12 >&2
    say "that is more than can be carried to the machines it is for"
    exit 1
fi
