"""SIFT with Fisher vectors (Perronnin et al. 2010, Sánchez & Perronnin 2011).

The descriptors of a cell are seen as drawn from a mixture of Gaussians. The vector is the gradient of their mean
log-likelihood for the mixture's means and deviations, each entry divided by its expected size (the root of
Fisher's information, whose diagonal has a closed form), the signed root of that, and at the end norm 1.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import sift
from pyramid import cells


@dataclass(frozen=True)
class Settings:
    patch: int = 24
    step: int = 4
    scales: int = 5
    components: int = 64  # of SIFT's 128 that PCA keeps
    gaussians: int = 64
    iterations: int = 50  # of EM, at most
    least_variance: float = 1e-4
    levels: tuple = ((1, 1), (3, 1))
    sampled: int = 200_000  # descriptors that PCA and mixture are learned from


QUICK = Settings(step=8, gaussians=16, iterations=20, sampled=20_000)


class Encoder:
    """Learned from descriptors (M, 128); pictures in, vectors out."""

    def __init__(self, settings, descriptors, seed):
        self.grid = sift.Grid(settings.patch, settings.step, settings.scales)
        self.levels = settings.levels
        self.pca = PCA(settings.components, random_state=seed).fit(descriptors)
        mixture = GaussianMixture(settings.gaussians, covariance_type="diag", max_iter=settings.iterations,
                                  reg_covar=settings.least_variance, random_state=seed)
        with warnings.catch_warnings():
            # The likelihood still rises by a little when `iterations` are done; the codebook is as good.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.mixture = mixture.fit(self.pca.transform(descriptors))

    def encode(self, pictures):
        """Pictures (N, S, S) uint8 to vectors (N, cells x 2 x gaussians x components) of norm 1."""
        descriptors = sift.describe(pictures, self.grid)
        n, places, _ = descriptors.shape
        descriptors = self.pca.transform(descriptors.reshape(n * places, -1)).reshape(n, places, -1)
        vectors = [improved(fisher_vectors(descriptors[:, cell], self.mixture))
                   for cell in cells(self.grid.places(pictures.shape[1]), self.levels)]
        return np.concatenate(vectors, axis=1) / np.float32(np.sqrt(len(vectors)))


def fisher_vectors(descriptors, mixture):
    """Of descriptors (N, T, D) the normalised gradients (N, 2KD): for the K means, then for the K deviations."""
    weights, means = mixture.weights_.astype(np.float32), mixture.means_.astype(np.float32)
    deviations = np.sqrt(mixture.covariances_).astype(np.float32)
    n, count, _ = descriptors.shape

    moments = np.concatenate([descriptors, descriptors**2], axis=2)  # x and x^2, (N, T, 2D)
    linear = np.concatenate([means / deviations**2, -0.5 / deviations**2], axis=1)
    constant = np.log(weights) - np.log(deviations).sum(1) - 0.5 * ((means / deviations) ** 2).sum(1)
    posteriors = moments @ linear.T + constant  # logarithms, but for what all Gaussians share
    posteriors = np.exp(posteriors - posteriors.max(axis=2, keepdims=True))
    posteriors /= posteriors.sum(axis=2, keepdims=True)  # (N, T, K)

    zeroth = posteriors.sum(axis=1)[:, :, None]
    first, second = np.split(posteriors.transpose(0, 2, 1) @ moments, 2, axis=2)  # (N, K, D) each
    for_means = (first - means * zeroth) / deviations
    for_deviations = (second - 2 * means * first + means**2 * zeroth) / deviations**2 - zeroth
    root = np.sqrt(weights)[:, None] * count
    gradients = [for_means / root, for_deviations / (np.sqrt(np.float32(2)) * root)]
    return np.concatenate(gradients, axis=1).reshape(n, -1)


def improved(vectors):
    """The signed square root of each entry, and norm 1 (Perronnin et al. 2010)."""
    vectors = np.sign(vectors) * np.sqrt(np.abs(vectors))
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
