"""Score intervals of shares, their sums and ratios."""

import numpy as np
import pytest
from scipy.optimize import brentq

from pipeline.intervals import Z95, Estimate, score_interval, share_of, weighted_sum


def test_the_limits_are_the_shares_that_a_score_test_just_accepts():
    hits, tries = np.array([0.0, 1.0, 7.0, 20.0]), np.array([20.0, 20.0, 20.0, 20.0])
    found = score_interval(hits, tries)
    for at, share in enumerate(hits / tries):

        def beyond(p, share=share):
            return (share - p) ** 2 - Z95**2 * p * (1 - p) / 20

        low = 0.0 if share == 0 else brentq(beyond, 1e-9, share - 1e-9)
        high = 1.0 if share == 1 else brentq(beyond, share + 1e-9, 1 - 1e-9)
        assert (found.low[at], found.high[at]) == pytest.approx((low, high), abs=1e-6)


def test_nothing_tried_is_nothing_known():
    found = score_interval(np.zeros(1), np.zeros(1))
    assert (found.low[0], found.high[0]) == (0.0, 1.0)


def test_one_stratum_is_its_own_sum():
    one = score_interval(np.array([[3.0]]), np.array([[40.0]]))
    total = weighted_sum(one, np.ones((1, 1)))
    assert [part[0] for part in total] == pytest.approx([part[0, 0] for part in one])


def test_a_share_is_surer_with_a_surer_rest_and_undefined_of_nothing():
    part, zero = Estimate(*np.array([[0.10], [0.08], [0.13]])), Estimate(*np.zeros((3, 1)))
    sure, loose = (Estimate(*np.array([[0.05], [0.05 - by], [0.05 + by]])) for by in (0.001, 0.03))
    narrow, wide = share_of(part, sure), share_of(part, loose)
    assert narrow.value[0] == wide.value[0] == pytest.approx(2 / 3)
    assert wide.low[0] < narrow.low[0] < 2 / 3 < narrow.high[0] < wide.high[0]
    exact = share_of(part, Estimate(*np.full((3, 1), 0.05)))
    assert (exact.low[0], exact.high[0]) == pytest.approx((0.08 / 0.13, 0.13 / 0.18))
    assert np.isnan(share_of(zero, zero)).all()
