"""The hidden Markov model against brute force."""

from itertools import product

import numpy as np
import pytest

from pipeline.change.chain import class_change, emissions
from pipeline.change.options import ChangeOptions, class_rates
from pipeline.legend import EUROSAT

RATES = class_rates(EUROSAT, ChangeOptions())
YEAR = np.ones((1, 2))  # a year between any two of up to three dates


def by_enumeration(likelihoods, rates, scale):
    """P(class changed between consecutive dates) of one tile by summing over all histories."""
    dates, classes = likelihoods.shape
    transitions = [times * rates + np.diag(1 - times * rates.sum(axis=1)) for times in scale]
    changed, total = np.zeros(dates - 1), 0.0
    for path in product(range(classes), repeat=dates):
        weight = likelihoods[0, path[0]]
        for at in range(1, dates):
            weight *= transitions[at - 1][path[at - 1], path[at]] * likelihoods[at, path[at]]
        total += weight
        changed += weight * (np.diff(path) != 0)
    return changed / total


@pytest.mark.parametrize("dates", [2, 3, 4])
def test_forward_backward_equals_the_sum_over_all_histories(dates):
    rng = np.random.default_rng(dates)
    rates = rng.random((4, 4)) * 0.1
    np.fill_diagonal(rates, 0)
    likelihoods = emissions(rng.dirichlet(np.full(4, 0.3), (5, dates)))
    scale = rng.uniform(0.1, 2.5, (5, dates - 1))
    found = class_change(likelihoods, np.full(5, dates), rates, scale)
    expected = [by_enumeration(one, rates, times) for one, times in zip(likelihoods, scale, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_tile_with_fewer_dates_is_not_touched_by_the_others():
    rng = np.random.default_rng(1)
    likelihoods = emissions(rng.dirichlet(np.full(10, 0.3), (3, 4)))
    short = class_change(likelihoods[1:2, :2], np.array([2]), RATES, YEAR)
    mixed = class_change(likelihoods, np.array([4, 2, 3]), RATES, np.ones((3, 3)))
    np.testing.assert_allclose(mixed[1, :1], short[0])
    assert np.isnan(mixed[1, 1:]).all()
    assert np.isnan(mixed[2, 2])


def test_two_agreeing_dates_confirm_a_change():
    seen = np.full((1, 3, 10), 0.02)
    seen[0, 0, 0] = seen[0, 1, 7] = seen[0, 2, 7] = 0.82
    three = class_change(emissions(seen), np.array([3]), RATES, YEAR)[0, 0]
    two = class_change(emissions(seen[:, :2]), np.array([2]), RATES, YEAR)[0, 0]
    back = seen.copy()
    back[0, 2] = seen[0, 0]
    slip = class_change(emissions(back), np.array([3]), RATES, YEAR)[0]
    assert three > 1.5 * two
    assert slip.max() < two


def test_rates_keep_the_stated_prior_and_damp_what_hardly_happens():
    assert RATES.sum(axis=1).mean() == pytest.approx(ChangeOptions().prior)
    rate = {(a, b): RATES[i, j] for i, a in enumerate(EUROSAT.labels) for j, b in enumerate(EUROSAT.labels)}
    assert rate["Residential", "Pasture"] < 0.3 * rate["Pasture", "Residential"]
    assert rate["AnnualCrop", "Pasture"] < 0.5 * rate["AnnualCrop", "Residential"]
    assert rate["Pasture", "Forest"] < 0.5 * rate["Forest", "AnnualCrop"]
    assert rate["SeaLake", "River"] < rate["AnnualCrop", "SeaLake"]


def test_an_unknown_date_says_nothing():
    likelihoods = emissions(np.stack([np.full((1, 10), np.nan), np.eye(10)[:1]], axis=1))
    assert class_change(likelihoods, np.array([2]), RATES, YEAR)[0, 0] == pytest.approx(ChangeOptions().prior, rel=0.5)


def test_options_refuse_what_is_no_probability():
    with pytest.raises(ValueError, match="prior"):
        ChangeOptions(prior=0.0)
    with pytest.raises(ValueError, match="max_false_share"):
        ChangeOptions(max_false_share=1.5)


def test_more_time_between_dates_lets_more_change():
    seen = np.full((1, 2, 10), 0.02)
    seen[0, 0, 0] = seen[0, 1, 7] = 0.82
    over = [class_change(emissions(seen), np.array([2]), RATES, np.array([[times]]))[0, 0] for times in (0.05, 1, 3)]
    assert over[0] < 0.1 * over[2] and over == sorted(over)


def test_what_is_expected_follows_the_years():
    options = ChangeOptions(prior=0.02, class_share=0.4)
    expected = options.between(np.array([1.0, 2.0, 0.0, 1000.0]))
    np.testing.assert_allclose(expected.land_prior[:2], [0.05, 1 - 0.95**2])
    np.testing.assert_allclose(expected.prior, 0.4 * expected.land_prior)
    assert 0 < expected.land_prior[2] < 0.001 and expected.land_prior[3] == 0.5
