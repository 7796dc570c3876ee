"""Leaning on the neighbours."""

import numpy as np
import pytest

from pipeline.change import transitions
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
    known = after["code"] >= 0
    assert list(after.columns) == [*before.columns.drop("geometry"), "code_raw", "label_raw", "geometry"]
    shared = after[before.columns]
    assert shared.dtypes.drop("label").equals(before.dtypes.drop("label")) and after["code_raw"].dtype == np.int8
    assert after.crs == before.crs
    assert shared[~known].drop(columns="label").equals(before[~known].drop(columns="label"))
    assert (after["code"] != before["code"]).any()
    labels = [EUROSAT.labels[code] for code in after.loc[known, "code"]]
    assert (after.loc[known, "label"] == labels).all()
    assert after.loc[known, "confidence"].tolist() == [
        row[f"p_{label}"] for label, (_, row) in zip(labels, after[known].iterrows(), strict=True)
    ]


def test_what_the_model_itself_said_stays():
    """Change reads the probabilities as the evidence of one tile; the neighbours must not speak in them."""
    before = table("a", np.arange(COUNT) % 3, sure=0.7, states={0: -1, 5: -2, 9: -3})
    after = smooth(before, EUROSAT)
    probabilities = [f"p_{label}" for label in EUROSAT.labels]
    assert after[[*probabilities, "entropy", "margin"]].equals(before[[*probabilities, "entropy", "margin"]])
    assert after["code_raw"].tolist() == before["code"].tolist()
    assert after["label_raw"].astype(str).tolist() == before["label"].astype(str).tolist()


def test_change_reads_what_the_model_itself_said():
    """A changed tile among unchanged neighbours stays as likely changed as it was."""
    later = np.ones(COUNT, int)
    later[MIDDLE] = 7
    pair = table("a", 1, sure=0.9), table("b", later, days=365, sure=0.9)
    leaning = [smooth(one, EUROSAT) for one in pair]
    assert leaning[1].set_index("tile_id").loc[tile_id(MIDDLE), ["label", "label_raw"]].tolist() == [
        "Forest",
        "Residential",
    ]
    plain, smoothed = transitions(*pair), transitions(*leaning)
    for name in ("p_change", "change_class", "state"):
        assert smoothed[name].equals(plain[name])
    assert plain["change_class"].max() > 10 * plain["change_class"].median()


def test_the_posterior_weighs_look_and_neighbours_by_each_others_variance():
    """The mean (s2 x + v m) / (s2 + v) of a look x and its neighbourhood, by hand for a tile in the middle.

    v is the variance of the look, s2 the variance and m the mean of the likelier half of the neighbours' logits.
    """
    logits = np.array([[2.0, 1.0, -1.0], [0.5, -2.0, 3.0], [1.5, -0.5, 0.0]])
    p = 1 / (1 + np.exp(-logits))
    found = smoothed_probabilities(np.stack([p, 1 - p], axis=-1), 4.0, 3, 0.5)[1, 1]
    posterior = []
    for look, around in ((-2.0, [3.0, 2.0, 1.5, 1.0, 0.5]), (2.0, [2.0, 1.0, 0.5, 0.0, -0.5])):
        s2, m = np.var(around, ddof=1), np.mean(around)
        posterior.append((s2 * look + 4.0 * m) / (s2 + 4.0))
    likely = 1 / (1 + np.exp(-np.array(posterior)))
    np.testing.assert_allclose(found, likely / likely.sum(), rtol=1e-6)


def test_a_sharper_look_counts_more():
    """The smaller a single look's variance, the less the neighbours say."""
    p = np.array([[0.95, 0.7, 0.9], [0.6, 0.2, 0.85], [0.8, 0.75, 0.65]])
    pair = np.stack([p, 1 - p], axis=-1)
    shares = [smoothed_probabilities(pair, variance, 3, 0.5)[1, 1, 0] for variance in (0.001, 1.0, 100.0)]
    assert shares == sorted(shares) and shares[0] < 0.21 < 0.6 < shares[-1]


def test_the_table_without_any_class_stays():
    before = table("a", np.arange(COUNT) % 3, states=dict.fromkeys(range(COUNT), -2))
    assert smooth(before, EUROSAT)[before.columns].equals(before)


def test_the_earlier_table_is_left_alone():
    before = table("a", np.arange(COUNT) % 3, sure=0.7, states={0: -1, 5: -2, 9: -3})
    smooth(before, EUROSAT)
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
