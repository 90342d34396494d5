"""See compare-caffe-with-pytorch.sh."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "../crates/tandem-formats/tests/caffe"))
import make  # noqa: E402

TANDEM = os.environ["TANDEM"]
SIDE, CROP, ALPHA = 256, 227, 1e-4


def run(*arguments):
    done = subprocess.run([TANDEM, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"tandem {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


def ours(weights, pictures, devices):
    lines = run("predict", "--weights", weights, *pictures, "--top", 1000, "--json", "--devices", devices)
    rows = [json.loads(line)["predictions"] for line in lines.splitlines()]
    table = np.zeros((len(rows), 1000))
    for row, predictions in zip(table, rows):
        for p in predictions:
            row[p["class"]] = p["probability"]
    return table


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        folder = Path(folder)
        seen = np.concatenate([make.pictures(SIDE, seed) for seed in range(5, 8)])
        names = []
        for i, pixels in enumerate(seen):
            names.append(folder / f"{i}.png")
            Image.fromarray(pixels).save(names[-1])
        mean = np.random.default_rng(6).uniform(90, 130, (3, SIDE, SIDE)).astype("f4")
        means = [104.0, 117.0, 123.0]
        for name, pool_first in [("caffenet", True), ("bvlc-alexnet", False)]:
            found = make.weights(make.FULL, CROP, pool_first, ALPHA, 1)
            file = folder / f"{name}.caffemodel"
            if pool_first:
                blob = make.caffe["BlobProto"]()
                make.legacy(blob, mean[None])
                (folder / "imagenet_mean.binaryproto").write_bytes(blob.SerializeToString())
                net = make.v1("CaffeNet", found, make.FULL, True, ALPHA, CROP, "a/imagenet_mean.binaryproto")
                subtracted = mean
            else:
                net = make.current("AlexNet", found, make.FULL, False, ALPHA, CROP, means, 1.0)
                subtracted = np.array(means)[:, None, None]
            file.write_bytes(net.SerializeToString())
            del net
            made = json.loads(run("import", file, "--out", folder / name, "--json"))
            assert made["model"] == name, made
            file.unlink()
            logits = make.scores(seen, found, make.FULL, pool_first, ALPHA, subtracted, 1.0, CROP)
            want = np.exp(logits - logits.max(1, keepdims=True))
            want /= want.sum(1, keepdims=True)
            for devices in ["cpu", "cpu,cpu"]:
                got = ours(folder / name, names, devices)
                # Of less than that, f32 has no logarithm worth comparing.
                likely = want > 1e-20
                print(
                    f"{name} on {devices}: {len(seen)} pictures, probabilities up to {want.max():.3f}, "
                    f"largest difference {np.abs(got - want).max():.1e}, "
                    f"of logarithms {np.abs(np.log(got[likely]) - np.log(want[likely])).max():.1e}"
                )
                assert np.abs(got - want).max() < 1e-4


if __name__ == "__main__":
    main()
