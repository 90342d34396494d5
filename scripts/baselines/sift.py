"""Dense SIFT (Lowe 2004): a descriptor at every place of a grid, at several scales, always upright."""

from typing import NamedTuple

import cv2
import numpy as np

LENGTH = 128  # 4 x 4 bins of 8 orientations
# What OpenCV smooths a picture to before it takes gradients, pixels. Its own 1.6 is for finding key points, which
# a grid does not; on enlarged pictures, smooth already, it costs more than half a point of accuracy.
SMOOTHED = 1.0


class Grid(NamedTuple):
    """Where descriptors are taken; lengths in pixels of the scaled picture."""

    patch: int  # side of a descriptor's window
    step: int  # from one place to the next
    scales: int  # at most so many, each 1/sqrt(2) of the one before

    def centres(self, side):
        """Of each scale that holds a window, largest first: its side, and the windows' centres along a side."""
        for scale in range(self.scales):
            scaled = round(side / 2 ** (scale / 2))
            if scaled >= self.patch:
                yield scaled, np.arange(0, scaled - self.patch + 1, self.step) + self.patch / 2

    def places(self, side):
        """Centres (P, 2) as (y, x), as shares of the picture, in the order of `describe`."""
        return np.concatenate([np.stack(np.meshgrid(along, along, indexing="ij"), -1).reshape(-1, 2) / scaled
                               for scaled, along in self.centres(side)])


def describe(pictures, grid):
    """Descriptors of pictures (N, S, S) uint8: (N, P, 128) float32, of norm 1, or 0 where nothing is to be seen."""
    sift = cv2.SIFT_create(nOctaveLayers=1, sigma=SMOOTHED)
    scales = []
    for scaled, along in grid.centres(pictures.shape[1]):
        # OpenCV's bins are 1.5 sizes wide, four of them make a patch; a pixel's centre is at a whole number.
        points = [cv2.KeyPoint(float(x), float(y), grid.patch / 6, 0.0) for y in along - 0.5 for x in along - 0.5]
        scales.append(np.stack([sift.compute(square, points)[1] for square in _scaled(pictures, scaled)]))
    descriptors = np.concatenate(scales, axis=1)
    return descriptors / np.maximum(np.linalg.norm(descriptors, axis=2, keepdims=True), 1e-12)


def _scaled(pictures, side):
    if side == pictures.shape[1]:
        return pictures
    return (cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in pictures)
