"""Writes seeds/: for each fuzz target a few small inputs, by writers that are not ours."""
import gzip, io, json, pathlib, shutil, struct, tarfile, zlib

from PIL import Image

here = pathlib.Path(__file__).parent
fixtures = here / "../crates/tandem-data/tests/fixtures"


def write(target, name, data):
    path = here / "seeds" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def tar(form, names):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    whole = out.getvalue().rstrip(b"\0")  # Python pads to 10,240 bytes
    return whole + bytes(-len(whole) % 512 + 1024)


names = ["train/n01440764/n01440764_1.JPEG", "x" * 150, "train/é.png"]
write("tar", "ustar", tar(tarfile.USTAR_FORMAT, names[:1]))
write("tar", "gnu", tar(tarfile.GNU_FORMAT, names))
write("tar", "pax", tar(tarfile.PAX_FORMAT, names))

shutil.copy(fixtures / "devkit/small.mat", here / "seeds/mat5/small.mat")

idx = struct.pack(">4I", 0x803, 2, 3, 4) + bytes(range(24))
write("idx", "plain", idx)
write("idx", "gzip", gzip.compress(idx, mtime=0))

write("lists", "ground_truth", b"490\n361\n171\n")
write("lists", "solution", b"ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 1 2 3 4 \n")
write("lists", "annotations", b"val_0.JPEG\tn01751748\t0\t32\t44\t62\n")
write("lists", "json", b'{"label": 3, "filename": "n01440764/n01440764_1.JPEG"}')

picture = Image.linear_gradient("L").resize((16, 12))
for name, mode, options in [("grey", "L", {}), ("colour", "RGB", {"subsampling": 2}), ("cmyk", "CMYK", {}),
                            ("progressive", "RGB", {"progressive": True})]:
    out = io.BytesIO()
    picture.convert(mode).save(out, "JPEG", **options)
    write("picture", f"{name}.jpg", out.getvalue())
out = io.BytesIO()
picture.save(out, "PNG")
write("picture", "grey.png", out.getvalue())


def shard(side, quality, pictures):
    """A shard of grey pictures, as docs/pack-format.md describes it."""
    offset, records, body = 64, b"", b"".join(pictures)
    for label, bytes_ in enumerate(pictures):
        records += struct.pack("<Q4I", offset, len(bytes_), label, zlib.crc32(bytes_), 0)
        offset += len(bytes_)
    sums = bytes(8 * side * side + 72)
    keys = [str(i) for i in range(len(pictures))]
    table = records + json.dumps({"keys": keys, "left_out": [["a.jpg", "torn"]]}).encode()
    header = struct.pack("<8s6I8xQI8x", b"TDMSHARD", 1, len(pictures), side, 1, quality, zlib.crc32(table), offset + len(sums), zlib.crc32(sums))
    return header + struct.pack("<I", zlib.crc32(header)) + body + sums + table


write("shard", "raw", shard(2, 0, [bytes([i] * 4) for i in range(3)]))
out = io.BytesIO()
picture.resize((2, 2)).save(out, "JPEG")
write("shard", "jpeg", shard(2, 90, [out.getvalue()]))
