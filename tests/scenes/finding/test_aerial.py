import numpy as np
import pytest
from pyproj import Transformer

from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.scene import Level, ReadOptions
from tests.builders import NORTH, WEST, write_tif
from tests.scenes.helpers import BANDS, refusal, scenes

ASKED = ReadOptions(sensor="aerial", gsd=0.3)


def picture(rows=300, columns=420):
    """Codes (band, y, x) that encode their place: red rows, green columns, blue neither."""
    y, x = np.mgrid[0:rows, 0:columns]
    return np.stack([20 + y // 3, 20 + x // 3, np.full_like(x, 90)]).astype(np.uint8)


@pytest.mark.parametrize("names", [None, ("R", "G", "B"), ("B04", "B03", "B02")])
def test_a_picture_from_the_air_is_a_scene_for_a_model_that_asks(tmp_path, names):
    write_tif(tmp_path / "roofs.tif", picture(), gsd=0.3, names=names, photometric="RGB")
    (scene,) = scenes(tmp_path, ASKED)
    assert (scene.sensor, scene.level, scene.assets["B04"].gsd) == ("aerial", Level.RGB, 0.3)
    with SceneReader(inspect_pixels(scene), 0.3) as reader:
        pixels, valid = reader.read(scene.bounds, BANDS)
    assert valid.all() and np.array_equal(pixels, picture())


def test_without_a_model_it_is_shown(tmp_path):
    write_tif(tmp_path / "roofs.tif", picture(), gsd=0.3, photometric="RGB")
    (scene,) = scenes(tmp_path, ReadOptions(sensor=None))
    assert scene.sensor == "aerial" and scene.assets["B02"].gsd == 0.3


def test_a_model_of_sentinel_2_refuses_it_with_the_reason(tmp_path):
    write_tif(tmp_path / "roofs.tif", picture(), gsd=0.3, photometric="RGB")
    found = refusal(tmp_path)
    assert found.error == "UnfitScene" and "sentinel-2 pixels of 10 m" in found.reason and "finer" in found.reason


def test_a_model_of_aerial_pictures_refuses_sentinel_2(tmp_path):
    write_tif(tmp_path / "x.tif", np.full((3, 80, 90), 900, np.uint16), names=BANDS)
    assert refusal(tmp_path, ASKED).error == "UnfitScene"


def test_a_picture_in_a_metric_system_of_a_country_is_warped_onto_the_zones_grid(tmp_path):
    """Lambert-93; every tenth metre north is a stripe that must lie where pyproj puts it."""
    there = Transformer.from_crs(32631, 2154, always_xy=True)
    west, north = (round(value) for value in there.transform(450_000, 5_400_000))
    codes = picture()
    write_tif(tmp_path / "roofs.tif", codes, epsg=2154, west=west, north=north, gsd=0.3, photometric="RGB")
    (scene,) = scenes(tmp_path, ASKED)
    assert scene.epsg == 32631
    with SceneReader(scene, 0.3) as reader:
        pixels, valid = reader.read(scene.bounds, BANDS)
    rows, columns = np.nonzero(valid)
    picked = slice(None, None, 997)
    x, y = scene.bounds[0] + 0.3 * (columns[picked] + 0.5), scene.bounds[3] - 0.3 * (rows[picked] + 0.5)
    east, up = there.transform(x, y)
    row, column = (north - up) / 0.3 - 0.5, (east - west) / 0.3 - 0.5
    inner = (row > 3) & (row < 296) & (column > 3) & (column < 416)
    red, green = (pixels[band, rows[picked], columns[picked]][inner] for band in (0, 1))
    assert inner.sum() > 50
    assert np.abs(red - (20 + row[inner] / 3 - 1 / 3)).max() < 1.5
    assert np.abs(green - (20 + column[inner] / 3 - 1 / 3)).max() < 1.5


def test_other_pixels_than_the_models_are_refused(tmp_path):
    write_tif(tmp_path / "roofs.tif", picture(), gsd=1.0, photometric="RGB")
    assert refusal(tmp_path, ASKED).error == "ResolutionError"


def test_place_of_the_picture(tmp_path):
    write_tif(tmp_path / "roofs.tif", picture(), gsd=0.3, photometric="RGB")
    (scene,) = scenes(tmp_path, ASKED)
    assert scene.bounds == pytest.approx((WEST, NORTH - 90, WEST + 126, NORTH))
