"""See compare-onnx-with-onnxruntime.sh."""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from safetensors.numpy import load_file, save_file

TANDEM = os.environ["TANDEM"]
PRESETS = Path(__file__).parent / "../crates/tandem-alexnet/presets"
TORCHVISION = np.array([[0.485, 0.229], [0.456, 0.224], [0.406, 0.225]])


def run(*arguments):
    done = subprocess.run([TANDEM, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"tandem {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def weights(preset, spec, text, file, spread):
    """A weights file of the preset with random values; scores are apart by `spread`."""
    random = np.random.default_rng(2)
    channels = 1 if preset == "mini" else 3
    text = text.replace("[input]", f"[input]\nchannels = {channels}", 1)
    tensors = {}
    for layer in json.loads(run("info", "--model", preset, "--json"))["layers"]:
        if not (shape := layer.get("weight")):
            continue
        if len(tensors) == 0:
            shape[1] = channels
        std = (2 / np.prod(shape[1:])) ** 0.5
        if not tensors and spec["input"].get("normalise") != "torchvision":
            std /= 20  # pixels are some 60 large
        tensors[f"{layer['name']}.weight"] = random.normal(0, std, shape).astype("f4")
        tensors[f"{layer['name']}.bias"] = random.normal(0, 0.1, shape[0]).astype("f4")
    tensors[f"{layer['name']}.weight"] *= np.float32(spread)
    side = spec["input"]["side"]
    if spec["input"].get("normalise", "mean") == "mean":
        tensors["input.mean"] = random.uniform(90, 130, (channels, side, side)).astype("f4")
    classes = json.dumps([f"class {i}" for i in range(spec["classes"])])
    metadata = dict(format="tandem", step="7", epoch="1", spec=text, classes=classes)
    save_file(tensors, file, metadata)
    return tensors.get("input.mean")


def predicted(file, picture, classes):
    line = json.loads(run("predict", "--weights", file, picture, "--top", classes, "--json"))
    row = np.zeros(classes)
    for p in line["predictions"]:
        row[p["class"]] = p["probability"]
    return row


def main():
    random = np.random.default_rng(2)
    names = sys.argv[1:] or sorted(
        p.stem for p in PRESETS.glob("*.toml") if not p.stem.endswith(".train")
    )
    for preset in names:
        text = (PRESETS / f"{preset}.toml").read_text()
        spec = tomllib.loads(text)
        side, crop = spec["input"]["side"], spec["input"]["crop"]
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            file = folder / "w.safetensors"
            channels = 1 if preset == "mini" else 3
            shape = (side, side) if channels == 1 else (side, side, 3)
            pixels = random.integers(0, 256, shape, dtype="u1")
            Image.fromarray(pixels).save(folder / "p.png")
            # One class that has it all would hide a difference.
            for spread in [1, 0.1, 0.01, 1e-3, 1e-4]:
                mean = weights(preset, spec, text, file, spread)
                want = predicted(file, folder / "p.png", spec["classes"])
                if want.max() < 0.9:
                    break
            assert 1.5 / spec["classes"] < want.max() < 0.9, f"{preset}: {want.max()}"
            x = pixels.reshape(side, side, channels).transpose(2, 0, 1).astype("f8")
            if mean is not None:
                x = x - mean
            else:
                # Grey has the mean of the three colours' values.
                of = TORCHVISION if channels == 3 else TORCHVISION.mean(0, keepdims=True)
                x = (x / 255 - of[:, 0, None, None]) / of[:, 1, None, None]
            left = (side - crop) // 2
            x = x[None, :, left:left + crop, left:left + crop].astype("f4")
            report = []
            for name, half in [("single", []), ("half", ["--half"])]:
                model = folder / f"{name}.onnx"
                run("export", file, "--to", "onnx", "--out", model, *half)
                onnx.checker.check_model(str(model), full_check=True)
                options = onnxruntime.SessionOptions()
                options.log_severity_level = 3
                session = onnxruntime.InferenceSession(str(model), options)
                # Two pictures: the batch is open.
                got = session.run(None, {"pictures": np.concatenate([x, x])})[0]
                apart = max(np.abs(row - want).max() for row in got)
                size = model.stat().st_size / 1e6
                report.append(f"{name} {size:.0f} MB, largest difference {apart:.1e}")
                assert apart < (1e-4 if not half else 1e-2), apart
                if not half:
                    back = folder / "back"
                    run("import", model, "--out", back)
                    a, b = load_file(file), load_file(back / "best.safetensors")
                    assert a.keys() == b.keys()
                    assert all((a[k].view("u4") == b[k].view("u4")).all() for k in a)
                model.unlink()
            print(f"{preset}: probabilities up to {want.max():.3f}; {'; '.join(report)}; comes back equal")


if __name__ == "__main__":
    main()
