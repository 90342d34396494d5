"""The pictures, the turns and the table of compare-data-with-pytorch.sh."""
import argparse
import glob
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

arguments = argparse.ArgumentParser()
arguments.add_argument("--rounds", type=int, default=5, help="turns of each, for the median")
arguments.add_argument("--pictures", type=int, default=4096, help="JPEGs of each kind to make")
arguments.add_argument("--source", help="a folder with train/ and val/ to use instead of making some")
arguments.add_argument("--peer", help=argparse.SUPPRESS)
options = arguments.parse_args()

target = os.environ.get("CARGO_TARGET_DIR", "target")
TANDEM = os.environ["TANDEM"]
PHOTOGRAPHS = "astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png", "grass.png"
# (folder, quality, chroma): ImageNet's most frequent size, in the two samplings it is found in.
KINDS = ("420", 90, "4:2:0"), ("444", 95, "4:4:4")
WORKERS = 2


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
        # Packing wants pictures held out too: one of each class.
        for part in ["train", "val"] if i < 4 else ["train"]:
            os.makedirs(f"{folder}/{part}/{i % 4}", exist_ok=True)
            cut.save(f"{folder}/{part}/{i % 4}/{i:05}.jpg", quality=quality, subsampling=chroma)


def by_torchvision(train):
    """Pictures a second of one epoch, with the start of its workers but not of Python."""
    command = [sys.executable, __file__, "--peer", train]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return float(done.stdout)


def peer(train):
    torch.set_num_threads(1)
    prepare = [transforms.Resize(256), transforms.CenterCrop(256), transforms.PILToTensor()]
    data = ImageFolder(train, transforms.Compose(prepare))
    loader = DataLoader(data, batch_size=128, num_workers=WORKERS)
    start = time.perf_counter()
    pictures = sum(len(images) for images, _ in loader)
    return pictures / (time.perf_counter() - start)


def by_tandem(folder):
    """Pictures a second of packing, with the start of the command and shards that are on the disk."""
    with tempfile.TemporaryDirectory(dir=target) as out:
        start = time.perf_counter()
        command = [TANDEM, "--quiet", "--threads", str(WORKERS), "data", "pack", folder, out, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        seconds = time.perf_counter() - start
    parts = json.loads(done.stdout)["parts"].values()
    return sum(part["pictures"] for part in parts) / seconds


if options.peer:
    print(peer(options.peer))
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
    for path in glob.glob(f"{train}/*/*"):  # into the page cache, for both
        with open(path, "rb") as file:
            file.read()
    ours, theirs = [], []
    for turn in range(options.rounds):
        print(f"{label}, turn {turn + 1} of {options.rounds}", file=sys.stderr)
        ours.append(by_tandem(folder))
        theirs.append(by_torchvision(train))
    turns = [a / b for a, b in zip(ours, theirs)]
    print(f"| {label} | {statistics.median(ours):.0f}/s | {statistics.median(theirs):.0f}/s "
          f"| {statistics.median(turns):.2f} ({min(turns):.2f} to {max(turns):.2f}) |")
print(f"\ntorchvision {torchvision.__version__}, PyTorch {torch.__version__}, Pillow "
      f"{Image.__version__}; {WORKERS} workers, {WORKERS} threads; medians of {options.rounds} turns")
