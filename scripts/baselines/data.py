"""Labelled pictures in the forms that `--data` takes here, one after the other, as grey squares of one side.

The forms: IDX files (`builtin`, MNIST, Fashion-MNIST), picture folders, and packs (docs/pack-format.md), which
`tandem data pack` makes of every other form. Which pictures are held out is what Tandem holds out.
"""

import gzip
import json
import math
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "scripts"))
from read_pack import read_pack  # noqa: E402

BUILTIN = REPOSITORY / "data" / "fashion-mnist-small"
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
SMALLEST, PAPERS = 64, 256  # sides, pixels
PIXELS = 2**17  # of a batch


class DataError(Exception):
    """What is wrong with the data, where, and what to do."""


@dataclass(frozen=True)
class Part:
    """Pictures of one part, in a fixed order that mixes the classes."""

    name: str
    count: int
    side: int
    stream: Callable[[], Iterator[tuple[np.ndarray, int]]]  # grey uint8 (H, W), label

    def first(self, count):
        """The first `count` pictures."""
        if count > self.count:
            raise DataError(f"{self.name} holds {self.count} pictures, {count} were asked for")
        return replace(self, count=count, stream=lambda: islice(self.stream(), count))

    def batches(self):
        """Yields pictures (N, side, side) uint8 and labels (N,): as many as fit a processor's cache."""
        stream = self.stream()
        while batch := list(islice(stream, max(1, PIXELS // self.side**2))):
            yield np.stack([square(picture, self.side) for picture, _ in batch]), np.array([label for _, label in batch])


@dataclass(frozen=True)
class Data:
    """A set: its classes by name, the pictures to train on and those held out."""

    classes: list[str]
    train: Part
    test: Part


def open_data(spec, seed):
    """Opens what `spec` names. `seed` gives the order of training pictures that have none of their own."""
    folder = BUILTIN if spec == "builtin" else Path(spec)
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: give `builtin`, or a folder of IDX files, of pictures, or a pack")
    if (folder / "pack.json").is_file():
        return _open_pack(folder)
    if _idx_file(folder, "train", "images", 3):
        return _open_idx(folder, seed)
    classes = _folders(folder / "train" if (folder / "train").is_dir() else folder)
    if any(_pictures(path) for path in classes):
        return _open_folders(folder, classes, seed)
    raise DataError(f"{folder} is no form that the baselines read (pack.json, train-images-idx3-ubyte[.gz], or a "
                    f"folder of pictures for each class): `tandem data pack {folder} OUT`, and give OUT")


def square(picture, side):
    """The shorter side scaled to `side` and the centre cut, as section 2 of the paper says."""
    height, width = picture.shape
    scale = side / min(height, width)
    if scale != 1:
        size = max(side, round(width * scale)), max(side, round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return picture[top : top + side, left : left + side]


def decode(encoded, name):
    """JPEG, PNG or WebP to grey (H, W) uint8. An EXIF orientation is passed over, as Tandem does."""
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None
    if picture is None:
        raise DataError(f"{name} does not decode: remove it, or pack the set, which leaves such pictures out")
    return picture


def _side(*sides):
    """A descriptor's window is a good part of a tiny picture: those are enlarged."""
    return max(SMALLEST, min(sides))


# Packs


def _open_pack(folder):
    path = folder / "pack.json"
    try:
        pack = json.loads(path.read_text())
        form, classes, side, parts = pack["format"], pack["classes"], pack["side"], pack["parts"]
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} is not what docs/pack-format.md says ({error!r})") from error
    if (form, pack.get("version")) != ("tandem pack", 1):
        raise DataError(f"{path}: {form!r}, version {pack.get('version')}; `tandem pack`, version 1, is read here")
    for part in "train", "validation":
        if not parts.get(part, {}).get("labelled"):
            raise DataError(f"{folder} has no labelled pictures in {part}")

    def part(name):
        return Part(f"{folder}: {name}", parts[name]["pictures"], _side(side), lambda: _read_pack(folder, name, pack))

    return Data(classes, part("train"), part("validation"))


def _read_pack(folder, part, pack):
    shape = (pack["side"], pack["side"], pack["channels"])
    pictures = read_pack(folder, part)
    while True:
        try:
            picture, label, key = next(pictures)
        except StopIteration:
            return
        except (AssertionError, OSError, ValueError, KeyError, struct.error) as error:
            raise DataError(f"{folder}: {part} is damaged ({error!r}); `tandem data verify {folder}` says where") from error
        if pack["encoding"] != "raw":
            yield decode(picture, f"{folder}: {part} picture {key}"), label
            continue
        picture = np.frombuffer(picture, np.uint8).reshape(shape)
        yield cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if shape[2] == 3 else picture[:, :, 0], label


# IDX


def _idx_file(folder, part, kind, dimensions):
    """The file of a part, in either spelling in circulation, plain or gzip; None if there is none."""
    names = [f"{part}-{kind}{joint}idx{dimensions}-ubyte{end}" for joint in "-." for end in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_idx(folder, part, kind, dimensions):
    path = _idx_file(folder, part, kind, dimensions)
    if path is None:
        raise DataError(f"{folder} lacks {part}-{kind}-idx{dimensions}-ubyte[.gz]")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        magic, *shape = struct.unpack_from(f">{1 + dimensions}I", data)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(f"{path} is cut short or damaged ({error}): fetch it again") from error
    start = 4 * (1 + dimensions)
    if magic != 0x800 + dimensions or len(data) != start + math.prod(shape):
        raise DataError(f"{path} is no IDX file of {kind}: starts with {magic:#010x}, announces {shape} and holds "
                        f"{len(data) - start} bytes")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _open_idx(folder, seed):
    def part(name, prefix, order):
        pictures, labels = _read_idx(folder, prefix, "images", 3), _read_idx(folder, prefix, "labels", 1)
        if len(pictures) != len(labels) or not len(labels):
            raise DataError(f"{folder}: {len(pictures)} pictures and {len(labels)} labels in {prefix}")
        if labels.max() > 9:
            raise DataError(f"{folder}: {prefix} has a label {labels.max()}, and the ten classes end with 9")
        order = order(len(labels))

        def stream():
            return ((pictures[i], int(labels[i])) for i in order)

        return Part(f"{folder}: {name}", len(labels), _side(*pictures.shape[1:]), stream)

    shuffled = np.random.default_rng(seed).permutation
    return Data([str(digit) for digit in range(10)], part("train", "train", shuffled), part("test", "t10k", range))


# Picture folders


def _folders(folder):
    return sorted((path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")),
                  key=lambda path: path.name)


def _pictures(folder):
    """The pictures directly inside, in Tandem's order."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith("."))
    return sorted(found, key=lambda path: (path.stem, path.name))


def _open_folders(folder, classes, seed):
    names = [path.name for path in classes]

    def listed(folders):
        found = [(path, names.index(of.name)) for of in folders for path in _in_class(of)]
        return [path for path, _ in found], np.array([label for _, label in found])

    if (folder / "train").is_dir():
        held_out = next((folder / name for name in ("val", "valid", "test") if (folder / name).is_dir()), None)
        if held_out is None:
            raise DataError(f"{folder} has train/ but neither val/, valid/ nor test/")
        if unknown := sorted({path.name for path in _folders(held_out)} - set(names)):
            raise DataError(f"{held_out / unknown[0]} is a class that {folder / 'train'} does not have")
        train, test = listed(classes), listed(_folders(held_out))
    else:
        # Every tenth picture of a class is held out, as Tandem does.
        paths, labels = listed(classes)
        place = np.concatenate([np.arange(count) for count in np.bincount(labels)])
        out = place % 10 == 9
        train = [path for path, held in zip(paths, out) if not held], labels[~out]
        test = [path for path, held in zip(paths, out) if held], labels[out]
    if not len(test[1]):
        raise DataError(f"{folder} holds out no pictures: every tenth of a class is, where there is no val/")

    def part(name, paths, labels, order):
        def stream():
            return ((decode(paths[i].read_bytes(), paths[i]), int(labels[i])) for i in order)

        return Part(f"{folder}: {name}", len(labels), PAPERS, stream)

    shuffled = np.random.default_rng(seed).permutation(len(train[1]))
    return Data(names, part("train", *train, shuffled), part("test", *test, range(len(test[1]))))


def _in_class(folder):
    if pictures := _pictures(folder):
        return pictures
    raise DataError(f"class folder {folder} holds no pictures (.jpg, .jpeg, .png or .webp): fill or remove it")
