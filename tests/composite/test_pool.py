import numpy as np
import pytest

from pipeline.composite.pool import pooled, weight

P = np.array([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.2, 0.7, 0.1]])


def fused(looks, dependence):
    return pooled(np.log(looks).sum(axis=0, keepdims=True), np.array([len(looks)]), dependence)[0]


@pytest.mark.parametrize("dependence", [0.0, 0.4, 1.0])
def test_one_look_is_left_as_it_is(dependence):
    assert fused(P[:1], dependence) == pytest.approx(P[0], abs=1e-6)


def test_independent_looks_multiply_and_dependent_ones_add_nothing():
    assert fused(P[:2], 0.0) == pytest.approx(np.array([0.35, 0.02, 0.04]) / 0.41, abs=1e-6)
    assert fused(np.repeat(P[:1], 5, axis=0), 1.0) == pytest.approx(P[0], abs=1e-6)
    mean = np.sqrt(P[0] * P[1])
    assert fused(P[:2], 1.0) == pytest.approx(mean / mean.sum(), abs=1e-6)


def test_order_does_not_matter_and_more_looks_count_less_each():
    assert fused(P, 0.3) == pytest.approx(fused(P[::-1], 0.3))
    assert weight(np.array([1, 2, 5]), 0.5) == pytest.approx([1, 1 / 1.5, 1 / 3])


def test_without_a_look_every_class_is_as_likely():
    assert pooled(np.zeros((1, 4)), np.array([0]), 0.5)[0] == pytest.approx(0.25)


@pytest.mark.parametrize("dependence", [0.0, 0.5])
def test_looks_that_depend_as_told_give_calibrated_answers(dependence):
    """Scores with equally correlated normal errors: what is called .8 likely is right eight times in ten."""
    rng, places, looks, classes, size = np.random.default_rng(3), 60_000, 4, 5, 1.6
    truth = rng.integers(0, classes, places)
    lasting = rng.standard_normal((places, 1, classes)) * np.sqrt(dependence)
    own = rng.standard_normal((places, looks, classes)) * np.sqrt(1 - dependence)
    score = size * (lasting + own + size * np.eye(classes)[truth][:, None])
    evidence = (score - np.log(np.exp(score).sum(axis=2, keepdims=True))).sum(axis=1)
    found = pooled(evidence, np.full(places, looks), dependence)
    right, sure = found.argmax(axis=1) == truth, found.max(axis=1)
    for low in (0.4, 0.6, 0.8):
        here = (sure >= low) & (sure < low + 0.2)
        assert right[here].mean() == pytest.approx(sure[here].mean(), abs=0.02)
    wrong = pooled(evidence, np.full(places, looks), 0.0 if dependence else 1.0)
    assert abs(right.mean() - wrong.max(axis=1).mean()) > 0.03
