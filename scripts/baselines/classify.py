"""Linear SVMs, one for each class against all others, by averaged stochastic gradient descent (Lin et al. 2011)."""

from dataclasses import dataclass

import numpy as np

BLOCK = 1024  # vectors read at once


@dataclass(frozen=True)
class Settings:
    penalties: tuple = (1e-4, 1e-5, 1e-6)  # one is chosen on pictures held out
    held_out: float = 0.1  # of the training pictures
    epochs: int = 10
    batch: int = 64
    rate: float = 30.0  # at first
    constant: float = 0.3  # a last entry of every vector, whose weight is the bias


def fit(vectors, labels, classes, settings, seed):
    """Weights (classes, L + 1) of vectors (N, L), and their penalty: the one with the least top-1 error on the last
    tenth, when trained without it. The vectors stand in random order."""
    cut = len(labels) - max(1, round(len(labels) * settings.held_out))
    tried = train(vectors[:cut], labels[:cut], classes, settings.penalties, settings, seed)
    errors = np.zeros(len(tried), int)
    for at in range(cut, len(labels), BLOCK):
        for trial, weights in enumerate(tried):
            its_scores = scores(vectors[at : at + BLOCK], weights, settings)
            errors[trial] += (ranks(its_scores, labels[at : at + BLOCK]) > 0).sum()
    penalty = settings.penalties[int(np.argmin(errors))]
    return train(vectors, labels, classes, [penalty], settings, seed)[0], penalty


def train(vectors, labels, classes, penalties, settings, seed):
    """Weights (penalties, classes, L + 1) that minimise, of each class and penalty,
    penalty/2 |w|^2 + mean of max(0, 1 - y w.x): in one pass over the vectors for all of them.

    Bottou's rates; the mean of the weights over the second half is what counts.
    """
    chance = np.random.default_rng(seed)
    penalty = np.repeat(np.asarray(penalties, np.float32), classes)[:, None]
    weights = np.zeros((len(penalty), vectors.shape[1] + 1), np.float32)
    mean, averaged, step = np.zeros_like(weights), 0, 0
    for epoch in range(settings.epochs):
        for start in chance.permutation(range(0, len(labels), BLOCK)):
            its_labels = labels[start : start + BLOCK]
            order = chance.permutation(len(its_labels))
            block = _with_constant(vectors[start : start + BLOCK], settings.constant)[order]
            signs = np.where(its_labels[order, None] == np.arange(classes), 1, -1).astype(np.float32)
            signs = np.tile(signs, len(penalties))
            for at in range(0, len(order), settings.batch):
                x, y = block[at : at + settings.batch], signs[at : at + settings.batch]
                slope = np.where((x @ weights.T) * y < 1, y, 0) / np.float32(len(x))
                rate = np.float32(settings.rate) / (1 + penalty * np.float32(settings.rate * step)) ** 0.75
                weights *= 1 - rate * penalty
                weights += (rate * slope.T) @ x
                step += 1
            if epoch >= settings.epochs / 2:
                averaged += 1
                mean += (weights - mean) / np.float32(averaged)
    return mean.reshape(len(penalties), classes, -1)


def scores(vectors, weights, settings):
    """Of vectors (N, L) and weights (classes, L + 1): (N, classes), larger is likelier."""
    return _with_constant(vectors, settings.constant) @ weights.T


def ranks(scores, labels):
    """How many classes score above the right one: 0 is a hit, 5 and more is a top-5 error."""
    return (scores > scores[np.arange(len(labels)), labels][:, None]).sum(axis=1)


def _with_constant(vectors, constant):
    rows = np.full((len(vectors), vectors.shape[1] + 1), np.float32(constant))
    rows[:, :-1] = vectors
    return rows
