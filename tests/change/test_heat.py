"""Where in a tile: steps from the same formula as the tile's probability."""

import numpy as np
import pandas as pd
import pytest

from pipeline.change.fusion import WEIGHTS, part_evidence, whole_evidence
from pipeline.change.heat import STEPS, heat, heat_of_tiles, heat_table
from pipeline.change.score import Differences


def plane(*rows):
    return np.array(rows, np.float32)


def test_a_pixel_says_what_a_tile_of_such_pixels_would():
    score, surprise = plane([0.0, 1.2, 2.5, 9.0]), plane([0.5, 1.5, 2.5, 8.0])
    part, _ = heat(Differences(score, np.zeros_like(score)), surprise)
    told = part_evidence(score, surprise)[0] / WEIGHTS.limit
    assert part[0].tolist() == [0, *np.rint(STEPS * np.clip(told, 0, 1))[1:].astype(int).tolist()]
    assert 0 == part[0, 0] == part[0, 1] < part[0, 2] < part[0, 3] == STEPS


def test_unknown_pixels_say_nothing():
    unknown = plane([np.nan, 9.0, 9.0], [9.0, 9.0, 9.0])
    part, whole = heat(Differences(unknown, unknown), plane([9.0, np.nan, 9.0], [9.0, 9.0, 9.0]))
    assert part.tolist() == [[0, 0, STEPS], [STEPS] * 3]
    assert whole[0, 0] == 0 < whole[1].min()


def test_a_change_of_the_whole_tile_is_told_by_the_plain_difference():
    plain = np.full((5, 7), 2.0, np.float32)
    _, whole = heat(Differences(np.zeros_like(plain), plain), np.zeros_like(plain))
    assert (whole == round(STEPS * float(whole_evidence(np.array(2.0))) / WEIGHTS.class_limit)).all()


def test_tiles_are_cut_row_by_row():
    steps = np.arange(4 * 6, dtype=np.uint8).reshape(4, 6) % 15 + 1
    steps[:2, 2:4] = 0
    assert heat_of_tiles(steps, 2) == [
        bytes(steps[row : row + 2, col : col + 2].ravel()) if (row, col) != (0, 2) else b""
        for row in (0, 2)
        for col in (0, 2, 4)
    ]


@pytest.fixture
def compared():
    """Five tiles between two scenes: claimed by class and by pixels, undecided, stable, and one that says nothing."""
    states = ["changed", "changed", "undecided", "stable", "undecided"]
    rows = pd.DataFrame({"tile_id": list("abcde"), "before": "x", "after": "y", "state": states})
    rows["p_change"], rows["change_vector"] = [0.9, 0.9, 0.5, 0.02, 0.3], [0.8, 0.85, 0.45, 0.02, 0.3]
    measured = pd.DataFrame({"heat_part": [b"p"] * 4 + [b""], "heat_whole": [b"w"] * 5}, index=list("edcba")[::-1])
    return rows, measured


def test_claimed_and_undecided_tiles_are_kept(compared):
    rows, measured = compared
    found = heat_table(rows, {("x", "y"): measured, ("y", "x"): measured})
    assert found[["tile_id", "heat"]].to_numpy().tolist() == [["a", b"w"], ["b", b"p"], ["c", b"p"]]
    assert set(found["before"]) == {"x"} and set(found["after"]) == {"y"}


def test_pairs_that_nobody_measured_have_none(compared):
    rows, measured = compared
    for evidence in ({}, {("x", "z"): measured}, {("x", "y"): measured[["heat_whole"]]}):
        found = heat_table(rows, evidence)
        assert found.empty and list(found.columns) == ["tile_id", "before", "after", "heat"]
