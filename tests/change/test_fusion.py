"""One probability from three stories."""

import numpy as np
import pandas as pd
import pytest

from pipeline.change.fusion import fused_probability, pixel_evidence, vector_probability

PRIOR, LAND = 0.02, 0.05


def seen(magnitude, difference=0.7, compared=1.0, surprise=None, seasonal=0.0):
    """Evidence whose surprise grows with its magnitude, unless told."""
    told = {"magnitude": magnitude, "surprise": magnitude if surprise is None else surprise}
    return pixel_evidence(pd.DataFrame([told | {"difference": difference, "compared": compared}]), np.array([seasonal]))


def fused(pixels, by_class):
    return fused_probability(pixels, np.array([by_class]), PRIOR, LAND)[0]


def test_no_measurement_is_no_evidence():
    nothing = pixel_evidence(pd.DataFrame(index=range(3)), np.zeros(3))
    assert np.isnan(nothing.part).all()
    assert np.isnan(vector_probability(nothing, PRIOR, LAND)).all()


def test_neutral_evidence_leaves_the_prior():
    neutral = seen(3.0, 5.0, compared=0.0)
    assert vector_probability(neutral, PRIOR, LAND)[0] == pytest.approx(LAND)
    assert fused(neutral, PRIOR) == pytest.approx(LAND)
    assert fused(neutral, np.nan) == pytest.approx(LAND)


def test_more_evidence_never_lowers_the_probability():
    for by_class in (np.nan, 0.0, 0.01, 0.5, 0.99):
        rising = [
            fused(seen(magnitude, difference), by_class)
            for magnitude, difference in ((0.1, 0.2), (0.5, 0.7), (1.5, 1.5), (3, 3), (9, 9))
        ]
        assert rising == sorted(rising)
    for pixels in (seen(0.3), seen(2.0, 2.0)):
        rising = [fused(pixels, by_class) for by_class in (0.0, 0.01, 0.1, 0.5, 0.9, 1.0)]
        assert rising == sorted(rising)
        assert 0 < rising[0] < rising[-1] < 1


def test_a_class_that_flips_where_nothing_looks_different_is_doubted():
    assert fused(seen(0.4, 0.6), 0.7) < 0.5 < fused(seen(0.4, 4.0), 0.7)


def test_a_part_seen_counts_in_part():
    assert fused(seen(4.0), 0.0) > fused(seen(4.0, compared=0.5), 0.0) > fused(seen(4.0, compared=0.1), 0.0)
    assert fused(seen(0.2), 0.0) < fused(seen(0.2, compared=0.5), 0.0)


def test_magnitude_and_surprise_count_alike():
    assert seen(4.0, surprise=2.0).part[0] == pytest.approx(seen(2.0, surprise=4.0).part[0])
    assert seen(2.0, surprise=2.0).part[0] < seen(2.0, surprise=3.0).part[0]


def test_measurements_of_an_earlier_release_say_nothing():
    old = pd.DataFrame({"magnitude": [4.0], "difference": [4.0], "compared": [1.0]})
    assert np.isnan(pixel_evidence(old, np.zeros(1)).part).all()


def test_season_explains_difference_but_not_sameness():
    assert fused(seen(4.0, seasonal=1.0), 0.0) < fused(seen(4.0), 0.0)
    assert fused(seen(0.2, seasonal=1.0), 0.0) == pytest.approx(fused(seen(0.2), 0.0))


def test_more_surprise_than_any_real_change_gave_says_no_more():
    assert seen(2.0, surprise=3.0).part[0] < seen(2.0, surprise=4.5).part[0] == seen(2.0, surprise=8.0).part[0]
