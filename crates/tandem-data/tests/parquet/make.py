#!/usr/bin/env python3
"""Writes the parquet files of this folder: `python make.py`, with pyarrow, datasets, pillow and numpy installed.

Pictures: the first twenty of data/fashion-mnist-small's training set, encoded by Pillow, JPEG and PNG in turn.
"""
import gzip, io, json
from pathlib import Path

import datasets, numpy as np, pyarrow as pa, pyarrow.parquet as pq
from PIL import Image

HERE = Path(__file__).parent
SHIPPED = HERE / "../../../../data/fashion-mnist-small"
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
pixels = np.frombuffer(gzip.open(SHIPPED / "train-images-idx3-ubyte.gz").read(), np.uint8, offset=16).reshape(-1, 28, 28)
labels = np.frombuffer(gzip.open(SHIPPED / "train-labels-idx1-ubyte.gz").read(), np.uint8, offset=8)[:20].tolist()


def encoded(i):
    file = io.BytesIO()
    if i % 2:
        Image.fromarray(pixels[i]).save(file, "PNG")
    else:
        Image.fromarray(pixels[i]).save(file, "JPEG", quality=90)
    return file.getvalue()


images = [{"bytes": encoded(i), "path": f"picture_{i:02}.{'png' if i % 2 else 'jpg'}"} for i in range(20)]
features = {"image": {"_type": "Image"}, "label": {"names": CLASSES, "_type": "ClassLabel"}}
noted = {"huggingface": json.dumps({"info": {"features": features}})}
table = pa.table({
    "image": pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    "label": pa.array(labels, pa.int64()),
}).replace_schema_metadata(noted)


def write(name, table=table, **how):
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **{"write_statistics": False} | how)


# Packings, and pages of both versions.
for packing in ["none", "snappy", "zstd", "gzip", "lz4"]:
    for version in ["1.0", "2.0"]:
        write(f"packings/{packing}-v{version[0]}.parquet", compression=packing, data_page_version=version)
# Without dictionaries; a picture a page; few rows a row group; all of them.
write("pages/plain.parquet", use_dictionary=False)
write("pages/one-a-page.parquet", compression="gzip", use_dictionary=False, data_page_size=1, write_batch_size=1)
write("pages/some-a-page.parquet", use_dictionary=False, data_page_size=2000, write_batch_size=1)
write("pages/row-groups-of-7.parquet", row_group_size=7)
write("pages/a-dictionary-that-overflows.parquet", dictionary_pagesize_limit=2000, write_batch_size=1, data_page_size=1)
write("pages/indexed.parquet", write_page_index=True, write_statistics=True, row_group_size=7)
# Every picture twice, so that the dictionary pays.
twice = pa.concat_tables([table, table])
twice = twice.set_column(0, table.schema.field("image"), pa.array(
    images + [{**image, "path": "again_" + image["path"]} for image in images], table.schema.field("image").type))
write("pages/twice.parquet", twice, row_group_size=32, compression="zstd")

# Columns.
def columns(name, columns, metadata=noted, **how):
    write(f"columns/{name}.parquet", pa.table(columns).replace_schema_metadata(metadata), **how)


bytes_only = pa.array([image["bytes"] for image in images], pa.binary())
paths = pa.array([image["path"] for image in images])
columns("binary", {"img": bytes_only, "path": paths, "fine_label": pa.array(labels, pa.uint8())}, {})
columns("required", {"image": table["image"], "label": table["label"]})
write("columns/required.parquet", table.cast(pa.schema(
    [pa.field("image", pa.struct([pa.field("bytes", pa.binary(), False), pa.field("path", pa.string(), False)]), False),
     pa.field("label", pa.int64(), False)], noted)))
columns("delta", {"image": table["image"], "label": pa.array(labels, pa.int32())}, use_dictionary=False,
        column_encoding={"label": "DELTA_BINARY_PACKED"})
columns("no-paths", {"image": pa.array([{**image, "path": None} for image in images], table.schema.field("image").type),
                     "label": table["label"]})
columns("null-paths", {"image": pa.array([{"bytes": image["bytes"], "path": None} for image in images]), "label": table["label"]})
columns("names", {"image": table["image"], "label": pa.array([CLASSES[label] for label in labels])}, {})
columns("capitals", {"Image": table["image"], "Label": table["label"]}, {})
columns("no-names", {"image": table["image"], "label": table["label"]}, {})
write("unlabelled/test.parquet", table.set_column(1, "label", pa.array([-1] * 20)))
write("unlabelled/null/test.parquet", table.set_column(1, "label", pa.array([None] * 20, pa.int64())))
write("unlabelled/none/test.parquet", table.select(["image"]))

# Classes: WNIDs in the paths, against the sorted order; ILSVRC's readable names, with and without WNIDs.
def named(rows):
    return {"image": pa.array([{"bytes": images[i]["bytes"], "path": path} for i, (path, _) in enumerate(rows)],
                              table.schema.field("image").type),
            "label": pa.array([label for _, label in rows])}


words = [line.split(" ", 1)[1] for line in (HERE / "../../../../data/ilsvrc2012/classes.txt").read_text().splitlines()]
ilsvrc = {"huggingface": json.dumps({"info": {"features": {"label": {"names": words, "_type": "ClassLabel"}}}})}
columns("wnids", named([("n01751748_7.JPEG", 0), ("n01440764_3.JPEG", 1), ("n01751748_1.JPEG", 0)]), {})
write("ilsvrc/data/train-00000-of-00001.parquet", pa.table(named(
    [("n01751748_7_n01751748.JPEG", 65), ("n01440764_10026_n01440764.JPEG", 0)])).replace_schema_metadata(ilsvrc))
write("ilsvrc/data/test-00000-of-00001.parquet", pa.table(named(
    [("ILSVRC2012_test_00000002.JPEG", -1), ("ILSVRC2012_test_00000001.JPEG", -1)])).replace_schema_metadata(ilsvrc))
columns("../bad/another-wnid", named([("n01440764_1.JPEG", 0), ("n01751748_1.JPEG", 0)]), {})

# Bad.
def bad(name, image=None, label=None, metadata=noted, **how):
    columns = {"image": table["image"] if image is None else image, "label": table["label"] if label is None else label}
    write(f"bad/{name}.parquet", pa.table(columns).replace_schema_metadata(metadata), **how)


kind = table.schema.field("image").type
bad("null-picture", pa.array([None if i == 3 else image for i, image in enumerate(images)], kind))
bad("null-bytes", pa.array([{**image, "bytes": None} if i == 3 else image for i, image in enumerate(images)], kind),
    row_group_size=2)
bad("null-label", label=pa.array([None if i == 13 else label for i, label in enumerate(labels)]), row_group_size=6)
bad("label-10", label=pa.array([10 if i == 13 else label for i, label in enumerate(labels)]), row_group_size=6)
bad("real-label", label=pa.array([float(label) for label in labels]))
bad("path-picture", pa.array([image["path"] for image in images]))
bad("no-rows", pa.array([], kind), pa.array([], pa.int64()))
bad("list-of-pictures", pa.array([[image] for image in images], pa.list_(kind)))
bad("number-picture", pa.array(range(20)))
bad("brotli", compression="brotli")
bad("delta-bytes", use_dictionary=False, column_encoding={"image.bytes": "DELTA_BYTE_ARRAY"})
bad("same-path", pa.array([{**image, "path": "picture.png"} for image in images], kind))
write("bad/no-picture.parquet", table.select(["label"]))
write("bad/no-label.parquet", table.select(["image"]))
import pyarrow.parquet.encryption as encryption


class Plain(encryption.KmsClient):
    def __init__(self, _):
        super().__init__()

    def wrap_key(self, key, _):
        return key.hex()

    def unwrap_key(self, key, _):
        return bytes.fromhex(key)


for plain_footer in [False, True]:
    properties = encryption.CryptoFactory(Plain).file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(footer_key="key", column_keys={"key": ["image.bytes"]}, plaintext_footer=plain_footer))
    write(f"bad/encrypted{'-columns' if plain_footer else ''}.parquet", encryption_properties=properties)

# By the datasets library itself: its metadata, content-defined chunks and page index.
real = datasets.Dataset.from_dict(
    {"image": images, "label": labels},
    features=datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=CLASSES)))
(HERE / "datasets/data").mkdir(parents=True, exist_ok=True)
real.select(range(0, 8)).to_parquet(HERE / "datasets/data/train-00000-of-00002.parquet")
real.select(range(8, 16)).to_parquet(HERE / "datasets/data/train-00001-of-00002.parquet")
real.select(range(16, 20)).to_parquet(HERE / "datasets/data/validation-00000-of-00001.parquet")
# As the hub converts.
write("hub/default/train/0000.parquet", table.slice(0, 8))
write("hub/default/train/0001.parquet", table.slice(8, 8))
write("hub/default/validation/0000.parquet", table.slice(16, 4))

# Seeds for mutation: all header and hardly a picture.
tiny = pa.table({"image": pa.array([{"bytes": bytes([i] * 5), "path": f"n0144076{i}_{i}.png"} for i in range(4)], kind),
                 "label": pa.array(range(4))})
seeds = "../../../../fuzz/seeds/parquet/"
write(seeds + "plain", tiny, use_dictionary=False, compression="none", write_page_index=True, write_statistics=True, store_schema=False)
write(seeds + "dictionary", tiny, compression="snappy", row_group_size=2, store_schema=False)
write(seeds + "version-2", tiny.replace_schema_metadata(noted), compression="zstd", data_page_version="2.0")
write(seeds + "lz4", tiny, compression="lz4", use_dictionary=False, column_encoding={"label": "DELTA_BINARY_PACKED"}, store_schema=False)
write(seeds + "gzip", tiny, compression="gzip", data_page_version="2.0", use_dictionary=False, store_schema=False)

# The decoded pictures, (20, 28, 28), as Pillow decodes them.
decoded = np.stack([np.asarray(Image.open(io.BytesIO(image["bytes"]))) for image in images])
(HERE / "decoded.bin").write_bytes(decoded.tobytes())
