"""The pictures, the turns and the table of compare-data-with-pytorch.sh."""
import argparse
import glob
import importlib.util
import os
import random
import re
import statistics
import subprocess
import sys
import time

import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

arguments = argparse.ArgumentParser()
arguments.add_argument("--rounds", type=int, default=5, help="turns of each, for the median")
arguments.add_argument("--pictures", type=int, default=2000, help="JPEGs of each kind to make")
arguments.add_argument("--source", help="class folders of JPEGs to use instead of making some")
arguments.add_argument("--peer", help=argparse.SUPPRESS)
options = arguments.parse_args()

target = os.environ.get("CARGO_TARGET_DIR", "target")
PHOTOGRAPHS = "astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "grass.png"
# (folder, quality, chroma): ImageNet's most frequent size, in the two samplings it is found in.
KINDS = ("420", 90, "4:2:0"), ("444", 95, "4:4:4")
THREADS = 2


def make(folder, quality, chroma):
    """Cuts of the photographs that scikit-image ships, the same at each call."""
    skimage = os.path.dirname(importlib.util.find_spec("skimage").origin)
    photographs = [Image.open(f"{skimage}/data/{name}").convert("RGB") for name in PHOTOGRAPHS]
    chance = random.Random(1)
    for i in range(options.pictures):
        width, height = chance.choice([(500, 375), (375, 500), (500, 333), (500, 400)])
        photograph = chance.choice(photographs)
        scale = chance.uniform(0.6, 1) * min(photograph.width / width, photograph.height / height)
        w, h = int(width * scale), int(height * scale)
        x, y = chance.randint(0, photograph.width - w), chance.randint(0, photograph.height - h)
        cut = photograph.resize((width, height), Image.BICUBIC, box=(x, y, x + w, y + h))
        os.makedirs(f"{folder}/train/{i % 4}", exist_ok=True)
        cut.save(f"{folder}/train/{i % 4}/{i:05}.jpg", quality=quality, subsampling=chroma)


def torchvision_seconds(folder):
    """One epoch in this process and two workers; the start of the workers is not counted."""
    prepare = [transforms.Resize(256), transforms.CenterCrop(256), transforms.PILToTensor()]
    data = ImageFolder(folder, transforms.Compose(prepare))
    loader = DataLoader(data, batch_size=128, num_workers=THREADS, persistent_workers=True)
    next(iter(loader))
    start = time.perf_counter()
    pictures = sum(len(images) for images, _ in loader)
    return pictures, time.perf_counter() - start


def run(*command):
    """Pictures and seconds, from the last line a command prints."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(THREADS)}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    pictures, seconds = re.fullmatch(r"(\d+) pictures in ([\d.]+) s", done.stdout.strip()).groups()
    return int(pictures) / float(seconds)


if options.peer:
    torch.set_num_threads(1)
    pictures, seconds = torchvision_seconds(options.peer)
    print(f"{pictures} pictures in {seconds:.3f} s")
    sys.exit()

if options.source:
    folders = [(options.source, options.source)]
else:
    folders = []
    for name, quality, chroma in KINDS:
        folder = os.path.join(target, f"compare-data-{options.pictures}", name)
        if not os.path.isdir(folder):
            print(f"making {options.pictures} JPEGs in {folder}", file=sys.stderr)
            make(folder + ".part", quality, chroma)
            os.rename(folder + ".part", folder)
        folders.append((f"500 × 375, quality {quality}, {chroma}", folder))

print("| JPEGs | Tandem | torchvision | times as fast |")
print("|---|---|---|---|")
for label, folder in folders:
    train = os.path.join(folder, "train")
    train = train if os.path.isdir(train) else folder
    for path in glob.glob(f"{train}/*/*"):  # into the page cache, for both
        with open(path, "rb") as file:
            file.read()
    ours, theirs = [], []
    for turn in range(options.rounds):
        print(f"{label}, turn {turn + 1} of {options.rounds}", file=sys.stderr)
        ours.append(run(os.path.join(target, "release", "examples", "prepare"), folder))
        theirs.append(run(sys.executable, __file__, "--peer", train))
    turns = [a / b for a, b in zip(ours, theirs)]
    print(f"| {label} | {statistics.median(ours):.0f}/s | {statistics.median(theirs):.0f}/s "
          f"| {statistics.median(turns):.2f} ({min(turns):.2f} to {max(turns):.2f}) |")
print(f"\ntorchvision {torchvision.__version__}, PyTorch {torch.__version__}, Pillow "
      f"{Image.__version__}; {THREADS} workers, {THREADS} threads; medians of {options.rounds} turns")
