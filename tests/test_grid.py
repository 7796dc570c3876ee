import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from pipeline.grid import TileGrid, TileIndex, utm_epsg

INDICES = st.builds(TileIndex, st.integers(0, 1600), st.integers(0, 15_000))
ZONES = st.one_of(st.integers(32601, 32660), st.integers(32701, 32760))


def test_the_example_of_the_house_plan():
    grid = TileGrid(32632)
    assert grid.tile_id(TileIndex(625, 8280)) == "32632_625_8280"
    assert grid.bounds(TileIndex(625, 8280)) == (400_000, 5_299_200, 400_640, 5_299_840)
    assert grid.edge == 640
    assert grid.hectares == pytest.approx(40.96)


@given(ZONES, INDICES, st.sampled_from([10.0, 20.0, 0.3, 0.125, 2.5]), st.sampled_from([16, 32, 64, 128, 256]))
def test_ids_round_trip(epsg, index, gsd, size):
    grid = TileGrid(epsg, gsd, size)
    assert TileGrid.parse_id(grid.tile_id(index)) == (grid, index)
    assert grid.tile_ids([index]) == [grid.tile_id(index)]


def test_ids_of_two_grids_are_never_equal():
    grids = [TileGrid(32632, gsd, size) for gsd in (10.0, 5.0, 0.3) for size in (32, 64, 128)]
    assert len({grid.tile_id(TileIndex(625, 8280)) for grid in grids}) == len(grids)


@pytest.mark.parametrize(("gsd", "size"), [(1 / 3, 64), (0.0, 64), (-1.0, 64), (10.0, 0), (float("nan"), 64)])
def test_tiles_without_a_size_that_an_id_can_tell_are_refused(gsd, size):
    with pytest.raises(ValueError, match="make no tile"):
        TileGrid(32632, gsd, size)


@given(INDICES)
def test_a_tile_covers_itself_alone(index):
    grid = TileGrid(32633)
    columns, rows = grid.covering(grid.bounds(index))
    assert (columns, rows) == (range(index.col, index.col + 1), range(index.row, index.row + 1))


@given(
    st.floats(100_000, 900_000, allow_nan=False),
    st.floats(1, 9_000_000, allow_nan=False),
    st.floats(20, 5_000),
    st.floats(20, 5_000),
)
def test_covering_is_complete_and_tight(left, bottom, width, height):
    grid = TileGrid(32701)
    columns, rows = grid.covering((left, bottom, left + width, bottom + height))
    west, south, _, _ = grid.bounds(TileIndex(columns.start, rows.start))
    _, _, east, north = grid.bounds(TileIndex(columns.stop - 1, rows.stop - 1))
    assert (
        west <= left + 1e-4
        and south <= bottom + 1e-4
        and east >= left + width - 1e-4
        and north >= bottom + height - 1e-4
    )
    assert left - west < 640 and bottom - south < 640 and east - left - width < 640 and north - bottom - height < 640


def test_pixels_of_a_tile_start_at_its_north_west_corner():
    grid = TileGrid(32632)
    transform = grid.transform(TileIndex(3, 5))
    assert transform @ (0, 0) == (3 * 640, 6 * 640)
    assert transform @ (64, 64) == (4 * 640, 5 * 640)


def test_polygons_match_bounds():
    grid = TileGrid(32632)
    indices = np.array([[1, 2], [700, 8000]])
    assert [polygon.bounds for polygon in grid.polygons(indices)] == [
        grid.bounds(TileIndex(*index)) for index in indices.tolist()
    ]


@pytest.mark.parametrize(
    ("longitude", "latitude", "epsg"),
    [
        (11.3, 46.5, 32632),
        (-0.6, 44.8, 32630),
        (5.0, 60.0, 32632),
        (15.0, 78.0, 32633),
        (179.9, -17.0, 32760),
        (-179.9, 65.0, 32601),
        (180.0, 65.0, 32601),
        (-58.4, -34.6, 32721),
        (10.0, 0.0, 32632),
    ],
)
def test_the_zone_of_a_place(longitude, latitude, epsg):
    assert utm_epsg(longitude, latitude) == epsg
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(longitude, latitude)
    assert 0 < x < 1_000_000 and 0 <= y < 10_000_000


def test_poles_have_no_zone():
    with pytest.raises(ValueError, match="outside the UTM zones"):
        utm_epsg(0, 85)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "32632_1",
        "32632_a_2",
        "4326_1_2",
        "32600_1_2",
        "32632_1_2_64x10m",
        "32632_1_2_32x010m",
        "32632_1_2_32x10",
        "32632_01_2",
        "32632_1_2_0x10m",
        "32632_1_2\n",
    ],
)
def test_other_texts_are_no_ids(text):
    with pytest.raises(ValueError, match=r"tile id|UTM zone|no tile"):
        TileGrid.parse_id(text)
