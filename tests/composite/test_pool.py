import numpy as np
import pytest

from pipeline.composite.pool import independent, pooled

P = np.array([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4], [0.2, 0.7, 0.1]])


def fused(looks, dependence):
    return pooled(np.array(looks).sum(axis=0, keepdims=True), np.array([len(looks)]), dependence)[0]


@pytest.mark.parametrize("dependence", [0.0, 0.4, 1.0])
def test_one_look_is_left_as_it_is(dependence):
    assert fused(P[:1], dependence) == pytest.approx(P[0], abs=1e-6)


def test_looks_that_depend_wholly_are_averaged_and_independent_ones_sharpen():
    assert fused(P[:2], 1.0) == pytest.approx([0.6, 0.15, 0.25], abs=1e-6)
    squares = np.array([0.36, 0.0225, 0.0625])
    assert fused(P[:2], 0.0) == pytest.approx(squares / squares.sum(), abs=1e-6)
    between = np.array([0.6, 0.15, 0.25]) ** (2 / 1.5)
    assert fused(P[:2], 0.5) == pytest.approx(between / between.sum(), abs=1e-6)


def test_the_order_of_looks_does_not_matter():
    assert fused(P, 0.3) == pytest.approx(fused(P[::-1], 0.3))


def test_what_looks_are_worth():
    assert independent(np.array([0, 1, 2, 5]), 0.5) == pytest.approx([0, 1, 2 / 1.5, 5 / 3])
    assert independent(np.array([1, 9]), 1.0) == pytest.approx([1, 1])


def test_one_spoiled_look_does_not_outvote_the_others():
    """As it would in a product, where its certainty weighs more than three doubts."""
    looks = [[0.6, 0.4], [0.7, 0.3], [0.6, 0.4], [0.01, 0.99]]
    assert np.prod(looks, axis=0).argmax() == 1
    assert fused([*looks[:3], [0.1, 0.9]], 0.5).argmax() == 0


def test_without_a_look_every_class_is_as_likely():
    assert pooled(np.zeros((1, 4)), np.array([0]), 0.5)[0] == pytest.approx(0.25)


def test_the_mean_of_looks_that_err_apart_is_too_modest_and_the_power_mends_it():
    """Looks that each see the class or noise, apart: their mean says less than it knows."""
    rng, places, looks, classes = np.random.default_rng(3), 40_000, 4, 5
    truth = rng.integers(0, classes, places)
    score = 1.2 * (rng.standard_normal((places, looks, classes)) + 1.2 * np.eye(classes)[truth][:, None])
    likely = np.exp(score) / np.exp(score).sum(axis=2, keepdims=True)
    gap = {}
    for dependence in (0.0, 0.5, 1.0):
        found = pooled(likely.sum(axis=1), np.full(places, looks), dependence)
        gap[dependence] = (found.argmax(axis=1) == truth).mean() - found.max(axis=1).mean()
    assert gap[1.0] > 0.15
    assert abs(gap[0.0]) < 0.1
    assert gap[0.0] < gap[0.5] < gap[1.0]
