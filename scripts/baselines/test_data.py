"""The forms of pictures held against their documented formats, and what is wrong with them named."""

import gzip
import json
import os
import struct
import subprocess
import tempfile
import unittest
import zlib
from pathlib import Path

import cv2
import numpy as np

import data


class InAFolder(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = Path(kept.name)


def write_pack(folder, pictures, labels, classes, quality=None):
    """A pack with one shard a part, as docs/pack-format.md has it."""
    n, side, _, channels = pictures.shape
    coded = [picture.tobytes() if quality is None else
             cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
             for picture in pictures]
    records, at = b"", 64
    for encoded, label in zip(coded, labels):
        records += struct.pack("<Q4I", at, len(encoded), label, zlib.crc32(encoded), 0)
        at += len(encoded)
    sums = bytes(8 * side * side * channels + 72)
    table = records + json.dumps({"keys": [str(i) for i in range(n)], "left_out": []}).encode()
    header = struct.pack("<8s6I8xQI8x", b"TDMSHARD", 1, n, side, channels, quality or 0, zlib.crc32(table),
                         at + len(sums), zlib.crc32(sums))
    shard = header + struct.pack("<I", zlib.crc32(header)) + b"".join(coded) + sums + table
    parts = {}
    for part in "train", "validation":
        (folder / f"{part}-00000.shard").write_bytes(shard)
        listed = {"file": f"{part}-00000.shard", "pictures": n, "checksum": zlib.crc32(table)}
        parts[part] = {"pictures": n, "labelled": True, "shards": [listed]}
    encoding = "raw" if quality is None else {"jpeg": quality}
    pack = {"format": "tandem pack", "version": 1, "side": side, "channels": channels, "encoding": encoding,
            "classes": classes, "parts": parts}
    (folder / "pack.json").write_text(json.dumps(pack))


class Packs(InAFolder):
    pictures = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (80, 80, 3), np.uint8), (0, 0), 4)
    pictures = np.stack([pictures, pictures[::-1], pictures[:, ::-1]])

    def read(self):
        return list(data.open_data(str(self.folder), seed=0).train.stream())

    def test_raw_pictures_come_grey_with_their_labels(self):
        write_pack(self.folder, self.pictures, [1, 0, 1], ["a", "b"])
        read = self.read()
        self.assertEqual([label for _, label in read], [1, 0, 1])
        grey = np.rint(self.pictures @ [0.299, 0.587, 0.114])
        np.testing.assert_allclose(np.stack([picture for picture, _ in read]), grey, atol=1)

    def test_jpegs_come_as_nearly_the_same(self):
        write_pack(self.folder, self.pictures, [1, 0, 1], ["a", "b"], quality=95)
        grey = self.pictures @ [0.299, 0.587, 0.114]
        np.testing.assert_allclose(np.stack([picture for picture, _ in self.read()]), grey, atol=12)

    def test_damage_is_an_error_that_names_the_folder(self):
        write_pack(self.folder, self.pictures, [1, 0, 1], ["a", "b"])
        shard = self.folder / "train-00000.shard"
        damaged = bytearray(shard.read_bytes())
        damaged[100] ^= 1
        shard.write_bytes(damaged)
        with self.assertRaisesRegex(data.DataError, "train is damaged.*tandem data verify"):
            self.read()

    def test_a_pack_of_another_version_is_an_error(self):
        (self.folder / "pack.json").write_text(
            '{"format": "tandem pack", "version": 9, "classes": [], "side": 1, "parts": {}}')
        with self.assertRaisesRegex(data.DataError, "version 9"):
            self.read()

    def test_tandems_own_pack_of_the_built_in_pictures_holds_those_pictures(self):
        target = data.REPOSITORY / "target"
        built = [os.environ.get("TANDEM"), target / "release" / "tandem", target / "debug" / "tandem"]
        command = next((path for path in built if path and Path(path).is_file()), None)
        if command is None:
            self.skipTest("no tandem is built; TANDEM may name one")
        out = self.folder / "packed"
        packing = [command, "--quiet", "data", "pack", "builtin", out, "--side", "28", "--grey"]
        subprocess.run(packing, check=True, stdout=subprocess.DEVNULL)
        packed, idx = data.open_data(str(out), seed=0), data.open_data("builtin", seed=0)
        self.assertEqual((packed.train.count, packed.test.count, len(packed.classes)), (6000, 1000, 10))
        for ours, theirs in (packed.train, idx.train), (packed.test, idx.test):
            known = sorted((label, picture.tobytes()) for picture, label in theirs.stream())
            self.assertEqual(sorted((label, picture.tobytes()) for picture, label in ours.stream()), known)


class Idx(InAFolder):
    def write(self, labels=(0, 1, 2), magic=0x803, zipped=False, cut=0):
        pictures = np.arange(3 * 4 * 5, dtype=np.uint8)
        images = struct.pack(">4I", magic, 3, 4, 5) + pictures.tobytes()
        for part in "train", "t10k":
            name = f"{part}-images.idx3-ubyte" + (".gz" if zipped else "")
            coded = gzip.compress(images) if zipped else images
            (self.folder / name).write_bytes(coded[: len(coded) - cut])
            coded = struct.pack(">2I", 0x801, len(labels)) + bytes(labels)
            (self.folder / f"{part}-labels-idx1-ubyte").write_bytes(coded)

    def open(self):
        return data.open_data(str(self.folder), seed=5)

    def test_pictures_keep_their_labels_whatever_the_order(self):
        for zipped in False, True:
            self.write(zipped=zipped)
            read = {label: picture for picture, label in self.open().train.stream()}
            for label in range(3):
                np.testing.assert_array_equal(read[label], label * 20 + np.arange(20).reshape(4, 5))

    def test_what_is_wrong_is_named(self):
        for wrong, message in [
            ({"labels": (0, 1)}, "3 pictures and 2 labels"),
            ({"labels": (0, 1, 10)}, "label 10"),
            ({"magic": 0x801}, "no IDX file of images"),
            ({"cut": 1}, "holds 59 bytes"),
        ]:
            self.write(**wrong)
            with self.subTest(message), self.assertRaisesRegex(data.DataError, message):
                self.open()
        for path in self.folder.iterdir():
            path.unlink()
        self.write(zipped=True, cut=9)
        with self.assertRaisesRegex(data.DataError, "cut short"):
            self.open()

    def test_tiny_pictures_are_enlarged_and_cut_square(self):
        self.write()
        pictures, labels = next(self.open().test.batches())
        self.assertEqual((pictures.shape, labels.tolist()), ((3, 64, 64), [0, 1, 2]))


class Folders(InAFolder):
    def write(self, *paths):
        for value, path in enumerate(paths):
            path = self.folder / path
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((20, 30), value, np.uint8))

    def parts(self):
        opened = data.open_data(str(self.folder), seed=0)
        return opened.classes, *(sorted((int(p[0, 0]), label) for p, label in part.stream())
                                 for part in (opened.train, opened.test))

    def test_train_and_val(self):
        self.write("train/b/1.png", "train/a/1.png", "train/a/2.png", "val/b/1.png")
        self.assertEqual(self.parts(), (["a", "b"], [(0, 1), (1, 0), (2, 0)], [(3, 1)]))

    def test_every_tenth_of_a_class_is_held_out_where_there_is_no_val(self):
        self.write(*(f"a/{i:02}.png" for i in range(12)), "b/1.png")
        classes, train, test = self.parts()
        self.assertEqual((classes, test), (["a", "b"], [(9, 0)]))
        self.assertEqual(len(train), 12)

    def test_what_is_wrong_is_named(self):
        with self.assertRaisesRegex(data.DataError, "no form that the baselines read.*tandem data pack"):
            self.parts()
        with self.assertRaisesRegex(data.DataError, "no folder .*nowhere"):
            data.open_data(str(self.folder / "nowhere"), 0)
        self.write("train/a/1.png")
        with self.assertRaisesRegex(data.DataError, "neither val/"):
            self.parts()
        self.write("val/b/1.png")
        with self.assertRaisesRegex(data.DataError, "val/b is a class that .*train does not have"):
            self.parts()
        (self.folder / "train/b").mkdir()
        with self.assertRaisesRegex(data.DataError, "class folder .*train/b holds no pictures"):
            self.parts()
        (self.folder / "train/b/x.jpg").write_bytes(b"no picture")
        with self.assertRaisesRegex(data.DataError, "train/b/x.jpg does not decode"):
            self.parts()

    def test_a_picture_is_cut_from_its_middle(self):
        wide = np.zeros((10, 30), np.uint8)
        wide[:, 10:20] = 7
        self.assertTrue((data.square(wide, 10) == 7).all())
        self.assertEqual(data.square(wide, 64).shape, (64, 64))


if __name__ == "__main__":
    unittest.main()
