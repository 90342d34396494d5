"""The turns and the table of compare-with-pytorch.sh."""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys

arguments = argparse.ArgumentParser()
arguments.add_argument("--rounds", type=int, default=3, help="turns of each, for the median")
arguments.add_argument("--batch", type=int, default=64, help="pictures a training step")
arguments.add_argument("--modes", default="train,infer,lrn,pool", help="which to time")
options = arguments.parse_args()

target = os.environ.get("CARGO_TARGET_DIR", "target")
TANDEM = [os.path.join(target, "release", "tandem"), "bench", "--model", "alexnet", "--json"]
PEER = [sys.executable, os.path.join("scripts", "pytorch_peer.py")]
# (mode, pictures a step, steps)
WORK = [
    ("train", options.batch, 3),
    ("infer", options.batch, 5),
    ("infer", 1, 30),
    ("lrn", 128, 5),
    ("pool", 128, 5),
]


def measure(command, mode, batch, steps):
    line = command + ["--mode", mode, "--batch", str(batch), "--steps", str(steps)]
    done = subprocess.run(line, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def processor():
    try:
        with open("/proc/cpuinfo") as info:
            lines = [line for line in info if line.startswith(("model name", "flags"))]
        name = lines[0].split(":", 1)[1].strip()
        vectors = [v for v in ("avx512f", "avx2", "avx") if v in lines[1].split()]
        return f"{name}, {vectors[0] if vectors else 'no avx'}"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


rows, system, threads = [], "", 0
for mode, batch, steps in (work for work in WORK if work[0] in options.modes.split(",")):
    ours, theirs = [], []
    for turn in range(options.rounds):
        print(f"{mode} at batch {batch}, turn {turn + 1} of {options.rounds}", file=sys.stderr)
        ours.append(measure(TANDEM, mode, batch, steps))
        theirs.append(measure(PEER, mode, batch, steps))
    system, threads = theirs[0]["system"], ours[0]["threads"]
    one, other = (statistics.median(m["seconds_per_step"] for m in all) for all in (ours, theirs))
    turns = [b["seconds_per_step"] / a["seconds_per_step"] for a, b in zip(ours, theirs)]
    peaks = [max(m["peak_memory_bytes"] or 0 for m in all) / 2**30 for all in (ours, theirs)]
    rows.append(
        f"| {mode} | {batch} | {1000 * one:.1f} ms | {1000 * other:.1f} ms "
        f"| {statistics.median(turns):.2f} ({min(turns):.2f} to {max(turns):.2f}) "
        f"| {peaks[0]:.2f} GiB | {peaks[1]:.2f} GiB |"
    )

print(f"{system}; {threads} threads; {processor()}\n")
print("| mode | batch | Tandem | PyTorch | times as fast | our peak memory | its peak memory |")
print("|---|---|---|---|---|---|---|")
print("\n".join(rows))
