from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.models.confidence import Confidence, signs


def _answers(n: int = 6000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers that are the more too sure, the farther a patch lies along the first sign."""
    rng = np.random.default_rng(4)
    place = rng.standard_normal((n, 3)).astype(np.float32)
    best = rng.uniform(0.9, 0.99, n)
    probabilities = np.stack([best, (1 - best) * 0.7, (1 - best) * 0.3], axis=1).astype(np.float32)
    right = rng.random(n) < 1 / (1 + np.exp(1.5 * place[:, 0] - 3))
    return probabilities, signs(probabilities, place, np.abs(place).sum(axis=1)), right


def _says_always(count: int, odds: float) -> Confidence:
    return Confidence(np.zeros((count, 1), np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32), odds)


def test_what_it_says_comes_true_where_the_network_is_too_sure_and_where_not() -> None:
    probabilities, told, right = _answers()
    fitted = Confidence.fit(told[::2], right[::2])
    before, after = probabilities[1::2].max(axis=1), fitted.soften(probabilities, told)[1::2].max(axis=1)
    comes_true, place = right[1::2], told[1::2, 0]
    for part in (place < -0.5, (place >= -0.5) & (place < 0.5), place >= 0.5):
        assert abs(after[part].mean() - comes_true[part].mean()) < 0.08
    assert abs(before[place >= 0.5].mean() - comes_true[place >= 0.5].mean()) > 0.12


def test_softened_probabilities_sum_to_one_keep_their_order_and_say_what_the_signs_say() -> None:
    probabilities, told, right = _answers(300)
    fitted = Confidence.fit(told, right)
    softened = fitted.soften(probabilities, told)
    np.testing.assert_allclose(softened.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(softened.argsort(axis=1), probabilities.argsort(axis=1))
    np.testing.assert_allclose(softened.max(axis=1), np.maximum(fitted.says(told), 1 / 3), atol=0.01)


def test_doubt_beyond_chance_keeps_the_best_class_first() -> None:
    lost = _says_always(7, -8.0)
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.45, 0.35]], np.float32)
    softened = lost.soften(probabilities, np.zeros((2, 7), np.float32))
    assert softened.argmax(axis=1).tolist() == [0, 1]
    assert (softened.max(axis=1) < 0.36).all()


def test_certain_zeros_and_no_patches_are_answered() -> None:
    fitted = _says_always(5, 2.0)
    sure = fitted.soften(np.array([[1.0, 0.0, 0.0]], np.float32), np.zeros((1, 5), np.float32))
    assert np.isfinite(sure).all()
    assert sure.max() == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-3)
    assert fitted.soften(np.zeros((0, 3), np.float32), np.zeros((0, 5), np.float32)).shape == (0, 3)


def test_heavier_patches_draw_the_fit_to_themselves() -> None:
    _, told, right = _answers(600)
    weight = np.where(right, 1.0, 20.0).astype(np.float32)
    assert Confidence.fit(told, right, weight).says(told).mean() < Confidence.fit(told, right).says(told).mean() - 0.2


def test_what_is_stored_says_the_same(tmp_path: Path) -> None:
    probabilities, told, right = _answers(400)
    fitted = Confidence.fit(told, right)
    fitted.write(tmp_path / "c.npz")
    again = Confidence.read(tmp_path / "c.npz").soften(probabilities, told)
    np.testing.assert_array_equal(again, fitted.soften(probabilities, told))
    (tmp_path / "c.npz").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"c\.npz: cannot read how sure"):
        Confidence.read(tmp_path / "c.npz")
