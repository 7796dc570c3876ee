"""Any window of a scene is a part of the whole, whoever reads it and how."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from pipeline.bands import RGB
from pipeline.scenes.reading.reader import SceneReader
from tests.builders import Safe, stored, surface, write_safe, write_tif
from tests.scenes.helpers import BANDS, scenes


@pytest.fixture(scope="module", params=["granule", "degrees", "south up", "12.5 m"])
def scene(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    reflectance = surface()
    if request.param == "granule":
        write_safe(folder, Safe(), reflectance, scl=np.arange(100 * 165, dtype=np.uint8).reshape(100, 165) % 12)
    else:
        place = {
            "degrees": {"epsg": 4326, "transform": from_origin(11.5, 46.0, 1.2e-4, 1e-4)},
            "south up": {"transform": from_origin(600_000, 5_098_000, 10, -10)},
            "12.5 m": {"transform": from_origin(600_000, 5_100_000, 12.5, 12.5)},
        }[request.param]
        for band in RGB:
            write_tif(folder / f"{band}.tif", stored(reflectance[band]), **place)
    (found,) = scenes(folder)
    return found


@pytest.fixture(scope="module")
def whole(scene):
    """Pixels, mask and classes of the scene with 200 m around it."""
    left, bottom, right, top = scene.bounds
    bounds = (left - 200, bottom - 200, right + 200, top + 200)
    with SceneReader(scene) as reader:
        return bounds, *reader.read(bounds, BANDS), reader.read_quality(bounds)


def inside(whole, col, row, width, height):
    (left, _, _, top), pixels, valid, classes = whole
    width, height = min(width, pixels.shape[2] - col), min(height, pixels.shape[1] - row)
    bounds = (left + 10 * col, top - 10 * (row + height), left + 10 * (col + width), top - 10 * row)
    place = slice(row, row + height), slice(col, col + width)
    return bounds, pixels[(slice(None), *place)], valid[place], None if classes is None else classes[place]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(col=st.integers(0, 300), row=st.integers(0, 180), width=st.integers(1, 400), height=st.integers(1, 300))
def test_a_window_is_a_part_of_the_whole(scene, whole, col, row, width, height):
    bounds, pixels, valid, classes = inside(whole, col, row, width, height)
    with SceneReader(scene) as reader:
        found, mask = reader.read(bounds, BANDS)
        quality = reader.read_quality(bounds)
    assert np.array_equal(found, pixels) and np.array_equal(mask, valid)
    assert (quality is None and classes is None) or np.array_equal(quality, classes)


def test_bands_alone_and_together(scene, whole):
    bounds, pixels, valid, _ = whole
    with SceneReader(scene) as reader:
        alone = [reader.read(bounds, (band,)) for band in BANDS]
        swapped, _ = reader.read(bounds, BANDS[::-1])
    assert np.array_equal(np.stack([part[0][0] for part in alone]), pixels)
    assert np.array_equal(np.logical_and.reduce([part[1] for part in alone]), valid)
    assert np.array_equal(swapped, pixels[::-1])


def test_threads_with_readers_of_their_own(scene, whole):
    bounds, pixels, _, _ = whole

    def read(at):
        with SceneReader(scene) as reader:
            return [reader.read(bounds, (BANDS[at % 3],)) for _ in range(3)]

    with ThreadPoolExecutor(6) as pool:
        for at, parts in enumerate(pool.map(read, range(12))):
            for found, _ in parts:
                assert np.array_equal(found[0], pixels[at % 3])


def test_a_reader_closes_what_it_opened(scene):
    with SceneReader(scene) as reader:
        reader.read(scene.bounds, BANDS)
        datasets = [layer.dataset for layer in reader._layers.values()]
    assert datasets and all(dataset.closed for dataset in datasets)
