"""Truth laid over scenes: masks on any grid, polygons of any file, clear words for what cannot be used."""

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from shapely.geometry import Point, Polygon, box

from pipeline.datasets.masks import COVERS, IGNORED, read_truth, split_places, tag_classes
from pipeline.errors import ModelError
from tests.builders import scene_on_disk, write_tif

LEFT, TOP, BANDS = 674560.0, 5155200.0, ("B04", "B03")
WATER, TREES = COVERS.index("water"), COVERS.index("trees")


@pytest.fixture
def pixels():
    return np.random.default_rng(8).integers(200, 2700, (3, 40, 70), dtype=np.uint16)


@pytest.fixture
def scene(tmp_path, pixels):
    (tmp_path / "scenes").mkdir()
    return scene_on_disk(tmp_path / "scenes", pixels, LEFT, TOP, "here")


def drawn(path, shapes, crs="EPSG:32632", **columns):
    gpd.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path)
    return path


def square(x, y, size=100):
    return box(LEFT + x, TOP - y - size, LEFT + x + size, TOP - y)


def test_a_mask_on_a_shifted_grid_falls_on_its_ground(tmp_path, scene, pixels):
    codes = np.full((2, 20, 30), 255, np.uint8)
    codes[0, 3:9, 4:20], codes[1, 3:9, 4:20] = TREES, 13
    codes[0, 15:17, 25:27], codes[1, 15:17, 25:27] = WATER, 20
    write_tif(tmp_path / "mask.tif", codes, epsg=32632, west=LEFT + 50, north=TOP - 30, nodata=255)
    (truth,) = read_truth([scene], tmp_path / "mask.tif", BANDS)
    row, column = np.argwhere(truth.codes == TREES)[0]
    assert (truth.bounds[0] + 10 * column, truth.bounds[3] - 10 * row) == (LEFT + 90, TOP - 60)
    y, x = round((TOP - truth.bounds[3]) / 10), round((truth.bounds[0] - LEFT) / 10)
    height, width = truth.codes.shape
    stored = pixels[:2, y : y + height, x : x + width] / np.float32(10_000)
    np.testing.assert_allclose(truth.pixels, np.moveaxis(stored, 0, -1), atol=1e-6)
    assert truth.sure[row, column] == 65
    assert truth.known == 6 * 16 + 4


def test_a_mask_in_degrees_is_warped(tmp_path, scene):
    shape = gpd.GeoSeries([square(0, 0, 400)], crs=32632).to_crs(4326).iloc[0]
    west, south, east, north = shape.bounds
    codes = np.full((80, 80), TREES, np.uint8)
    codes[:, 40:] = WATER
    place = Affine((east - west) / 80, 0, west, 0, -(north - south) / 80, north)
    write_tif(tmp_path / "mask.tif", codes, epsg=4326, transform=place)
    (truth,) = read_truth([scene], tmp_path / "mask.tif", BANDS)
    middle = truth.codes[truth.codes.shape[0] // 2]
    assert middle[2] == TREES
    assert middle[-3] == WATER


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp"])
def test_polygons_of_every_format(tmp_path, scene, suffix):
    path = drawn(tmp_path / f"drawn.{suffix}", [square(0, 0), square(300, 100)], **{"class": ["water", "trees"]})
    if suffix == "geojson":
        gpd.read_file(path).to_crs(4326).to_file(path)
    (truth,) = read_truth([scene], path, BANDS)
    assert (truth.codes == WATER).sum() == pytest.approx(100, abs=20)
    assert truth.codes[0, 0] == WATER
    assert truth.classes == COVERS


def test_polygons_of_ones_own_classes_bring_their_names(tmp_path, scene):
    path = drawn(tmp_path / "d.gpkg", [square(0, 0), square(300, 100)], crop=["wheat", "maize"])
    (truth,) = read_truth([scene], path, BANDS, "crop")
    assert truth.classes == ("maize", "wheat")


def test_where_polygons_of_two_classes_overlap_nothing_is_known(tmp_path, scene, caplog):
    path = drawn(tmp_path / "d.gpkg", [square(0, 0), square(50, 0)], **{"class": ["water", "trees"]})
    (truth,) = read_truth([scene], path, BANDS)
    assert (truth.codes[:10, 5:10] == IGNORED).all()
    assert truth.codes[0, 0] == WATER
    assert truth.codes[0, 12] == TREES
    assert "50 pixels lie in polygons of two classes" in caplog.text


def test_what_crosses_itself_is_mended_and_points_are_left_out(tmp_path, scene, caplog):
    bow = Polygon([(LEFT, TOP), (LEFT + 200, TOP - 200), (LEFT + 200, TOP), (LEFT, TOP - 200)])
    names = {"class": ["water", "trees", "trees"]}
    path = drawn(tmp_path / "d.gpkg", [bow, square(300, 100), Point(LEFT, TOP)], **names)
    (truth,) = read_truth([scene], path, BANDS)
    assert truth.codes[10, 2] == WATER
    assert "cross themselves" in caplog.text
    assert "1 shapes are no polygons" in caplog.text


def test_tags_of_openstreetmap(tmp_path, scene):
    tags = {"landuse": ["farmland", None, "military"], "natural": [None, "wood", None]}
    path = drawn(tmp_path / "d.gpkg", [square(0, 0), square(300, 100), square(0, 200)], **tags)
    (truth,) = read_truth([scene], path, BANDS, "osm")
    assert {truth.classes[code] for code in np.unique(truth.codes) if code != IGNORED} == {"crops", "trees"}
    assert set(tag_classes().values()) <= set(COVERS)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda at: drawn(at / "d.gpkg", [square(90_000, 0)], **{"class": ["water"]}), "none of its truth lies on"),
        (lambda at: drawn(at / "d.gpkg", [square(0, 0)], **{"class": ["water"]}), "holds only water"),
        (lambda at: drawn(at / "d.gpkg", [square(0, 0)], kind=["water"]), "has no field 'class' (there are: kind)"),
        (lambda at: drawn(at / "d.gpkg", [Point(LEFT, TOP)], **{"class": ["water"]}), "holds no polygon"),
        (lambda at: drawn(at / "d.shp", [square(0, 0)], crs=None, **{"class": ["water"]}), "no coordinate reference"),
        (lambda at: at / "missing.gpkg", "no masks or polygons there"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_unusable_truth_is_told_why(tmp_path, scene, made, says):
    with pytest.raises(ModelError) as told:
        read_truth([scene], made(tmp_path), BANDS)
    assert says in str(told.value)


def test_places_that_overlap_stay_together(tmp_path, pixels):
    (tmp_path / "scenes").mkdir()
    scenes = [
        scene_on_disk(tmp_path / "scenes", pixels, LEFT + shift, TOP, name)
        for name, shift in (("a", 0), ("b", 300), ("far", 5_000))
    ]
    shapes = [square(320, 0), square(500, 100), square(5_100, 0), square(5_300, 100)]
    path = drawn(tmp_path / "d.gpkg", shapes, **{"class": ["water", "trees"] * 2})
    truths = read_truth(scenes, path, BANDS)
    assert [(truth.scene, truth.place) for truth in truths] == [("a", "a"), ("b", "a"), ("far", "far")]
    learnt, kept = split_places(truths, ["far"])
    assert [truth.scene for truth in learnt] == ["a", "b"]
    assert [truth.scene for truth in kept] == ["far"]
    with pytest.raises(ModelError, match="no such place"):
        split_places(truths, ["nowhere"])
    with pytest.raises(ModelError, match="cannot be split"):
        split_places(learnt)
