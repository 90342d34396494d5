"""What scripts/finetune-margin.sh measures, with the command in $TANDEM."""

import argparse
import gzip
import json
import math
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

DATASET = Path(os.environ.get("DATASET", "/usr/share/datasets/fashion-mnist"))
TANDEM = os.environ["TANDEM"]
NAMES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
# Classes to pretrain on, and to learn then. Every other one: each half has garments and others.
HALVES = [([0, 2, 4, 6, 8], [1, 3, 5, 7, 9]), ([1, 3, 5, 7, 9], [0, 2, 4, 6, 8])]
# Pictures a class to pretrain on, and of either set to choose the best epoch by.
PRETRAINED, VALIDATED = 5900, 50
# 97.5 % quantile of Student's t by degrees of freedom.
STUDENT = [math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]

# Each way to learn the other five classes: what follows `tandem`.
ARMS = {
    "from scratch": ["train", "--model", "mini"],
    "fine-tuned": ["finetune", "--from", "{pretrained}"],
    "fine-tuned, every layer at the recipe's rate": [
        "finetune", "--from", "{pretrained}", "--set", "rate.initial=0.03", "--rate", "fc6=1x",
    ],
    "fine-tuned, conv1..conv4 frozen": ["finetune", "--from", "{pretrained}", "--freeze", "conv1..conv4"],
    "linear probe": ["finetune", "--from", "{pretrained}", "--probe"],
}


def idx(name):
    """The pictures (28 x 28 bytes) or labels of a part."""
    raw = gzip.decompress((DATASET / name).read_bytes())
    dimensions = raw[3]
    count = struct.unpack(">I", raw[4:8])[0]
    body = raw[4 + 4 * dimensions :]
    size = len(body) // count
    return [body[i * size : (i + 1) * size] for i in range(count)]


def by_class(part):
    pictures = [[] for _ in NAMES]
    for picture, label in zip(idx(f"{part}-images-idx3-ubyte.gz"), idx(f"{part}-labels-idx1-ubyte.gz")):
        pictures[label[0]].append(picture)
    return pictures


def png(pixels):
    """A grey PNG of 28 x 28."""
    rows = b"".join(b"\0" + pixels[i : i + 28] for i in range(0, 784, 28))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write(folder, classes, pictures):
    """A folder a class; `pictures` gives those of a class."""
    for label in classes:
        place = folder / NAMES[label]
        place.mkdir(parents=True)
        for i, pixels in enumerate(pictures(label)):
            (place / f"{i:05}.png").write_bytes(png(pixels))


def tandem(*arguments):
    done = subprocess.run([TANDEM, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"tandem {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def error(run, test):
    return 100 * json.loads(tandem("eval", "--weights", run, "--data", test, "--json"))["top1_error"]


def interval(values):
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.2f}"
    half = STUDENT[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.2f} ± {half:.2f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, 11))
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--halves", type=int, default=1, choices=[1, 2], help="2: the other way round too")
    parser.add_argument("--work", type=Path, help="keeps the runs there")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="finetune-margin-"))
    train, test = by_class("train"), by_class("t10k")
    for first, second in HALVES[: options.halves]:
        errors = {arm: [] for arm in ARMS}
        for seed in range(options.seeds):
            place = work / f"{first[0]}-{seed}"
            shutil.rmtree(place, ignore_errors=True)
            draw = random.Random(seed)
            order = [draw.sample(pictures, len(pictures)) for pictures in train]
            # Pictures to choose by are no pictures to learn from, and neither are test pictures.
            for name, classes, count in [("first", first, PRETRAINED), ("second", second, options.pictures)]:
                write(place / name / "train", classes, lambda c: order[c][VALIDATED : VALIDATED + count])
                write(place / name / "val", classes, lambda c: order[c][:VALIDATED])
            write(place / "test" / "train", second, lambda c: test[c][:1])
            write(place / "test" / "val", second, lambda c: test[c])
            pretrained = place / "pretrained"
            common = ["--seed", seed]
            tandem("train", "--model", "mini", "--data", place / "first", "--epochs", 8, "--out", pretrained, *common)
            for number, (arm, words) in enumerate(ARMS.items()):
                run = place / f"arm-{number}"
                words = [word.format(pretrained=pretrained) for word in words]
                tandem(*words, "--data", place / "second", "--epochs", options.epochs, "--out", run, *common)
                errors[arm].append(error(run, place / "test"))
                print(f"{NAMES[first[0]]}... seed {seed}: {arm} {errors[arm][-1]:.2f} %", file=sys.stderr, flush=True)
        learned, tuned = (", ".join(NAMES[c] for c in half) for half in (first, second))
        print(f"Pretrained on {learned}; learned from {options.pictures} pictures each: {tuned}.\n")
        print("| | top-1 error, % | better than from scratch by, points |\n|---|---|---|")
        for arm, found in errors.items():
            margins = [scratch - other for scratch, other in zip(errors["from scratch"], found)]
            margin = "" if arm == "from scratch" else interval(margins)
            print(f"| {arm} | {interval(found)} | {margin} |")
        print(flush=True)
    if options.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
