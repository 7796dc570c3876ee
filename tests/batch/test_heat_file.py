"""The file that says where in the tiles the changes are: whole, resumed, of several dates, and at an address."""

from dataclasses import replace
from datetime import timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from pipeline.batch.main_job import run
from pipeline.results.layout import CHANGES, HEAT
from tests.builders import scene_on_disk
from tests.runs import LEFT, TOP, elsewhere, outputs

BUILT = (slice(100, 130), slice(140, 170))  # pixels of 10 m: 300 m


@pytest.fixture
def dates(tmp_path):
    """Three dates of one place, 400 by 520 pixels; a bright block stands there from the second on."""
    folder = tmp_path / "dates"
    folder.mkdir()
    rng = np.random.default_rng(4)
    ground = rng.normal(900, 150, (3, 50, 65)).repeat(8, axis=1).repeat(8, axis=2).clip(200)
    found = []
    for at in range(3):
        pixels = (ground + rng.normal(0, 12, ground.shape)).clip(1)
        if at:
            pixels[(slice(None), *BUILT)] = 2600
        one = scene_on_disk(folder, pixels.astype(np.uint16), LEFT, TOP, f"date-{at}")
        found.append(replace(one, acquired=one.acquired + timedelta(days=400 * at)))
    return found


def test_the_heat_lies_where_it_was_built(options, dates):
    run(dates[:2], options)
    folder = options.tiles / "fake"
    told = pd.read_parquet(folder / HEAT)
    table = gpd.read_parquet(folder / CHANGES).set_index("tile_id")
    assert set(table.loc[told["tile_id"], "state"]) <= {"changed", "undecided"}
    assert set(told["before"]) == {"date-0"} and set(told["after"]) == {"date-1"}
    west, north = LEFT + 10 * BUILT[1].start, TOP - 10 * BUILT[0].start
    hot = total = 0
    for name, heat in zip(told["tile_id"], told["heat"], strict=True):
        bounds = table.geometry[name].bounds
        steps = np.frombuffer(heat, np.uint8).reshape(32, 32)
        y, x = np.nonzero(steps)
        east, south = bounds[0] + 20 * x + 10, bounds[3] - 20 * y - 10
        weight = steps[y, x].astype(int)
        inside = (east > west - 30) & (east < west + 330) & (south < north + 30) & (south > north - 330)
        hot, total = hot + weight[inside].sum(), total + weight.sum()
    assert total > 500 and hot > 0.9 * total


def test_a_second_run_and_a_new_date_keep_and_add(options, dates):
    run(dates[:2], options)
    first = outputs(options)
    run(dates[:2], options)
    assert outputs(options) == first
    run(dates, options)
    told = pd.read_parquet(options.tiles / "fake" / HEAT)
    assert {"date-0"} <= set(told["before"]) <= {"date-0", "date-1"}
    pd.testing.assert_frame_equal(told, told.drop_duplicates(["tile_id", "before", "after"]))


def test_where_nothing_is_compared_no_file_is_left(options, dates):
    run(dates[:2], options)
    run(dates[:1], options)
    assert not (options.tiles / "fake" / HEAT).exists()
    assert '"heat": null' in (options.maps / "atlas.html").read_text()


def test_results_at_an_address_hold_it(options, dates, tmp_path):
    there = replace(elsewhere(options, "copy"), results=f"file://{tmp_path}/there")
    run(dates[:2], there)
    run(dates[:2], elsewhere(options, "here"))
    here = elsewhere(options, "here").tiles / "fake" / HEAT
    assert (tmp_path / "there" / "fake" / HEAT).read_bytes() == here.read_bytes()


def test_a_third_date_that_agrees_confirms_and_one_that_slips_back_revokes(options, dates):
    """By classes and pixels of whole runs: the same two dates, with a third that shows the later or the earlier."""
    third = {name: replace(one, id=name, acquired=dates[2].acquired) for name, one in zip("ab", dates, strict=False)}
    chance = {}
    for name, more in (("alone", []), ("back", [third["a"]]), ("again", [third["b"]])):
        one = elsewhere(options, name)
        run([*dates[:2], *more], one)
        table = gpd.read_parquet(one.tiles / "fake" / CHANGES)
        table = table[(table["before"].astype(str) == "date-0") & (table["after"].astype(str) == "date-1")]
        chance[name] = table.set_index("tile_id").sort_index()
    flipped = chance["alone"]["from_label"].astype(str) != chance["alone"]["to_label"].astype(str)
    assert flipped.any()
    back, alone, again = (chance[name].loc[flipped, "change_class"] for name in ("back", "alone", "again"))
    assert (back < alone).all() and (alone < again).all()
    p = [chance[name].loc[flipped, "p_change"] for name in ("back", "alone", "again")]
    assert (p[0] < p[1]).all() and (p[1] < p[2]).all()
    same = (chance["back"].loc[~flipped, "change_class"] - chance["again"].loc[~flipped, "change_class"]).abs()
    assert same.max() < 0.05
