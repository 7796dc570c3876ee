"""Classes merged into others: probabilities add up, the label is the most likely sum, states stay."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crosswalk.correspondence import find_crosswalk, read_crosswalk
from pipeline.crosswalk.translation import translated_table, translation
from pipeline.grid import TileGrid
from pipeline.legend import COVER, EUROSAT, Legend, Role
from pipeline.results.table import TileAnswers, tile_table

CORINE = translation(find_crosswalk("corine1"), EUROSAT)
AT = {label: code for code, label in enumerate(EUROSAT.labels)}


def table(parts, codes):
    ones = np.ones(len(codes), np.float32)
    index = np.stack([np.arange(len(codes)) + 5, np.arange(len(codes)) * 0 + 7], axis=1)
    answers = TileAnswers(index, np.array(codes, np.int8), np.array(parts, np.float32), ones, ones * 0)
    return tile_table(answers, TileGrid(32632), EUROSAT, "a", datetime(2024, 6, 1, tzinfo=UTC))


def parts(**shares):
    row = np.zeros(10)
    for label, share in shares.items():
        row[AT[label]] = share
    return row


def test_the_label_is_the_most_likely_merged_class():
    found = translated_table(table([parts(Forest=0.4, AnnualCrop=0.35, PermanentCrop=0.25)], [1]), CORINE, None)
    assert found["label"].tolist() == ["Agricultural"] and found["p_Agricultural"].tolist() == [pytest.approx(0.6)]
    assert found["p_ForestSeminatural"].tolist() == [pytest.approx(0.4)]
    assert found["confidence"].tolist() == [pytest.approx(0.6)] and found["margin"].tolist() == [pytest.approx(0.2)]
    assert CORINE.target.labels[found["code"].iloc[0]] == "Agricultural"
    assert [name for name in found if name.startswith("p_")] == [f"p_{label}" for label in CORINE.target.labels]


def test_columns_stay_where_they_are():
    before = table([parts(Forest=1.0)], [1])
    after = translated_table(before, CORINE, None)
    others = [name for name in before if not name.startswith("p_")]
    assert [name for name in after if not name.startswith("p_")] == others
    assert list(after.columns).index("p_Artificial") == list(before.columns).index("p_AnnualCrop")


def test_tiles_without_a_class_stay_without_and_unknown_probabilities_unknown():
    rows = [np.full(10, np.nan), np.full(10, np.nan), parts(Forest=0.6, River=0.4)]
    found = translated_table(table(rows, [-1, -2, -3]), CORINE, None)
    assert found["code"].tolist() == [-1, -2, -3]
    assert found["label"].tolist() == ["no data", "cloud", "unclassified"]
    assert found["p_Water"].isna().tolist() == [True, True, False]
    assert found["confidence"].iloc[2] == pytest.approx(0.6)


def test_a_tie_goes_to_the_class_of_the_tiles_own_label():
    found = translated_table(table([parts(Forest=0.5, River=0.3, SeaLake=0.2)] * 2, [1, 8]), CORINE, None)
    assert found["label"].tolist() == ["ForestSeminatural", "Water"]


def test_smoothed_labels_are_what_their_choice_becomes_and_the_model_keeps_its_own():
    own = table([parts(Forest=0.7, River=0.3)] * 2, [8, 1])
    own.insert(6, "code_raw", np.array([1, 1], np.int8))
    own.insert(7, "label_raw", ["Forest", "Forest"])
    found = translated_table(own, CORINE, None)
    assert found["label"].tolist() == ["Water", "ForestSeminatural"]
    assert found["label_raw"].tolist() == ["ForestSeminatural"] * 2
    assert found["confidence"].tolist() == [pytest.approx(0.3), pytest.approx(0.7)]


@given(st.lists(st.lists(st.integers(0, 50), min_size=10, max_size=10).filter(any), min_size=1, max_size=8))
def test_sums_add_up_whatever_the_answers(numbers):
    rows = np.array(numbers, float)
    rows /= rows.sum(axis=1, keepdims=True)
    codes = rows.argmax(axis=1)
    found = translated_table(table(rows, codes), CORINE, None)
    merged = found[[f"p_{label}" for label in CORINE.target.labels]].to_numpy()
    np.testing.assert_allclose(merged.sum(axis=1), 1, atol=1e-5)
    rows_at = np.arange(len(rows))
    assert (merged[rows_at, found["code"].to_numpy()] >= merged.max(axis=1) - 1e-5).all()
    np.testing.assert_allclose(found["confidence"], merged.max(axis=1), atol=1e-5)


def test_shares_of_the_cover_are_summed_and_purity_follows():
    eight = Legend("cover", COVER.classes[:8])
    made = translation(find_crosswalk("ipcc"), eight)
    own = table([parts(Forest=1.0)] * 2, [1, 1])
    shares = np.array([[0.1, 0.3, 0.2, 0.0, 0.1, 0.3, 0.0, 0.0], [np.nan] * 8])
    for at, label in enumerate(eight.labels):
        own.insert(len(own.columns) - 1, f"cover_{label}", shares[:, at])
    own.insert(len(own.columns) - 1, "purity", [0.3, np.nan])
    found = translated_table(own, None, made)
    assert found["cover_Grassland"].iloc[0] == pytest.approx(0.5) and found["purity"].iloc[0] == pytest.approx(0.5)
    assert found["cover_Wetlands"].iloc[0] == pytest.approx(0.1) and found["purity"].isna().iloc[1]
    assert "cover_grass" not in found and found["label"].tolist() == ["Forest"] * 2


def test_roles_are_stated_or_those_of_most_merged_classes(tmp_path):
    path = tmp_path / "mine.csv"
    built = ("Highway", "Industrial", "Residential")
    lines = [f"{label},{'Town' if label in built else 'Land'}," for label in EUROSAT.labels]
    path.write_text("from,label,roles\n" + "\n".join(lines) + "\n")
    town = next(entry for entry in translation(read_crosswalk(path), EUROSAT).target.classes if entry.label == "Town")
    assert town.roles == (Role.SEALED, Role.BUILT)
    path.write_text("from,label,roles\n" + "\n".join(lines).replace("Industrial,Town,", "Industrial,Town,bare") + "\n")
    town = next(entry for entry in translation(read_crosswalk(path), EUROSAT).target.classes if entry.label == "Town")
    assert town.roles == (Role.BARE,)


def test_codes_of_rasters_keep_their_states():
    made = translation(find_crosswalk("worldcover"), COVER)
    codes = made.codes()
    assert codes[253:].tolist() == [253, 254, 255]
    assert [made.target.labels[code] for code in codes[:9]] == [
        *("Water", "TreeCover", "Grassland", "Wetland", "Cropland", "Shrubland", "BuiltUp", "BareSparse", "SnowIce")
    ]
