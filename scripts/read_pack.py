"""Reads a pack (docs/pack-format.md) with nothing but the standard library.

    python3 scripts/read_pack.py OUT [PART]     lists key, class and bytes of each picture
"""

import json, mmap, struct, sys, zlib
from pathlib import Path


def read_pack(folder, part="train"):
    """Yields (picture, label, key): side x side x C bytes, or a JPEG; label is None where there is none."""
    pack = json.loads(Path(folder, "pack.json").read_text())
    for listed in pack["parts"][part]["shards"]:
        with open(Path(folder, listed["file"]), "rb") as file:
            shard = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, version, count = struct.unpack_from("<8s2I", shard)
        checksum, table = struct.unpack_from("<I8xQ", shard, 28)
        assert (magic, version) == (b"TDMSHARD", 1) and zlib.crc32(shard[:60]) == struct.unpack_from("<I", shard, 60)[0]
        assert zlib.crc32(shard[table:]) == checksum == listed["checksum"], listed["file"]
        text = table + 24 * count
        for i, key in enumerate(json.loads(shard[text:])["keys"]):
            offset, length, label, crc = struct.unpack_from("<Q3I", shard, table + 24 * i)
            picture = shard[offset : offset + length]
            assert zlib.crc32(picture) == crc, key
            yield picture, None if label == 0xFFFFFFFF else label, key


if __name__ == "__main__":
    classes = json.loads(Path(sys.argv[1], "pack.json").read_text())["classes"]
    for picture, label, key in read_pack(*sys.argv[1:]):
        print(key, "-" if label is None else classes[label], len(picture), sep="\t")
