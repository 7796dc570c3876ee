"""Clouds without a mask: white and bright over hundreds of metres at one date."""

import numpy as np
import pytest

from pipeline.change.clouds import clouds
from pipeline.change.score import match

BANDS = ("B02", "B03", "B04", "B11", "B12", "B08")
LAND = np.array([0.09, 0.09, 0.08, 0.2, 0.15, 0.25])
CLOUD, SAND = np.array([0.34, 0.33, 0.33, 0.3, 0.25, 0.36]), np.array([0.2, 0.27, 0.34, 0.5, 0.45, 0.4])
SHAPE = (60, 90)
# 20 m pixels: 500 m and 80 m.
LARGE, SMALL = (slice(20, 45), slice(30, 55)), (slice(20, 24), slice(30, 34))


@pytest.fixture
def dates():
    """Two dates of the same fields; the second is hazier."""
    rng = np.random.default_rng(3)
    first = np.abs(LAND[:, None, None] * rng.normal(1, 0.2, (len(BANDS), *SHAPE))).astype(np.float32)
    return first, first * np.float32(1.02) + np.float32(0.02)


def found(dates, cloudy, valid=None, bands=BANDS):
    valid = np.ones(SHAPE, bool) if valid is None else valid
    matched = match(*(date.reshape(len(bands), -1) for date in dates), bands)
    return clouds(dates, cloudy, valid, bands, matched)


@pytest.mark.parametrize("cloudy", [0, 1])
def test_a_cloud_is_found_at_its_date(dates, cloudy):
    dates[cloudy][(slice(None), *LARGE)] = CLOUD[:, None, None]
    told = found(dates, cloudy)
    assert told[LARGE].mean() > 0.9
    assert told.sum() < 1.5 * told[LARGE].size
    assert not found(dates, 1 - cloudy).any()


@pytest.mark.parametrize(("colour", "place"), [(CLOUD, SMALL), (SAND, LARGE)], ids=["a white hall", "bare sand"])
def test_what_is_built_or_bared_is_no_cloud(dates, colour, place):
    dates[1][(slice(None), *place)] = colour[:, None, None]
    assert not found(dates, 1).any()


def test_what_was_white_before_is_no_cloud(dates):
    for date in dates:
        date[(slice(None), *LARGE)] = CLOUD[:, None, None]
    assert not found(dates, 0).any() and not found(dates, 1).any()


def test_what_was_not_measured_says_nothing(dates):
    dates[1][(slice(None), *LARGE)] = CLOUD[:, None, None]
    valid = np.ones(SHAPE, bool)
    valid[LARGE] = False
    assert not found(dates, 1, valid).any()


def test_without_its_bands_no_cloud_is_known(dates):
    dates[1][(slice(None), *LARGE)] = CLOUD[:, None, None]
    for left in range(len(BANDS)):
        rows = [at for at in range(len(BANDS)) if at != left]
        fewer = tuple(date[rows] for date in dates)
        told = found(fewer, 1, bands=tuple(BANDS[at] for at in rows))
        assert told.any() == (BANDS[left] == "B12")
