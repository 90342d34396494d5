"""Trains and tests SIFT with Fisher vectors, and sparse coding; run.sh starts this, README.md says more."""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

import classify
import fisher
import results
import sift
import sparse
import vectors
from data import DataError, open_data

METHODS = {"sift-fisher": fisher, "sparse-coding": sparse}
FEWEST = 100  # training pictures


def configuration(name, options, data):
    """All that the figures depend on."""
    method = METHODS[name]
    return {
        "method": name,
        "data": options.data,
        "seed": options.seed,
        "training_pictures": data.train.count,
        "images": data.test.count,
        "classes": len(data.classes),
        "side": data.train.side,
        "features": {
            "smoothed": sift.SMOOTHED,
            "drawn_from": vectors.DRAWN_FROM,
            **asdict(method.QUICK if options.quick else method.Settings()),
        },
        "classifier": asdict(classify.Settings()),
        "versions": {package: version(package) for package in ("numpy", "opencv-python-headless", "scikit-learn")},
    }


def measure(method, settings, data, seed, folder):
    """Trains on one part and tests on the other: what `metrics.jsonl` says."""
    started, worked = time.perf_counter(), time.process_time()
    grid = sift.Grid(settings.patch, settings.step, settings.scales)
    say("learning the codebook")
    drawn = vectors.draw(data.train, grid, settings.sampled, np.random.default_rng(seed))
    encoder = method.Encoder(settings, drawn, seed)

    say(f"encoding {data.train.count} training pictures")
    rows, labels = vectors.store(data.train, encoder, folder)
    absent = np.setdiff1d(np.arange(len(data.classes)), labels)
    if len(absent):
        raise DataError(f"the {len(labels)} training pictures hold none of class {data.classes[absent[0]]}")
    say(f"training {len(data.classes)} classifiers on vectors of {rows.shape[1]}")
    chosen = classify.Settings()
    weights, penalty = classify.fit(rows, labels, len(data.classes), chosen, seed)

    say(f"testing on {data.test.count} pictures")
    tested = vectors.encode(data.test, encoder)
    rank = np.concatenate([classify.ranks(classify.scores(batch, weights, chosen), right) for batch, right in tested])
    line = {"step": chosen.epochs * len(labels), "epoch": chosen.epochs, "top1_error": float(np.mean(rank > 0))}
    if len(data.classes) > 5:
        line["top5_error"] = float(np.mean(rank > 4))
    else:
        say(f"{len(data.classes)} classes: no top-5 error")
    return line | {
        "images": len(rank),
        "training_pictures": len(labels),
        "seed": seed,
        "penalty": penalty,
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(time.process_time() - worked, 1),
    }


def run(options):
    data = open_data(options.data, options.seed)
    if options.train_pictures is not None:
        data = replace(data, train=data.train.first(options.train_pictures))
    if data.train.count < FEWEST:
        raise DataError(f"{data.train.count} training pictures: the codebooks need {FEWEST}")
    for name, method in METHODS.items():
        folder, config = Path(options.out, name, str(options.seed)), configuration(name, options, data)
        if results.finished(folder, config):
            say(f"{name}: finished already")
            continue
        say(f"{name}:")
        folder.mkdir(parents=True, exist_ok=True)
        results.write(folder / "config.toml", results.toml(config))
        line = measure(method, method.QUICK if options.quick else method.Settings(), data, options.seed, folder)
        results.write(folder / "metrics.jsonl", json.dumps(line) + "\n")
        say(f"{name}: {json.dumps(line)}")


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("--data", required=True, help="`builtin`, a folder of IDX files or of pictures, or a pack")
    parser.add_argument("--out", required=True, help="the folder of results, one for each method and seed")
    parser.add_argument("--train-pictures", type=int, metavar="N", help="of the training pictures only so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="smaller codebooks and fewer descriptors")
    # Processors take a batch each: within one, more threads would only change the order of sums.
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        run(parser.parse_args())


if __name__ == "__main__":
    try:
        main()
    except (DataError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
