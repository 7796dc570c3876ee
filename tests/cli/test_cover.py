"""Truth of every kind on the command line: what can be used is, the rest gets a clear word."""

import json

import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner
from shapely.geometry import LineString, Polygon, box

from pipeline.cli import main
from pipeline.legend import COVER
from pipeline.models import pixels as stored
from tests.builders import write_tif
from tests.fakes import BrightPixels

LEFT, TOP = 674_560.0, 5_155_200.0


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    """A scene of 60 x 90 pixels: water in the west, grass in the east, as the fake names them."""
    monkeypatch.setattr(stored, "load_pixels", lambda name: BrightPixels())
    light = np.full((4, 60, 90), 500, np.uint16)
    light[:, :, 45:] = 2500
    place = {"west": LEFT, "north": TOP, "names": ["B02", "B03", "B04", "B08"]}
    write_tif(tmp_path / "scenes" / "here_20220612.tif", light, **place)
    return tmp_path / "scenes"


def square(x, y, width, height):
    return box(LEFT + x, TOP - y - height, LEFT + x + width, TOP - y)


WEST, EAST = square(0, 0, 450, 600), square(450, 0, 450, 600)


def drawn(path, shapes, names, crs="EPSG:32632"):
    gpd.GeoDataFrame({"class": names}, geometry=shapes, crs=crs).to_file(path)
    return path


def evaluated(scenes, truth, *more):
    asked = ["evaluate-cover", "--scenes", str(scenes), "--truth", str(truth), "--cover", "bright"]
    return CliRunner().invoke(main, [*asked, *map(str, more)])


def words(told):
    """What was printed, whatever the width of the console."""
    return " ".join(told.output.split())


@pytest.mark.parametrize(
    ("name", "zone"),
    [("drawn.gpkg", 32632), ("drawn.gpkg", 32633), ("drawn.gpkg", 3035), ("drawn.geojson", 4326), ("drawn.shp", 32633)],
)
def test_polygons_of_any_zone_and_file_fall_on_their_ground(scenes, tmp_path, name, zone):
    there = gpd.GeoSeries([WEST, EAST], crs=32632).to_crs(zone)
    told = evaluated(scenes, drawn(tmp_path / name, there, ["water", "grass"], zone), "--json", tmp_path / "out.json")
    assert told.exit_code == 0, told.output
    found = json.loads((tmp_path / "out.json").read_text())["all"]
    assert found["accuracy"] > 0.99
    assert found["pixels"] > 5000


def test_flips_and_turns_are_asked_for(scenes, tmp_path):
    truth = drawn(tmp_path / "drawn.gpkg", [WEST, EAST], ["water", "grass"])
    plain, turned = evaluated(scenes, truth), evaluated(scenes, truth, "--tta")
    assert turned.exit_code == 0, turned.output
    assert plain.output == turned.output
    assert "100.0% of 5400 pixels" in plain.output


def test_a_single_network_has_nothing_to_join(scenes, tmp_path):
    truth = drawn(tmp_path / "drawn.gpkg", [WEST, EAST], ["water", "grass"])
    told = evaluated(scenes, truth, "--calibrate")
    assert told.exit_code == 2
    assert "--calibrate is for several networks" in told.output


def test_polygons_that_overlap_cross_themselves_or_are_none_are_told(scenes, tmp_path):
    bow = Polygon([(LEFT + 500, TOP), (LEFT + 900, TOP - 400), (LEFT + 900, TOP), (LEFT + 500, TOP - 400)])
    line = LineString([(LEFT, TOP), (LEFT + 900, TOP - 600)])
    shapes, names = [WEST, bow, square(400, 0, 50, 50), line], ["water", "grass", "trees", "grass"]
    told = evaluated(scenes, drawn(tmp_path / "drawn.gpkg", shapes, names))
    assert told.exit_code == 0, told.output
    assert "25 pixels lie in polygons of two classes, left out" in words(told)
    assert "1 polygons cross themselves, mended" in words(told)
    assert "1 shapes are no polygons, left out" in words(told)


def test_classes_that_the_network_does_not_know_are_left_out_or_all_that_there_is(scenes, tmp_path):
    told = evaluated(scenes, drawn(tmp_path / "some.gpkg", [WEST, EAST], ["water", "glacier"]))
    assert told.exit_code == 0, told.output
    assert "glacier are no class of bright, left out" in words(told)
    assert "of 2700 pixels" in told.output
    none = evaluated(scenes, drawn(tmp_path / "none.gpkg", [WEST, EAST], ["heath", "glacier"]))
    assert none.exit_code == 1
    assert "its classes (glacier, heath) are none of bright (water, trees, grass)" in none.output


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize(
    ("shapes", "names", "crs", "said"),
    [
        ([WEST, EAST], ["water", "grass"], None, "has no coordinate reference system; save it with one"),
        ([square(9000, 0, 50, 50), square(9100, 0, 50, 50)], ["water", "grass"], 32632, "lies on a scene"),
        ([square(1, 1, 3, 3), square(12, 1, 2, 2)], ["water", "grass"], 32632, "lies on a scene"),
        ([WEST, EAST], ["water", "water"], 32632, "holds only water; a network needs two classes at least"),
        ([WEST, EAST], [None, None], 32632, "holds no polygon with a class"),
    ],
)
def test_truth_that_says_nothing_is_refused(scenes, tmp_path, shapes, names, crs, said):
    name = "drawn.shp" if crs is None else "drawn.gpkg"  # a GeoPackage always tells one
    told = evaluated(scenes, drawn(tmp_path / name, shapes, names, crs))
    assert told.exit_code == 1
    assert said in words(told)


def test_another_field_is_asked_for_by_name(scenes, tmp_path):
    told = evaluated(scenes, drawn(tmp_path / "drawn.gpkg", [WEST, EAST], ["water", "grass"]), "--field", "kind")
    assert told.exit_code == 1
    assert "has no field 'kind' (there are: class)" in words(told)


@pytest.mark.parametrize(("north", "west", "shape", "pixels"), [(0, 0, (60, 90), 5400), (-95, -205, (150, 200), 5400),
                                                                 (100, 200, (20, 30), 600)])  # fmt: skip
def test_masks_of_any_size_count_where_they_lie_on_the_scene(scenes, tmp_path, north, west, shape, pixels):
    codes = np.full((1, *shape), 2, np.uint8)
    columns = LEFT + west + 10 * np.arange(shape[1]) + 5
    codes[0][:, columns < LEFT + 450] = 0
    write_tif(tmp_path / "mask.tif", codes, epsg=32632, west=LEFT + west, north=TOP - north, nodata=255)
    told = evaluated(scenes, tmp_path / "mask.tif")
    assert told.exit_code == 0, told.output
    assert f"of {pixels} pixels" in told.output
    assert [entry.label for entry in COVER.classes][2] == "grass"


def test_a_mask_without_its_place_is_refused(scenes, tmp_path):
    write_tif(tmp_path / "mask.tif", np.zeros((1, 60, 90), np.uint8), epsg=None, west=LEFT, north=TOP)
    told = evaluated(scenes, tmp_path / "mask.tif")
    assert told.exit_code == 1
    assert "has no coordinate reference system" in told.output
