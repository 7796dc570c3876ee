import geopandas as gpd
import shapely

from pipeline.cli.run import _within
from pipeline.grid import TileGrid
from pipeline.scenes.scene import Refusal


def test_only_what_the_outline_touches_is_mapped(scenes, tmp_path, caplog):
    scene = scenes[0]
    left, bottom, right, top = scene.bounds
    part = shapely.box(left, bottom, (left + right) / 2, top)
    area = tmp_path / "district.gpkg"
    gpd.GeoDataFrame(geometry=[part], crs=scene.epsg).to_file(area)
    broken = Refusal("broken", "CorruptScene", "no header")
    kept, refused = _within([scene, broken], area, "eurosat-resnet50")
    assert refused is broken
    assert kept.id == scene.id
    edge = TileGrid(scene.epsg).edge
    assert kept.bounds[0] == left
    assert (left + right) / 2 - 1 <= kept.bounds[2] <= (left + right) / 2 + edge
    gpd.GeoDataFrame(geometry=[shapely.box(100, 60, 101, 61)], crs=4326).to_file(area)
    assert list(_within([scene], area, "eurosat-resnet50")) == []
    assert "lies outside" in caplog.text


def test_without_an_area_all_scenes_are_mapped(scenes):
    assert list(_within(scenes, None, "eurosat-resnet50")) == list(scenes)
