#!/usr/bin/env python3
"""Cut a class-balanced part out of Fashion-MNIST: the set in data/fashion-mnist-small.

    scripts/cut-fashion-mnist.py FASHION_MNIST_FOLDER OUT_FOLDER [--train 600] [--test 100]

Takes the first 600 pictures of each class of the training file and the first
100 of each class of the test file, and keeps them in the order in which the
files have them. Nothing is drawn at random and the gzip headers carry no time
or name, so that the same zlib writes the same bytes every time; another zlib
writes other compressed bytes that unpack to the same data. Checks what it reads, needs
Python's standard library only.
"""

import argparse
import gzip
import struct
import sys
from pathlib import Path

IMAGES, LABELS = 0x00000803, 0x00000801
CLASSES = 10


def unpack(path: Path, magic: int, dimensions: int) -> tuple[list[int], bytes]:
    """The sizes in the header of an IDX file, and what follows the header."""
    data = gzip.decompress(path.read_bytes())
    found, *sizes = struct.unpack_from(f">{1 + dimensions}I", data)
    body = data[4 * (1 + dimensions):]
    length = 1
    for size in sizes:
        length *= size
    if found != magic or len(body) != length:
        sys.exit(f"{path}: magic {found:#010x}, sizes {sizes}, {len(body)} bytes: not what an IDX file says")
    return sizes, body


def pack(path: Path, magic: int, sizes: list[int], body: bytes) -> None:
    data = struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + body
    with open(path, "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as out:
            out.write(data)
    print(f"{path}: sizes {sizes}, {path.stat().st_size} bytes")


def cut(source: Path, target: Path, part: str, per_class: int) -> None:
    images_name, labels_name = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
    (count, rows, columns), images = unpack(source / images_name, IMAGES, 3)
    (label_count,), labels = unpack(source / labels_name, LABELS, 1)
    if label_count != count:
        sys.exit(f"{source}: {count} pictures but {label_count} labels in {part}")

    taken, kept = [0] * CLASSES, []
    for index, label in enumerate(labels):
        if taken[label] < per_class:
            taken[label] += 1
            kept.append(index)
    if min(taken) < per_class:
        sys.exit(f"{source}: fewer than {per_class} pictures of a class in {part}: {taken}")

    size = rows * columns
    pack(target / images_name, IMAGES, [len(kept), rows, columns],
         b"".join(images[i * size:(i + 1) * size] for i in kept))
    pack(target / labels_name, LABELS, [len(kept)], bytes(labels[i] for i in kept))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with the four files of the full Fashion-MNIST")
    parser.add_argument("target", type=Path, help="folder to write to")
    parser.add_argument("--train", type=int, default=600, help="training pictures a class")
    parser.add_argument("--test", type=int, default=100, help="test pictures a class")
    asked = parser.parse_args()
    asked.target.mkdir(parents=True, exist_ok=True)
    cut(asked.source, asked.target, "train", asked.train)
    cut(asked.source, asked.target, "t10k", asked.test)


if __name__ == "__main__":
    main()
