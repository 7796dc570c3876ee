"""How surprising colours are: made pictures with known changes."""

from dataclasses import fields

import numpy as np
import pytest

from pipeline.change import surprise as rooms
from pipeline.change.surprise import expect, surprise

BANDS = ("B02", "B03", "B04", "B11", "B12", "B08")
ROWS, COLUMNS = 90, 70
KINDS = np.array(
    [[0.10, 0.11, 0.13, 0.2, 0.2, 0.2], [0.03, 0.06, 0.04, 0.2, 0.1, 0.4], [0.06, 0.08, 0.10, 0.3, 0.2, 0.3]]
)


def pair(seed=0):
    """Two dates (band, y, x) of towns, woods and fields; the fields were harvested, a hall was built in a wood."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, (ROWS // 5, COLUMNS // 5)).repeat(5, axis=0).repeat(5, axis=1)
    before = KINDS[kind].transpose(2, 0, 1) * np.exp(rng.normal(0, 0.08, (6, ROWS, COLUMNS)))
    harvest = np.where(kind == 2, np.exp(rng.normal(0.3, 0.3, (ROWS, COLUMNS))), 1.0)
    after = before * harvest * np.exp(rng.normal(0, 0.03, before.shape))
    after[:, 10:16, 20:28] = 0.3
    return before.astype(np.float32), after.astype(np.float32), kind


def surprises(before, after, bands=BANDS):
    expected = expect(before.reshape(len(bands), -1), after.reshape(len(bands), -1), bands)
    return surprise(before, after, bands, expected)


def test_what_was_built_surprises_more_than_what_was_harvested():
    before, after, kind = pair()
    found = surprises(before, after)
    hall = np.zeros((ROWS, COLUMNS), bool)
    hall[10:16, 20:28] = True
    assert found.shape == (ROWS, COLUMNS) and found.dtype == np.float32
    assert np.median(found[hall]) > 3 * np.median(found[~hall & (kind == 2)])
    assert 0.5 < np.median(found[~hall]) < 1.2 and found.max() <= 8


def test_gain_of_a_band_is_expected():
    """Haze and sun that brighten a band alike everywhere change nothing: logarithms shift by a constant."""
    before, after, _ = pair()
    gains = np.array([1.3, 0.8, 1.1, 0.7, 1.2, 1.05], np.float32)[:, None, None]
    np.testing.assert_allclose(surprises(before, after * gains), surprises(before, after), atol=0.02)


def test_mirrored_dates_mirror():
    before, after, _ = pair()
    np.testing.assert_allclose(surprises(after, before), surprises(before, after), rtol=1e-3, atol=1e-3)


def test_pieces_leave_no_seam(monkeypatch):
    before, after, _ = pair()
    whole = surprises(before, after)
    monkeypatch.setattr(rooms, "_TOGETHER", 101)
    np.testing.assert_allclose(surprises(before, after), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 199])
def test_few_pixels_let_nothing_be_expected(count):
    few = np.full((6, count), 0.1, np.float32)
    assert expect(few, few, BANDS) is None


def test_a_flat_picture_is_no_trouble():
    flat = np.full((6, 20, 20), 0.1, np.float32)
    expected = expect(flat.reshape(6, -1), flat.reshape(6, -1), BANDS)
    assert all(np.isfinite(getattr(expected, one.name)).all() for one in fields(expected) if one.name != "bands")
    assert surprise(flat, flat, BANDS, expected).max() < 1


def test_other_bands_are_used_where_none_of_its_own_is_there():
    before, after, _ = pair()
    assert surprises(before[3:5], after[3:5], ("B11", "B12")).std() > 0
