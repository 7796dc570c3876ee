from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.composite.tile_pool import Ground, TilePool
from pipeline.grid import TileGrid
from pipeline.legend import EUROSAT, Legend, TileState
from pipeline.results.table import TileAnswers, tile_table

GRID = TileGrid(32632)
LEGEND = Legend("three", EUROSAT.classes[:3])
GROUND = Ground(GRID, range(10, 14), range(100, 103))
DAY = datetime(2023, 7, 1, 10, tzinfo=UTC)
NO_DATA, CLOUD, STRANGE = (int(state) for state in (TileState.NO_DATA, TileState.CLOUD, TileState.UNCLASSIFIED))


def look(name, tiles):
    """A table of {(col, row): (code, probability of that class, valid, cloud)}."""
    index = np.array(list(tiles))
    codes = np.array([tile[0] for tile in tiles.values()], np.int8)
    probabilities = np.full((len(tiles), 3), np.nan, np.float32)
    for row, (code, sure, _, _) in zip(probabilities, tiles.values(), strict=True):
        if code >= 0 or code == STRANGE:
            row[:] = (1 - sure) / 2
            row[max(code, 0)] = sure
    valid, cloud = (np.array([tile[at] for tile in tiles.values()], np.float32) for at in (2, 3))
    return tile_table(TileAnswers(index, codes, probabilities, valid, cloud), GRID, LEGEND, name, DAY)


def pooled(*passes, dependence=0.5):
    pool = TilePool(GROUND, LEGEND, dependence)
    for tables in passes:
        pool.add(tables if isinstance(tables, list) else [tables])
    answer = pool.answer("period", DAY)
    return answer.table.set_index("tile_id"), answer.spoken


def row(table, col, row_):
    return table.loc[GRID.tile_id((col, row_))]


def test_every_tile_gets_its_own_looks():
    """Two looks of different extent: each tile's answer encodes its place."""
    one = {(col, line): ((col + line) % 3, 0.6, 1.0, 0.0) for col in range(10, 13) for line in range(100, 103)}
    two = {(col, line): ((col + line) % 3, 0.8, 1.0, 0.0) for col in range(11, 14) for line in range(101, 103)}
    table, _ = pooled(look("a", one), look("b", two))
    assert set(table.index) == {GRID.tile_id(place) for place in {*one, *two}}
    for place in table.index:
        at = table.loc[place]
        col, line = at["col"], at["row"]
        assert at["code"] == (col + line) % 3
        assert at["looks"] == ((col, line) in one) + ((col, line) in two)
        assert at["disagreement"] == 0
    assert row(table, 10, 100)["confidence"] == pytest.approx(0.6, abs=1e-4)
    assert row(table, 13, 101)["confidence"] == pytest.approx(0.8, abs=1e-4)
    assert 0.7 < row(table, 12, 101)["confidence"] < 0.8


def test_cloud_missing_data_and_the_unfamiliar_are_left_out():
    place = (11, 101)
    for hidden in ((CLOUD, 0, 1.0, 0.9), (NO_DATA, 0, 0.1, 0.0), (STRANGE, 0.99, 1.0, 0.0)):
        table, _ = pooled(look("a", {place: hidden}), look("b", {place: (2, 0.7, 0.9, 0.1)}))
        found = row(table, *place)
        assert (found["code"], found["looks"], found["clearest"]) == (2, 1, "b")
        assert found["confidence"] == pytest.approx(0.7, abs=1e-4)
        assert found["valid_fraction"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("codes", "state"),
    [((CLOUD, NO_DATA), CLOUD), ((CLOUD, STRANGE), STRANGE), ((NO_DATA, NO_DATA), NO_DATA)],
)
def test_without_a_clear_look_a_tile_is_what_most_was_known_of_it(codes, state):
    for order in (codes, codes[::-1]):
        table, _ = pooled(*(look(f"s{n}", {(10, 100): (code, 0.5, 1.0, 0.5)}) for n, code in enumerate(order)))
        found = row(table, 10, 100)
        assert (found["code"], found["looks"]) == (state, 0)
        assert np.isnan(found["disagreement"]) and np.isnan(found["confidence"])


def test_disagreement_and_the_clearest_look():
    place = (12, 102)
    looks = [(0, 0.5, 1.0, 0.2), (1, 0.9, 1.0, 0.1), (0, 0.5, 1.0, 0.1), (2, 0.4, 0.8, 0.0)]
    table, _ = pooled(*(look(f"s{n}", {place: told}) for n, told in enumerate(looks)))
    found = row(table, *place)
    assert found["code"] == 1
    assert found["disagreement"] == pytest.approx(0.75)
    assert (found["clearest"], found["cloud_fraction"]) == ("s1", pytest.approx(0.1))


def test_scenes_of_one_pass_are_one_look():
    """Neighbouring granules show the same pixels where they overlap: they must not confirm each other."""
    west = look("west", {(10, 100): (0, 0.6, 1.0, 0.0), (11, 100): (1, 0.6, 0.7, 0.0)})
    east = look("east", {(11, 100): (1, 0.6, 1.0, 0.0), (12, 100): (2, 0.6, 1.0, 0.0)})
    table, spoken = pooled([west, east])
    assert table["looks"].tolist() == [1, 1, 1]
    assert table["confidence"].to_numpy() == pytest.approx(0.6, abs=1e-4)
    assert table["clearest"].tolist() == ["west", "east", "east"]
    at = GROUND.position(np.array([10, 11, 12]), np.array([100, 100, 100]))
    assert spoken["west"][at].tolist() == [True, False, False]
    assert spoken["east"][at].tolist() == [False, True, True]
    assert (spoken["west"] | spoken["east"]).sum() == 3


def test_a_quality_layer_that_lacks_is_no_clear_sky():
    place = (10, 101)
    table, _ = pooled(look("unknown", {place: (1, 0.6, 1.0, np.nan)}), look("clear", {place: (1, 0.6, 1.0, 0.0)}))
    assert row(table, *place)["clearest"] == "clear"
