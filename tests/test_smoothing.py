"""Leaning on the neighbours."""

import numpy as np
import pytest

from pipeline.legend import EUROSAT
from pipeline.smoothing import smooth, smoothed_probabilities
from tests.change.tables import COUNT, probabilities, table, tile_id

MIDDLE = 10  # a tile with eight neighbours


def test_a_doubtful_tile_follows_its_neighbours_and_a_sure_one_does_not():
    classes = np.ones(COUNT, int)
    classes[MIDDLE] = 5
    sure = probabilities(classes, 0.9)
    sure[MIDDLE] = 0.0125
    sure[MIDDLE, [5, 1]] = 0.5, 0.4
    doubtful = smooth(table("a", classes, sure=sure), EUROSAT).set_index("tile_id")
    assert doubtful.loc[tile_id(MIDDLE), ["label", "code"]].tolist() == ["Forest", 1]
    sure[MIDDLE] = probabilities([5], 0.9999)[0]
    kept = smooth(table("a", classes, sure=sure), EUROSAT, smoothness=0.5).set_index("tile_id")
    assert kept.loc[tile_id(MIDDLE), "label"] == "Pasture"


def test_the_table_stays_a_table():
    before = table("a", np.arange(COUNT) % 3, sure=0.7, states={0: -1, 5: -2, 9: -3})
    after = smooth(before, EUROSAT)
    columns = [f"p_{label}" for label in EUROSAT.labels]
    known = after["code"] >= 0
    assert list(after.columns) == list(before.columns)
    assert after.dtypes.drop("label").equals(before.dtypes.drop("label"))
    np.testing.assert_allclose(after.loc[known, columns].sum(axis=1), 1, atol=1e-3)
    assert after[~known].drop(columns="label").equals(before[~known].drop(columns="label"))
    assert (after.loc[known, "confidence"] == after.loc[known, columns].max(axis=1)).all()
    assert (after.loc[known, "label"] == [EUROSAT.labels[code] for code in after.loc[known, "code"]]).all()
    assert (
        before["code"].tolist()
        == table("a", np.arange(COUNT) % 3, sure=0.7, states={0: -1, 5: -2, 9: -3})["code"].tolist()
    )


def test_it_raises_accuracy_where_neighbours_are_alike():
    rng = np.random.default_rng(2)
    truth = np.repeat(np.repeat(rng.integers(0, 10, (6, 9)), 5, axis=0), 5, axis=1)
    likely = np.exp(3 * (rng.standard_normal((*truth.shape, 10)) + 2.6 * np.eye(10)[truth]))
    likely /= likely.sum(axis=-1, keepdims=True)
    accuracy = {
        name: (p.argmax(axis=-1) == truth).mean()
        for name, p in (("plain", likely), ("smooth", smoothed_probabilities(likely, 20.0, 3, 0.5)))
    }
    assert accuracy["smooth"] > accuracy["plain"] + 0.03


def test_windows_must_be_odd():
    with pytest.raises(ValueError, match="window 4"):
        smooth(table("a", 0), EUROSAT, window=4)
