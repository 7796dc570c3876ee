import json
import shutil

import geopandas as gpd
import numpy as np
import pytest
import shapely

from pipeline import outlines
from pipeline.errors import TileTableError
from pipeline.grid import TileGrid, TileIndex
from pipeline.outlines import cropped, one_outline, read_outlines, tile_shares

NORTH = shapely.box(9.0, 47.0, 9.3, 47.2)
SOUTH = shapely.Polygon([(9.0, 46.0), (9.4, 46.0), (9.2, 46.3)])


@pytest.fixture
def districts() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"district": ["North", "South"], "code": [1, 2]}, geometry=[NORTH, SOUTH], crs=4326)


@pytest.mark.parametrize("kind", ["geojson", "gpkg", "shp", "zip", "kml", "utm.gpkg"])
def test_any_common_vector_file_is_read(districts, tmp_path, kind):
    path = tmp_path / f"districts.{kind}"
    if kind == "zip":
        districts.to_file(tmp_path / "shapes" / "districts.shp") if (tmp_path / "shapes").mkdir() is None else None
        shutil.make_archive(str(tmp_path / "districts"), "zip", tmp_path / "shapes")
    elif kind == "kml":
        districts.rename(columns={"district": "Name"}).to_file(path, driver="KML")
    elif kind == "utm.gpkg":
        districts.to_crs(32632).to_file(path)
    else:
        districts.to_file(path)
    found = read_outlines(path, None if kind == "kml" else "district")
    assert [one.name for one in found] == ["North", "South"]
    for one, shape in zip(found, (NORTH, SOUTH), strict=True):
        assert one.shape.symmetric_difference(shape).area < 1e-3


def test_areas_without_a_name_are_numbered_and_points_left_out(tmp_path, caplog):
    shapes = [NORTH, shapely.Point(9, 47), shapely.Polygon([(9, 46), (10, 47), (10, 46), (9, 47)])]
    gpd.GeoDataFrame({"code": [3, 4, 5]}, geometry=shapes, crs=4326).to_file(tmp_path / "a.geojson")
    found = read_outlines(tmp_path / "a.geojson")
    assert [one.name for one in found] == ["area 1", "area 3"]
    assert found[1].shape.is_valid
    assert "1 of 3 features are no polygons" in caplog.text


def test_what_cannot_be_used_says_why(districts, tmp_path):
    (tmp_path / "a.geojson").write_text("no")
    with pytest.raises(TileTableError, match="GeoPackage"):
        read_outlines(tmp_path / "a.geojson")
    districts.to_file(tmp_path / "b.geojson")
    with pytest.raises(TileTableError, match="its fields are district, code"):
        read_outlines(tmp_path / "b.geojson", "county")
    gpd.GeoDataFrame(geometry=[shapely.Point(9, 47)], crs=4326).to_file(tmp_path / "c.geojson")
    with pytest.raises(TileTableError, match="no polygon"):
        read_outlines(tmp_path / "c.geojson")
    metres = json.dumps(shapely.geometry.mapping(shapely.box(500000, 5_000_000, 600000, 5_100_000)))
    (tmp_path / "d.geojson").write_text(metres)
    with pytest.raises(TileTableError, match="coordinate reference system"):
        read_outlines(tmp_path / "d.geojson")


def test_a_tile_counts_by_its_part_inside():
    grid = TileGrid(32632)
    west, south, east, north = grid.bounds(TileIndex(800, 8200))
    zone = shapely.box(west + 160, south, east + 320, north)
    shape = gpd.GeoSeries([shapely.segmentize(zone, 50)], crs=32632).to_crs(4326)[0]
    found = tile_shares(shape, grid)
    assert {at: round(share, 3) for at, share in found.items() if share > 1e-3} == {(800, 8200): 0.75, (801, 8200): 0.5}


def test_shares_add_up_to_the_area_in_every_zone():
    shape = shapely.box(11.9, 47.0, 12.1, 47.15)  # where zones 32 and 33 meet
    for epsg in (32632, 32633):
        placed = gpd.GeoSeries([shapely.segmentize(shape, 0.02)], crs=4326).to_crs(epsg)[0]
        total = sum(tile_shares(shape, TileGrid(epsg)).values()) * 640**2
        assert total == pytest.approx(placed.area, rel=1e-6)


def test_an_outline_across_longitude_180_is_one_area():
    around = shapely.union_all([shapely.box(179.9, 65, 180, 65.1), shapely.box(-180, 65, -179.9, 65.1)])
    counted_on = shapely.box(179.9, 65, 180.1, 65.1)
    one, two = (tile_shares(shape, TileGrid(32601)) for shape in (around, counted_on))
    assert sum(two.values()) > 200
    assert sum(one.values()) == pytest.approx(sum(two.values()), rel=1e-6)
    assert {at for at, share in one.items() if share > 1e-3} == {at for at, share in two.items() if share > 1e-3}


def test_several_areas_are_one_or_one_of_them(districts, tmp_path):
    districts.to_file(tmp_path / "a.gpkg")
    found = read_outlines(tmp_path / "a.gpkg", "district")
    whole = one_outline(found, "canton")
    assert (whole.name, whole.shape.area) == ("canton", pytest.approx(NORTH.area + SOUTH.area))
    assert one_outline(found, "canton", "South").shape.equals(SOUTH)
    with pytest.raises(TileTableError, match="it holds North, South"):
        one_outline(found, "canton", "East")


def test_a_far_area_touches_nothing():
    assert tile_shares(shapely.box(100, 10, 101, 11), TileGrid(32632)) == {}


def test_a_scene_is_cut_to_the_tiles_that_an_outline_touches():
    grid = TileGrid(32632)
    left, bottom, right, top = grid.bounds(TileIndex(800, 8200))
    zone = shapely.box(left + 10, bottom + 10, right + 700, top - 10)
    shape = gpd.GeoSeries([zone], crs=32632).to_crs(4326)[0]
    whole = (left - 6000, bottom - 3210, right + 1000, top + 5000)
    assert cropped(whole, shape, grid) == (left, bottom, right + 1000, top)
    assert cropped((left - 9000, bottom, left - 4000, top), shape, grid) is None


def test_squares_of_many_tiles_change_no_share():
    ring = np.column_stack([np.cos(np.linspace(0, 6, 40)), np.sin(np.linspace(0, 6, 40))])
    reach = np.random.default_rng(5).uniform(0.4, 1, 40)
    shape = shapely.Polygon(640 * (np.array([700, 8000]) + 30 * ring * reach[:, None])).buffer(0)
    index = np.stack(np.meshgrid(np.arange(665, 740), np.arange(7965, 8035)), -1).reshape(-1, 2)
    found = outlines.shares_of(shape, index, 640.0)
    low = index * 640.0
    boxes = shapely.box(low[:, 0], low[:, 1], low[:, 0] + 640, low[:, 1] + 640)
    np.testing.assert_allclose(found, shapely.area(shapely.intersection(shape, boxes)) / 640**2, atol=1e-9)
    assert {0.0, 1.0} < set(found.tolist())
