"""The sample and the estimator."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline import assessment
from pipeline.errors import TileTableError
from pipeline.legend import EUROSAT
from tests.made_results import coded_tiles


def test_the_published_example_comes_out_to_its_printed_digits():
    """Olofsson et al. (2014), section 5: a map of forest change, 10 million Landsat pixels of 0.09 ha, 640 samples.

    The estimates are theirs to the digit; the score intervals are wider where a class is rare.
    """
    labels = ["deforestation", "forest gain", "stable forest", "stable non-forest"]
    counts = pd.DataFrame(
        [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]], index=labels, columns=labels
    )
    mapped = pd.Series([200_000, 150_000, 3_200_000, 6_450_000], index=labels) * 0.09
    found = assessment.error_adjusted(counts, mapped)
    assert found.classes["adjusted_ha"].round().astype(int).tolist() == [21_158, 11_686, 285_770, 581_386]
    wider = found.classes["adjusted_ci"].to_numpy() / [6_158, 3_756, 15_510, 16_282]
    assert (wider[:2] > 1.5).all() and (wider[:2] < 3).all()  # few of the other strata's samples could hold them
    assert wider[2:].tolist() == pytest.approx([1, 1], abs=0.15)
    assert found.classes["users_accuracy"].round(2).tolist() == [0.88, 0.73, 0.93, 0.96]
    assert found.classes["users_ci"].tolist() == pytest.approx([0.07, 0.10, 0.04, 0.02], abs=0.025)
    assert found.classes["producers_accuracy"].round(2).tolist() == [0.75, 0.85, 0.93, 0.96]
    assert (found.classes["producers_ci"] / 1.96).tolist()[2:] == pytest.approx([0.02, 0.01], abs=0.01)
    assert round(found.accuracy, 2) == 0.95
    assert round(found.accuracy_ci, 2) == 0.02
    assert found.classes["adjusted_ha"].sum() == pytest.approx(mapped.sum())


def test_the_interval_covers_the_truth_as_often_as_it_promises():
    rng = np.random.default_rng(3)
    truth = rng.choice(3, 6000, p=[0.9, 0.07, 0.03])
    mapped = np.where(rng.random(6000) < 0.92, truth, rng.integers(0, 3, 6000))
    sizes = pd.Series(mapped).value_counts().sort_index()
    held = 0
    for _ in range(200):
        drawn = np.concatenate([rng.choice(np.flatnonzero(mapped == label), 80, replace=False) for label in range(3)])
        found = assessment.error_adjusted(pd.crosstab(mapped[drawn], truth[drawn]), sizes).classes
        held += abs(found.loc[2, "adjusted_ha"] - (truth == 2).sum()) <= found.loc[2, "adjusted_ci"]
    assert held / 200 >= 0.93


def test_twenty_right_of_twenty_is_not_beyond_doubt():
    counts = pd.DataFrame({"a": [20, 0], "b": [0, 20]}, index=["a", "b"])
    found = assessment.error_adjusted(counts, pd.Series({"a": 1000.0, "b": 50.0}))
    assert (found.classes[["users_ci", "producers_ci", "adjusted_ci"]] > 0).all().all()
    assert found.classes.loc["a", "users_ci"] == pytest.approx(1 - 20 / (20 + 1.96**2), abs=1e-3)
    row = found.classes.loc["b"]
    assert row["adjusted_low"] < 50 < row["adjusted_high"] and row["adjusted_high"] - 50 > 50 - row["adjusted_low"]


def test_a_label_that_the_map_never_gives_still_gets_an_area():
    counts = pd.DataFrame({"a": [45, 1], "b": [3, 50], "unseen": [2, 0]}, index=["a", "b"])
    found = assessment.error_adjusted(counts, pd.Series({"a": 1000.0, "b": 500.0})).classes
    assert found.loc["unseen", "adjusted_ha"] == pytest.approx(1000 * 2 / 50)
    assert found.loc["unseen", "mapped_ha"] == 0
    assert np.isnan(found.loc["unseen", "users_accuracy"])


def test_a_class_without_reference_is_refused():
    counts = pd.DataFrame({"a": [10, 0], "b": [0, 1]}, index=["a", "b"])
    with pytest.raises(TileTableError, match="map's b"):
        assessment.error_adjusted(counts, pd.Series({"a": 10.0, "b": 10.0}))


def test_the_sample_is_stratified_repeatable_and_blind():
    codes = np.r_[np.zeros(500), np.ones(80), np.full(12, 7), np.full(8, -2)].astype(np.int8)
    tiles = coded_tiles("one", codes, columns=range(30), rows=range(20))
    drawn = assessment.sample(tiles, 100, seed=5)
    assert drawn.equals(assessment.sample(tiles, 100, seed=5))
    assert not drawn.equals(assessment.sample(tiles, 100, seed=6))
    assert drawn["tile_id"].is_unique
    assert (drawn["label"] == "").all()
    got = tiles.set_index("tile_id").loc[drawn["tile_id"], "label"].astype(str).value_counts().to_dict()
    assert got == {
        "AnnualCrop": 61,
        "Forest": 27,
        "Residential": 12,
    }  # 100: all of the smallest, 20 of each other, the rest by size
    assert len(assessment.sample(tiles, 10)) == 20 + 20 + 12 and len(assessment.sample(tiles, 10_000)) == 592
    assert {feature["geometry"]["type"] for feature in assessment.to_features(drawn)["features"]} == {"Point"}


def test_labels_come_back_as_accuracy():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600).astype(np.int8)
    codes = np.where(rng.random(600) < 0.9, truth, (truth + 1) % 3).astype(np.int8)
    tiles = coded_tiles("one", codes, columns=range(30), rows=range(20))
    order = coded_tiles("one", truth, columns=range(30), rows=range(20))
    true_label = dict(zip(order["tile_id"], order["label"].astype(str), strict=True))
    drawn = assessment.sample(tiles, 300)
    drawn["label"] = drawn["tile_id"].map(true_label)
    drawn.loc[drawn.index[:10], "label"] = ""
    found = assessment.assess(drawn, tiles)
    assert found.accuracy == pytest.approx((codes == truth).mean(), abs=2 * found.accuracy_ci)
    assert found.counts.to_numpy().sum() == len(drawn) - 10
    assert found.classes["adjusted_ha"].sum() == pytest.approx(600 * 40.96)
    assert json.loads(found.to_json())["labels"] == sorted(EUROSAT.labels[:3])


def test_a_sample_of_another_map_is_refused():
    tiles = pd.DataFrame({"tile_id": [f"32632_{700 + at}_7800" for at in range(40)], "label": ["a", "b"] * 20})
    labelled = assessment.sample(tiles, 40, least=2).assign(label="a")
    assert assessment.assess(labelled, tiles.sample(frac=1, random_state=0)).accuracy == pytest.approx(0.5)
    assert assessment.assess(labelled.drop(columns="map"), tiles.replace({"b": "c"})).accuracy == pytest.approx(0.5)
    with pytest.raises(TileTableError, match="drawn from map"):
        assessment.assess(labelled, tiles.replace({"b": "c"}))


def test_contradicting_labels_are_refused():
    tiles = coded_tiles("one", 0)
    name = tiles["tile_id"].iloc[0]
    with pytest.raises(TileTableError, match="two different"):
        assessment.assess(pd.DataFrame({"tile_id": [name, name], "label": ["Forest", "River"]}), tiles)
    with pytest.raises(TileTableError, match="none of the labelled"):
        assessment.assess(pd.DataFrame({"tile_id": ["32632_1_1"], "label": ["Forest"]}), tiles)
    with pytest.raises(TileTableError, match="no tile is labelled yet"):
        assessment.assess(assessment.sample(tiles, 5), tiles)
    with pytest.raises(TileTableError, match="lack the column"):
        assessment.assess(pd.DataFrame({"tile": [name]}), tiles)


def test_labels_are_read_as_people_write_them(tmp_path):
    path = tmp_path / "labels.csv"
    for text in (
        "tile_id,label\n1,Forest\n2, sea lake\n3,\n4,Dessert\n",
        "tile_id;label\r\n1;Forest\r\n2;SEALAKE\r\n3;\r\n4;Dessert \r\n",
    ):
        for encoding in ("utf-8", "utf-8-sig"):
            path.write_bytes(text.encode(encoding))
            found = assessment.read_labels(path, EUROSAT.labels)
            assert found["label"].fillna("").tolist() == ["Forest", "SeaLake", "", "Dessert"] and found[
                "tile_id"
            ].tolist() == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfet\x00i\x00", b'tile_id,label\n"1,Forest\n2', bytes(range(128, 256))]
)
def test_what_is_no_table_of_labels_is_refused(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(TileTableError, match="no readable CSV") as error:
        assessment.read_labels(path)
    assert "\n" not in str(error.value)
