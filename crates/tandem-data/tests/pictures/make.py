"""Makes the files of this folder, and what Pillow reads from them; README.md says more.

    python3 make.py        in this folder; needs pillow, numpy, scikit-image, torchvision, and
                           Debian's libjpeg-turbo-progs (cjpeg) and libturbojpeg0
"""
import ctypes
import importlib.util
import os
import struct
import subprocess

import numpy as np
from PIL import Image
from torchvision import transforms

for folder in ("pillow", "squares"):
    os.makedirs(folder, exist_ok=True)
skimage = os.path.dirname(importlib.util.find_spec("skimage").origin)
# Without the colour profile it comes with.
whole = Image.fromarray(np.array(Image.open(f"{skimage}/data/astronaut.png").convert("RGB")))
face = whole.crop((150, 0, 335, 145)).resize((37, 29), Image.BICUBIC)
face.save("face.ppm")


def pillow(name, **options):
    face.save(name, "JPEG", quality=90, **options)


def cjpeg(name, *options):
    subprocess.run(["cjpeg", "-quality", "90", *options, "-outfile", name, "face.ppm"], check=True)


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


# Sampling of the chroma, by Pillow and by cjpeg.
pillow("444.jpg", subsampling="4:4:4")
pillow("422.jpg", subsampling="4:2:2")
pillow("420.jpg", subsampling="4:2:0")
cjpeg("411.jpg", "-sample", "4x1")
cjpeg("440.jpg", "-sample", "1x2")
# Kinds of coding; the pixels are those of 420.jpg.
cjpeg("progressive.jpg", "-progressive")
cjpeg("restart.jpg", "-restart", "1B")
cjpeg("arithmetic.jpg", "-arithmetic")
write("scans.txt", b"0;\n1;\n2;\n")
cjpeg("scans.jpg", "-scans", "scans.txt")
# Colours.
cjpeg("grey.jpg", "-grayscale")
cjpeg("rgb.jpg", "-rgb")
inks = np.array(face.convert("CMYK"))
inks[..., 3] = inks[..., :3].min(axis=-1) // 2
inks[..., :3] -= inks[..., 3:]
Image.fromarray(inks, "CMYK").save("cmyk.jpg", "JPEG", quality=90)
turbo = ctypes.CDLL("libturbojpeg.so.0")
turbo.tjInitCompress.restype = ctypes.c_void_p
out, size = ctypes.c_void_p(), ctypes.c_ulong()
# 11 is CMYK, which it turns into YCCK; Adobe's programs store inks inverted.
failed = turbo.tjCompress2(ctypes.c_void_p(turbo.tjInitCompress()), (255 - inks).tobytes(), 37, 0, 29,
                           11, ctypes.byref(out), ctypes.byref(size), 0, 90, 0)
assert not failed
write("ycck.jpg", ctypes.string_at(out, size.value))
# What is found in the wild.
exif = Image.Exif()
exif[0x112] = 6
pillow("orientation.jpg", exif=exif.tobytes(), subsampling="4:2:0")
plain = open("420.jpg", "rb").read()
tables, frame, scan = (plain.index(bytes([0xFF, m])) for m in (0xDB, 0xC0, 0xDA))
write("trailing.jpg", plain + bytes(7) + b"a camera's leavings \xff\xd8\xff")
write("junk.jpg", plain[:tables] + b"\xff\xff\xff" + plain[tables:frame] + bytes(5) + plain[frame:])
damaged = bytearray(plain)
damaged[scan + 200] ^= 0x5A
write("damaged.jpg", damaged)
claims = struct.pack(">HH", 60_000, 60_000)
write("huge.jpg", plain[:frame + 5] + claims + plain[frame + 9:])
for name, box in (("1x1", (20, 20, 21, 21)), ("1x29", (20, 0, 21, 29)), ("37x1", (0, 20, 37, 21))):
    face.crop(box).save(f"{name}.jpg", "JPEG", quality=90)
# PNG.
face.save("png.JPEG", "PNG")
face.quantize(31).save("palette.png")
alpha = np.dstack([np.array(face), np.tile(np.arange(37, dtype=np.uint8) * 6, (29, 1))])
Image.fromarray(alpha).save("alpha.png")
deep = np.array(face.convert("L")).astype(np.uint16) * 257
Image.fromarray(deep).save("grey16.png")

for name in ("444.jpg", "422.jpg", "420.jpg", "411.jpg", "440.jpg", "grey.jpg", "rgb.jpg", "cmyk.jpg",
             "ycck.jpg", "damaged.jpg", "1x1.jpg", "1x29.jpg", "37x1.jpg", "png.JPEG", "palette.png",
             "alpha.png"):
    image = Image.open(name)
    image.convert("L" if image.mode == "L" else "RGB").save(f"pillow/{name.split('.')[0]}.png")
# Another way of coding, or the garbage around it, changes no pixel.
for name in ("progressive", "restart", "scans", "arithmetic", "orientation", "trailing", "junk"):
    assert Image.open(f"{name}.jpg").tobytes() == Image.open("420.jpg").tobytes(), name
assert Image.open("damaged.jpg").tobytes() != Image.open("420.jpg").tobytes()
# Of 16-bit grey Pillow's conversion to RGB clips at 255 rather than scale: the 8 bits it was made of.
face.convert("L").save("pillow/grey16.png")
for name in ("face.ppm", "scans.txt"):
    os.remove(name)


def pattern(width, height):
    """Slopes under noise, as tests/squares.rs makes them."""
    y, x, c = np.mgrid[:height, :width, :3].astype(np.uint32)
    noise = x * np.uint32(374761393) + y * np.uint32(668265263) + c * np.uint32(2246822519)
    noise = (noise ^ (noise >> 13)) * np.uint32(1274126177)
    slope = np.abs((3 * x + 2 * y + 60 * c).astype(np.int64) % 384 - 192)
    return Image.fromarray((slope + (noise >> 16 & 63)).astype(np.uint8))


def square(image, side):
    return transforms.Compose([transforms.Resize(side), transforms.CenterCrop(side)])(image)


whole.crop((120, 0, 360, 180)).resize((112, 84), Image.BICUBIC).save("photo.png")
square(Image.open("photo.png"), 64).save("squares/photo-64.png")
for width, height in ((500, 375), (375, 500), (3000, 2000)):
    square(pattern(width, height), 64).save(f"squares/{width}x{height}-64.png")
for width, height in ((500, 375), (333, 500), (3000, 2000), (40, 30), (261, 256), (256, 259), (301, 1000), (1000, 301), (60, 200)):
    rows = np.array(square(pattern(width, height), 256))[[0, 37, 128, 255]]
    Image.fromarray(rows).save(f"squares/{width}x{height}-256-rows.png")
