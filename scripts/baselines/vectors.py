"""From pictures to the vectors that the classifier sees, never more than a few batches in memory."""

import shutil
import sys
import tempfile

import joblib
import numpy as np

import sift
from data import DataError

DRAWN_FROM = 2_000  # pictures
SAID = 10_000  # pictures from one line of progress to the next


def draw(part, grid, count, chance):
    """At most `count` descriptors (M, 128), equally many from each of the first 2,000 pictures."""
    part = part.first(min(part.count, DRAWN_FROM))
    each = -(-count // part.count)
    drawn = []
    for pictures, _ in part.batches():
        for descriptors in sift.describe(pictures, grid):
            drawn.append(descriptors[chance.permutation(len(descriptors))[:each]])
    return np.concatenate(drawn)[:count]


def encode(part, encoder):
    """Yields vectors (N, L) float32 and labels (N,), batch by batch in order, from a thread for each processor."""
    work = (joblib.delayed(lambda pictures, labels: (encoder.encode(pictures), labels))(*batch)
            for batch in part.batches())
    seen = 0
    for vectors, labels in joblib.Parallel(joblib.cpu_count(), prefer="threads", return_as="generator")(work):
        if (seen + len(labels)) // SAID > seen // SAID:
            print(f"  {seen + len(labels)} of {part.count} pictures", file=sys.stderr)
        seen += len(labels)
        yield vectors, labels


def store(part, encoder, folder):
    """All vectors (N, L) as float16 in a file without a name in `folder`, which goes when it is closed or the
    process ends, however it ends; and all labels (N,)."""
    rows, at = None, 0
    labels = np.empty(part.count, int)
    for batch, its_labels in encode(part, encoder):
        if rows is None:
            rows = _room(folder, (part.count, batch.shape[1]))
        rows[at : at + len(batch)], labels[at : at + len(batch)] = batch, its_labels
        at += len(batch)
    return rows, labels


def _room(folder, shape):
    needed, free = 2 * shape[0] * shape[1], shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(f"the vectors of {shape[0]} pictures take {needed / 1e9:.1f} GB in {folder}, where "
                        f"{free / 1e9:.1f} GB are free: give another --out, or fewer --train-pictures")
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, np.float16, "w+", shape=shape)
