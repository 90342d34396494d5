"""The baselines held against what they are made of: gradients taken by differences, scikit-learn's own solvers,
and sums by hand.

    cd scripts/baselines && ../../target/baselines/venv/bin/python -m unittest
"""

import gzip
import json
import struct
import subprocess
import sys
import tomllib
import unittest
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from sklearn.decomposition import MiniBatchDictionaryLearning, sparse_encode
from sklearn.mixture import GaussianMixture
from sklearn.svm import LinearSVC

import classify
import data
import fisher
import pyramid
import results
import sift
import sparse
import vectors
from test_data import InAFolder

HERE = Path(__file__).resolve().parent


def chance():
    return np.random.default_rng(1)


class Sift(unittest.TestCase):
    def test_a_ramp_puts_all_of_a_descriptor_into_one_orientation(self):
        ramp = np.tile(np.arange(64, dtype=np.uint8) * 3, (64, 1))
        descriptors = sift.describe(np.stack([ramp, ramp.T]), sift.Grid(24, 8, 1))
        energy = (descriptors.reshape(2, -1, 16, 8) ** 2).sum(axis=2)
        orientations = energy.argmax(axis=2)
        self.assertTrue((energy.max(axis=2) > 0.99).all())
        self.assertEqual(len(set(orientations[0])), 1)
        turned = (orientations[1, 0] - orientations[0, 0]) % 4
        self.assertEqual(turned, 2, "a quarter turn is two of eight orientations")

    def test_descriptors_stand_where_places_says(self):
        grid, picture = sift.Grid(24, 8, 2), np.zeros((1, 96, 96), np.uint8)
        picture[0, 70:74, 20:24] = 255
        places, descriptors = grid.places(96), sift.describe(picture, grid)[0]
        self.assertEqual(len(places), len(descriptors))
        seen = np.linalg.norm(descriptors, axis=1) > 0
        near = np.abs(places * 96 - [72, 22]).max(axis=1) < 12
        far = np.abs(places * 96 - [72, 22]).max(axis=1) > 40
        self.assertTrue(seen[near].all() and not seen[far].any() and near.any() and far.any())

    def test_scales_too_small_for_a_window_are_left_out(self):
        self.assertEqual([side for side, _ in sift.Grid(24, 4, 5).centres(64)], [64, 45, 32])


class Pyramid(unittest.TestCase):
    def test_each_level_holds_each_descriptor_once_row_by_row(self):
        places = np.array([[0.1, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.9], [0.5, 0.5], [0.4, 0.6]])
        whole, *quarters = pyramid.cells(places, [(1, 1), (2, 2)])
        self.assertEqual(whole.tolist(), [0, 1, 2, 3, 4, 5])
        self.assertEqual([cell.tolist() for cell in quarters], [[0], [1, 5], [2], [3, 4]])

    def test_a_cell_without_descriptors_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "cell 1 of 1 x 2"):
            pyramid.cells(np.array([[0.5, 0.2]]), [(1, 2)])


class FisherVector(unittest.TestCase):
    def setUp(self):
        drawn = chance().normal(size=(500, 3)) * [1, 2, 0.5] + chance().integers(0, 3, (500, 1))
        self.mixture = GaussianMixture(4, covariance_type="diag", random_state=0).fit(drawn)
        self.descriptors = drawn[:40]

    def likelihood(self, means, deviations):
        """The mean log-likelihood, written out."""
        x, w = self.descriptors[:, None], self.mixture.weights_
        density = np.exp(-0.5 * ((x - means) / deviations) ** 2) / (np.sqrt(2 * np.pi) * deviations)
        return np.log((w * density.prod(axis=2)).sum(axis=1)).mean()

    def test_is_the_gradient_of_the_log_likelihood_over_the_root_of_the_information(self):
        means, deviations = self.mixture.means_, np.sqrt(self.mixture.covariances_)
        self.assertAlmostEqual(self.likelihood(means, deviations), self.mixture.score(self.descriptors))
        found = fisher.fisher_vectors(self.descriptors[None].astype(np.float32), self.mixture)[0].reshape(2, 4, 3)
        for gaussian in range(4):
            for entry in range(3):
                h = np.zeros((4, 3))
                h[gaussian, entry] = 1e-5
                of_mean = (self.likelihood(means + h, deviations) - self.likelihood(means - h, deviations)) / 2e-5
                of_deviation = (self.likelihood(means, deviations + h) - self.likelihood(means, deviations - h)) / 2e-5
                # Fisher's information: w/s^2 for a mean, 2w/s^2 for a deviation.
                scale = deviations[gaussian, entry] / np.sqrt(self.mixture.weights_[gaussian])
                self.assertAlmostEqual(found[0, gaussian, entry], of_mean * scale, delta=2e-4)
                self.assertAlmostEqual(found[1, gaussian, entry], of_deviation * scale / np.sqrt(2), delta=2e-4)

    def test_pictures_of_a_batch_do_not_touch_each_other(self):
        both = np.stack([self.descriptors[:20], self.descriptors[20:]]).astype(np.float32)
        alone = np.concatenate([fisher.fisher_vectors(one[None], self.mixture) for one in both])
        np.testing.assert_allclose(fisher.fisher_vectors(both, self.mixture), alone, rtol=1e-5, atol=1e-6)

    def test_improved_takes_signed_roots_and_norm_1(self):
        np.testing.assert_allclose(fisher.improved(np.array([[-9.0, 16, 0]])), [[-3 / 5, 4 / 5, 0]])


class SparseCodes(unittest.TestCase):
    def setUp(self):
        atoms = chance().normal(size=(32, 16)).astype(np.float32)
        self.dictionary = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
        drawn = chance().normal(size=(300, 16)).astype(np.float32)
        self.descriptors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    def objective(self, codes, dictionary, descriptors=None):
        descriptors = self.descriptors if descriptors is None else descriptors
        return (0.5 * ((descriptors - codes @ dictionary) ** 2).sum(1) + 0.15 * np.abs(codes).sum(1)).mean()

    def test_are_those_of_scikit_learns_lasso(self):
        lasso = sparse_encode(self.descriptors, self.dictionary, algorithm="lasso_lars", alpha=0.15)
        found = sparse.codes(self.descriptors, self.dictionary, 0.15, precise=1e-6)
        np.testing.assert_allclose(found, lasso, atol=1e-4)
        self.assertGreater(np.mean(found != 0), 0.05)
        self.assertLess(np.mean(found != 0), 0.5)

    def test_as_precise_as_the_settings_ask_they_are_as_good(self):
        lasso = sparse_encode(self.descriptors, self.dictionary, algorithm="lasso_lars", alpha=0.15)
        found = sparse.codes(self.descriptors, self.dictionary, 0.15, sparse.Settings().precise)
        self.assertLess(self.objective(found, self.dictionary), 1.0001 * self.objective(lasso, self.dictionary))

    def test_a_learned_dictionary_is_as_good_as_scikit_learns(self):
        made = chance().normal(size=(8000, 32)) * (chance().random((8000, 32)) < 0.1)
        descriptors = (made @ self.dictionary).astype(np.float32)
        seen, fresh = descriptors[:7500], descriptors[7500:]
        theirs = MiniBatchDictionaryLearning(32, alpha=0.15, batch_size=512, max_iter=1, random_state=0)
        theirs = theirs.fit(seen).components_
        ours = sparse.learn(seen, replace(sparse.Settings(), atoms=32), seed=0)
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, rtol=1e-5)

        def cost(dictionary):
            codes = sparse_encode(fresh, dictionary, algorithm="lasso_lars", alpha=0.15)
            return self.objective(codes, dictionary, fresh)

        drawn = seen[np.linalg.norm(seen, axis=1) > 0.5][:32]
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        self.assertLess(cost(ours), 1.02 * cost(theirs))
        self.assertLess(cost(ours), 0.9 * cost(drawn))

    def test_pooling_keeps_the_largest_magnitude_in_each_cell(self):
        found = np.array([[[1, -5, 0], [-2, 3, 0], [0, 4, -1]]], np.float32)
        pooled = sparse.pool(found, [np.array([0, 1, 2]), np.array([0]), np.array([1, 2])])
        self.assertEqual(pooled.tolist(), [[2, 5, 1, 1, 5, 0, 2, 4, 1]])


class Classifier(unittest.TestCase):
    def setUp(self):
        self.labels = chance().integers(0, 3, 2000)
        drawn = chance().normal(size=(2000, 8)) + 0.8 * np.eye(8)[self.labels]
        self.vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)

    def objective(self, weights, penalty):
        """Of each class, with the weight of the constant entry in the penalty."""
        signs = np.where(self.labels[:, None] == np.arange(3), 1, -1)
        slack = np.maximum(0, 1 - signs * classify.scores(self.vectors, weights, classify.Settings()))
        return penalty / 2 * (weights**2).sum(axis=1) + slack.mean(axis=0)

    def test_comes_within_a_percent_of_the_exact_optimum(self):
        settings, penalty = replace(classify.Settings(), epochs=40), 1e-3
        found = classify.train(self.vectors, self.labels, 3, [penalty], settings, seed=0)[0]
        exact = LinearSVC(loss="hinge", C=1 / (penalty * 2000), intercept_scaling=settings.constant, max_iter=200_000)
        exact.fit(self.vectors, self.labels)
        weights = np.hstack([exact.coef_, exact.intercept_[:, None] / settings.constant])
        best = self.objective(weights, penalty)
        ours = self.objective(found, penalty)
        self.assertTrue((ours < 1.01 * best).all(), f"{ours} where {best} can be had")

    def test_penalties_learned_together_are_those_learned_alone(self):
        settings = replace(classify.Settings(), epochs=2)
        both = classify.train(self.vectors, self.labels, 3, [1e-2, 1e-5], settings, seed=0)
        alone = classify.train(self.vectors, self.labels, 3, [1e-5], settings, seed=0)
        np.testing.assert_allclose(both[1], alone[0], rtol=1e-3, atol=1e-3)

    def test_the_penalty_is_the_one_with_fewer_errors_on_pictures_held_out(self):
        settings = replace(classify.Settings(), penalties=(3e-2, 1e-3, 1e-6))
        weights, penalty = classify.fit(self.vectors, self.labels, 3, settings, seed=0)
        errors = {}
        for each in settings.penalties:
            tried = classify.train(self.vectors[:1800], self.labels[:1800], 3, [each], settings, seed=0)[0]
            scores = classify.scores(self.vectors[1800:], tried, settings)
            errors[each] = np.mean(scores.argmax(axis=1) != self.labels[1800:])
        self.assertEqual(penalty, min(errors, key=errors.get))
        self.assertGreater(max(errors.values()), min(errors.values()))
        all_of_them = classify.train(self.vectors, self.labels, 3, [penalty], settings, seed=0)[0]
        np.testing.assert_array_equal(weights, all_of_them)

    def test_ranks_count_the_classes_before_the_right_one(self):
        scores = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]])
        self.assertEqual(classify.ranks(scores, np.array([2, 0])).tolist(), [1, 0])

    def test_what_ties_or_is_not_a_number_is_no_hit(self):
        nan = float("nan")
        scores = np.array([[0.5, 0.5, 0.1], [nan, nan, nan], [0.9, nan, 0.1]])
        self.assertEqual(classify.ranks(scores, np.array([0, 0, 0])).tolist(), [1, 2, 1])


class Vectors(InAFolder):
    def test_the_file_holds_each_vector_with_its_label_and_has_no_name(self):
        part = data.open_data("builtin", seed=0).train.first(300)
        descriptors = vectors.draw(part, sift.Grid(16, 8, 1), 2000, chance())
        self.assertEqual(descriptors.shape, (2000, sift.LENGTH))
        encoder = sparse.Encoder(replace(sparse.QUICK, atoms=32), descriptors, seed=0)
        rows, labels = vectors.store(part, encoder, self.folder)
        self.assertEqual(list(self.folder.iterdir()), [])
        pictures, right = (np.concatenate(both) for both in zip(*part.batches()))
        self.assertEqual(labels.tolist(), right.tolist())
        np.testing.assert_allclose(rows, encoder.encode(pictures), atol=1e-3)


class Results(InAFolder):
    def test_toml_reads_back_as_it_was(self):
        config = {"a": 'q"\\', "n": 3, "t": {"f": 1e-5, "levels": ((1, 1), (3, 1)), "on": True}, "u": {"x": 30.0}}
        self.assertEqual(tomllib.loads(results.toml(config)), json.loads(json.dumps(config)))

    def test_a_failed_write_leaves_what_was_there(self):
        path = self.folder / "metrics.jsonl"
        results.write(path, "whole\n")
        with self.assertRaises(TypeError):
            results.write(path, None)
        self.assertEqual([entry.name for entry in self.folder.iterdir()], ["metrics.jsonl"])
        self.assertEqual(path.read_text(), "whole\n")


class Command(InAFolder):
    def setUp(self):
        """200 and 100 of the built-in pictures."""
        super().setUp()
        for part, count in ("train", 200), ("t10k", 100):
            for kind, header in ("images-idx3", 16), ("labels-idx1", 8):
                whole = gzip.decompress((data.BUILTIN / f"{part}-{kind}-ubyte.gz").read_bytes())
                size = 28 * 28 if header == 16 else 1
                cut = struct.pack(">I", count) + whole[8 : header + count * size]
                (self.folder / f"{part}-{kind}-ubyte").write_bytes(whole[:4] + cut)

    def run_it(self, *more):
        return subprocess.run([sys.executable, HERE / "baselines.py", "--data", self.folder, "--quick",
                               "--out", self.folder / "out", *more], capture_output=True, text=True)

    def lines(self):
        found = sorted(self.folder.glob("out/*/0/metrics.jsonl"))
        return {path.parents[1].name: json.loads(path.read_text()) for path in found}

    def test_results_are_those_of_the_seed_and_are_made_once(self):
        self.assertEqual(self.run_it().returncode, 0)
        first = self.lines()
        self.assertEqual(list(first), ["sift-fisher", "sparse-coding"])
        for line in first.values():
            counts = [line[key] for key in ("step", "epoch", "images", "training_pictures")]
            self.assertEqual(counts, [2000, 10, 100, 200])
            self.assertLess(line["top1_error"], 0.4)  # chance is 0.9
            self.assertLess(line["top5_error"], line["top1_error"])

        again = self.run_it()
        self.assertEqual(again.stderr.count("finished already"), 2)
        self.assertEqual(self.lines(), first)

        other = self.run_it("--train-pictures", "150")
        self.assertEqual(other.returncode, 1)
        self.assertIn("holds the results of other settings", other.stderr)

        self.assertEqual(self.run_it("--seed", "1").returncode, 0)
        self.assertEqual(len(list(self.folder.glob("out/*/1/metrics.jsonl"))), 2)
        self.assertEqual(self.lines(), first)

        for path in self.folder.glob("out/*/0/metrics.jsonl"):
            path.unlink()
        self.run_it()
        for name, line in self.lines().items():
            timeless = {key: value for key, value in line.items() if "seconds" not in key}
            self.assertEqual(timeless, {key: first[name][key] for key in timeless})

    def test_bad_input_is_one_line_before_any_work(self):
        for wrong, message in [
            (["--data", "/nowhere"], "no folder /nowhere"),
            (["--train-pictures", "7000"], "holds 200 pictures, 7000 were asked for"),
            (["--train-pictures", "5"], "need 100"),
        ]:
            done = self.run_it(*wrong)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, f"^error: .*{message}.*\n$")
            self.assertFalse((self.folder / "out").exists())


if __name__ == "__main__":
    unittest.main()
