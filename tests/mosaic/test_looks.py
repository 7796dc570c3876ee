"""Which look speaks for which tile."""

from datetime import date

import numpy as np
import pytest

from pipeline.errors import BadPeriod, TileTableError
from pipeline.mosaic.looks import chosen_looks, period_between, shares_of_dates
from pipeline.results.layout import COVER, TABLE
from pipeline.results.period import Period
from pipeline.results.table import read_metadata, read_table, write_table
from tests.made_results import results, scene, stripes

SHAPE = (3, 5)


@pytest.fixture
def folder(tmp_path):
    """A clear first date, a later one that is cloudy in the west and partly measured in the east."""
    place = results(tmp_path / "m", "first", "later")
    scene(place, "first", np.full(SHAPE, 1))
    codes = np.full(SHAPE, 9)
    codes[:, 0] = -2
    valid = np.ones(SHAPE)
    valid[:, 3:] = 0.7
    valid[:, 4] = 0.0
    codes[:, 4] = -1
    scene(place, "later", codes, days=30, valid=valid)
    return place


def spoken(looks):
    """The scene of every tile by its column."""
    west = looks["tile_id"].str.split("_").str[1].astype(int) - 780
    return {int(column): set(part["scene"]) for column, part in looks.groupby(west)}


def test_the_latest_look_counts_that_is_no_cloud_and_holds_data(folder):
    found = chosen_looks(folder, TABLE)
    assert len(found) == 15 and found["tile_id"].is_unique
    assert spoken(found) == {0: {"first"}, 1: {"later"}, 2: {"later"}, 3: {"later"}, 4: {"first"}}
    assert shares_of_dates(found) == {"2024-06-01": pytest.approx(0.4), "2024-07-01": pytest.approx(0.6)}
    assert found["whole"].tolist() == [
        column != 3 for column in found["tile_id"].str.split("_").str[1].astype(int) - 780
    ]


def test_within_a_period_the_clearest_look_counts(folder):
    found = chosen_looks(folder, TABLE, Period(date(2024, 1, 1), date(2024, 12, 31)))
    # Equally clear looks: the later one.
    assert spoken(found) == {0: {"first"}, 1: {"later"}, 2: {"later"}, 3: {"first"}, 4: {"first"}}


def test_of_one_day_clouds_count_where_there_is_nothing_else(folder):
    found = chosen_looks(folder, TABLE, period_between(["2024-07-01", "2024-07-01"]))
    assert set(found["scene"]) == {"later"} and len(found) == 12
    assert (found["code"] == -2).sum() == 3


def test_only_scenes_that_hold_the_product_are_looked_at(folder):
    scene(folder, "covered", np.full(SHAPE, 0), days=-9, cover=stripes(*SHAPE))
    assert set(chosen_looks(folder, COVER)["scene"]) == {"covered"}


def test_ground_of_two_zones_belongs_to_the_proper_one(tmp_path):
    # Column 1144 of zone 32 lies beyond 12 degrees east, where zone 33 has tiles as well.
    place = results(tmp_path / "m", "west", "east")
    scene(place, "west", np.full((4, 12), 1), west=1138, south=7970)
    scene(place, "east", np.full((4, 12), 9), west=413, south=7970, epsg=32633)
    found = chosen_looks(place, TABLE)
    under = found[found["under"]]
    assert len(found) == 96 and 0 < len(under) < 96
    for row in under.itertuples():
        assert (row.longitude > 12) == (row.scene == "west")


@pytest.mark.parametrize(
    ("told", "first", "last"),
    [
        (["2018", "2024"], date(2018, 1, 1), date(2024, 12, 31)),
        (["2018-05-01", "2018-09-30"], date(2018, 5, 1), date(2018, 9, 30)),
        (["2018", "2018-09-30"], date(2018, 1, 1), date(2018, 9, 30)),
    ],
)
def test_periods(told, first, last):
    assert period_between(told) == Period(first, last)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["2018"], "no period"),
        (["2018", "x"], "no period"),
        (["1", "2"], "no period"),
        (["2024", "2018"], "ends before it begins"),
    ],
)
def test_what_is_no_period_is_told(told, words):
    with pytest.raises(BadPeriod, match=words):
        period_between(told)


def test_a_period_without_looks_names_the_dates(folder):
    with pytest.raises(TileTableError, match="its dates are 2024-06-01, 2024-07-01"):
        chosen_looks(folder, TABLE, period_between(["2019", "2020"]))
    with pytest.raises(TileTableError, match=r"no scene has a cover\.tif"):
        chosen_looks(folder, COVER)


def test_a_composite_speaks_in_place_of_its_looks(folder):
    place = scene(folder, "2024-05-01_2024-09-30", np.full(SHAPE, 4), days=15)
    path = place / "tiles.parquet"
    write_table(read_table(path), path, read_metadata(path) | {"period": "2024-05-01/2024-09-30"})
    (place / "period.json").write_text('{"looks": ["first", "later"]}')
    results(folder, place.name)
    found = chosen_looks(folder, TABLE)
    assert set(found["scene"]) == {place.name} and shares_of_dates(found) == {"2024-05-01/2024-09-30": 1.0}
