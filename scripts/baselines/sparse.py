"""Sparse coding (Yang et al. 2009; Lin et al. 2011, first of ILSVRC-2010): the codes of SIFT descriptors over a
learned dictionary, of which a cell of the spatial pyramid keeps the largest magnitude of each atom.

The code z of a descriptor x minimises 1/2 |x - z D|^2 + penalty |z|_1.
"""

from dataclasses import dataclass

import numpy as np

import sift
from data import DataError
from pyramid import cells


ROWS = 256  # descriptors coded at once: their arrays stay in the cache
BATCH = 512  # descriptors from one change of the dictionary to the next


@dataclass(frozen=True)
class Settings:
    patch: int = 16
    step: int = 6
    scales: int = 1
    atoms: int = 512
    penalty: float = 0.15
    precise: float = 2e-3  # a code is done when no entry would change by so much
    levels: tuple = ((1, 1), (2, 2), (4, 4))
    sampled: int = 100_000  # descriptors that the dictionary is learned from


QUICK = Settings(step=8, atoms=128, sampled=20_000)


class Encoder:
    """Learned from descriptors (M, 128); pictures in, vectors out."""

    def __init__(self, settings, descriptors, seed):
        self.grid = sift.Grid(settings.patch, settings.step, settings.scales)
        self.levels, self.penalty, self.precise = settings.levels, settings.penalty, settings.precise
        self.dictionary = learn(descriptors, settings, seed)

    def encode(self, pictures):
        """Pictures (N, S, S) uint8 to vectors (N, cells x atoms) of norm 1."""
        descriptors = sift.describe(pictures, self.grid)
        n, places, _ = descriptors.shape
        found = codes(descriptors.reshape(n * places, -1), self.dictionary, self.penalty, self.precise)
        pooled = pool(found.reshape(n, places, -1), cells(self.grid.places(pictures.shape[1]), self.levels))
        return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)


def pool(found, inside):
    """Of codes (N, P, K) the largest magnitudes over the places of each cell: (N, cells x K)."""
    return np.concatenate([np.abs(found[:, cell]).max(axis=1) for cell in inside], axis=1)


def codes(descriptors, dictionary, penalty, precise):
    """Codes (M, K) of descriptors (M, D) over atoms (K, D) of norm 1."""
    gram = dictionary @ dictionary.T
    found = np.zeros((len(descriptors), len(dictionary)), np.float32)
    for start in range(0, len(descriptors), ROWS):
        rows = slice(start, start + ROWS)
        _descend(descriptors[rows] @ dictionary.T, gram, np.float32(penalty), precise, found[rows])
    return found


def _descend(correlations, gram, penalty, precise, found):
    """Greedy coordinate descent (Li & Osher 2009): of each row's code the entry changes that would change most. Few
    entries end other than 0, so few changes make a code.

    `correlations` (M, K) are those of each atom with the descriptor less what the other atoms make of it.
    """
    rows, code = np.arange(len(found)), np.zeros_like(found)
    while len(rows):
        wanted = correlations - np.clip(correlations, -penalty, penalty)
        change = wanted - code
        here, entry = np.arange(len(rows)), np.abs(change).argmax(axis=1)
        change = change[here, entry]
        code[here, entry] = wanted[here, entry]
        correlations -= change[:, None] * gram[entry]
        correlations[here, entry] += change  # an atom is not in its own way
        done = np.abs(change) < precise
        if done.any():
            found[rows[done]] = code[done]
            rows, code, correlations = rows[~done], code[~done], correlations[~done]


def learn(descriptors, settings, seed):
    """A dictionary (atoms, D), each atom of norm 1, by online learning (Mairal et al. 2009) in one pass.

    Starts from descriptors drawn at random. After each batch every atom in turn takes the value that is best for
    the codes so far, of which those of early batches, made with worse atoms, count less.
    """
    atoms, chance = settings.atoms, np.random.default_rng(seed)
    lengths = np.linalg.norm(descriptors, axis=1)
    seen = chance.permutation(np.flatnonzero(lengths > 0.5))  # not those of empty patches
    if len(seen) < atoms:
        raise DataError(f"{len(seen)} descriptors that are not empty cannot make {atoms} atoms: give more training pictures")
    dictionary = descriptors[seen[:atoms]] / lengths[seen[:atoms], None]
    squares, products = np.zeros((atoms, atoms), np.float32), np.zeros_like(dictionary)
    for batch in range(-(-len(seen) // BATCH)):
        described = descriptors[seen[batch * BATCH : (batch + 1) * BATCH]]
        found = codes(described, dictionary, settings.penalty, settings.precise)
        kept = batch / (batch + 1)
        squares = kept * squares + found.T @ found
        products = kept * products + found.T @ described
        for atom in np.flatnonzero(squares.diagonal() > 1e-6):
            better = dictionary[atom] + (products[atom] - squares[atom] @ dictionary) / squares[atom, atom]
            dictionary[atom] = better / max(np.linalg.norm(better), 1e-12)
    return dictionary
