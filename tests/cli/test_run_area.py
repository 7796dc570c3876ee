import zipfile

import geopandas as gpd
import pytest
import shapely
from click.testing import CliRunner

from pipeline.batch import main_job, work
from pipeline.cli import main
from pipeline.cli.run import _within
from pipeline.grid import TileGrid
from pipeline.outlines import Outline, on_grid
from pipeline.scenes.scene import Refusal
from tests.fakes import CARD, FakeClassifier


def degrees(shape, epsg):
    return gpd.GeoSeries([shape], crs=epsg).to_crs(4326).iloc[0]


def test_only_what_the_outline_touches_is_mapped(scenes, caplog):
    scene = scenes[0]
    left, bottom, right, top = scene.bounds
    part = degrees(shapely.box(left, bottom, (left + right) / 2, top), scene.epsg)
    broken = Refusal("broken", "CorruptScene", "no header")
    kept, refused = _within([scene, broken], Outline("district", part), CARD)
    assert refused is broken
    assert kept.id == scene.id
    edge = TileGrid(scene.epsg).edge
    assert kept.bounds[0] == left
    assert (left + right) / 2 - 1 <= kept.bounds[2] <= (left + right) / 2 + edge
    assert list(_within([scene], Outline("far", shapely.box(100, 60, 101, 61)), CARD)) == []
    assert "lies outside far" in caplog.text


def test_without_an_area_all_scenes_are_mapped(scenes):
    assert list(_within(scenes, None, CARD)) == list(scenes)


def written(areas, folder, kind):
    """The areas in a file of a kind that people have."""
    if kind == "zip":
        areas.to_file(folder / "district.shp")
        with zipfile.ZipFile(folder / "district.zip", "w") as packed:
            for path in folder.glob("district.*"):
                if path.suffix != ".zip":
                    packed.write(path, path.name)
    else:
        areas.to_file(folder / f"district.{kind}", driver="KML" if kind == "kml" else None)
    return folder / f"district.{kind}"


@pytest.mark.parametrize("kind", ["geojson", "gpkg", "kml", "zip"])
def test_the_command_takes_files_as_people_have_them(kind, scenes, tmp_path, monkeypatch):
    """Two areas; the one that is named is the west of one scene, the other scenes are left out."""
    for module in (main_job, work):
        monkeypatch.setattr(module, "classifier", lambda choice: FakeClassifier())
    left, bottom, _, top = scenes[0].bounds
    west = degrees(shapely.box(left + 100, bottom + 100, left + 600, top - 100), scenes[0].epsg)
    field = "Name" if kind == "kml" else "gemeinde"
    folder = tmp_path / "outlines"
    folder.mkdir()
    areas = gpd.GeoDataFrame({field: ["West", "Far"]}, geometry=[west, shapely.box(100, 60, 101, 61)], crs=4326)
    area = written(areas, folder, kind)
    command = ["run", str(tmp_path / "scenes"), "--cover", "none", "--min-valid", "0", "--bands", "B04,B03,B02"]
    command += ["--tiles", str(tmp_path / "tiles"), "--maps", str(tmp_path / "maps"), "--offset", "0"]
    done = CliRunner().invoke(main, [*command, "--area", str(area), "--name-field", field, "--area-name", "West"])
    assert done.exit_code == 0, done.output
    (table,) = (tmp_path / "tiles").glob("*/*/tiles.parquet")
    assert table.parent.name == "scene-0"
    mapped = gpd.read_parquet(table)
    wide, _, _, _ = on_grid(west, scenes[0].epsg).bounds
    assert 0 < len(mapped) <= 12 and mapped.geometry.bounds["maxx"].max() < left + 600 + 640
    assert mapped.intersects(on_grid(west, scenes[0].epsg)).all() and wide > left


def test_a_name_without_an_area_is_told(tmp_path):
    done = CliRunner().invoke(main, ["run", str(tmp_path), "--area-name", "West"])
    assert done.exit_code == 2 and "give --area too" in done.output
