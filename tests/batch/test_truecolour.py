"""The pictures of a scene: two sizes, means of measured pixels, in their places."""

import io

import numpy as np
import pytest
import rasterio
from PIL import Image

from pipeline.atlas import imagery
from pipeline.batch.main_job import run
from pipeline.batch.products import truecolour
from pipeline.results.layout import OVERVIEW, QUICKLOOK, TRUE_COLOUR


@pytest.fixture
def looks(options, scenes, monkeypatch):
    """What went into each picture of a scene, and its raster."""
    seen = {}

    def keep(rgb, valid, transform, epsg, shown):
        seen[transform.a] = (rgb.copy(), valid.copy(), transform)
        return imagery.quicklook(rgb, valid, transform, epsg, shown)

    monkeypatch.setattr(truecolour, "quicklook", keep)
    run(scenes[:1], options)
    folder = options.tiles / "fake" / "scene-0"
    with rasterio.open(folder / TRUE_COLOUR) as raster:
        return seen, raster.read(), raster.transform, folder


def test_pictures_are_means_of_the_raster_in_its_place(looks):
    seen, raster, place, _ = looks
    assert sorted(seen) == [10.0, 80.0]
    for gsd, (rgb, valid, transform) in seen.items():
        factor = int(gsd / 10)
        assert (transform.c, transform.f, transform.e) == (place.c, place.f, -gsd)
        assert rgb.shape[1:] == valid.shape == tuple(edge // factor for edge in raster.shape[1:])
        assert valid.mean() > 0.5
        assert (rgb.max(axis=0) > 0).tolist() == valid.tolist()
    (fine, _, _), (coarse, valid, _) = seen[10.0], seen[80.0]
    counted = (fine > 0).reshape(3, valid.shape[0], 8, valid.shape[1], 8).sum(axis=(2, 4))
    sums = fine.reshape(3, valid.shape[0], 8, valid.shape[1], 8).sum(axis=(2, 4), dtype=int)
    np.testing.assert_array_equal(coarse, sums // np.maximum(counted, 1))
    whole = (counted == 64).all(axis=0)
    means = raster.reshape(3, valid.shape[0], 8, valid.shape[1], 8).mean(axis=(2, 4))
    assert np.abs(means - coarse)[:, whole].mean() < 4  # the raster is JPEG


def test_the_page_shows_the_overview(looks):
    folder = looks[-1]
    widths = {name: Image.open(io.BytesIO((folder / name).read_bytes())).width for name in (OVERVIEW, QUICKLOOK)}
    assert widths[OVERVIEW] > 7 * widths[QUICKLOOK]


def test_sums_over_squares_count_every_pixel_once():
    planes = np.arange(2 * 12 * 8, dtype=np.uint8).reshape(2, 12, 8)
    twice = truecolour._box_sums(truecolour._box_sums(planes, 2), 2)
    np.testing.assert_array_equal(twice, truecolour._box_sums(planes, 4))
    assert twice.shape == (2, 3, 2)
    assert twice.sum() == planes.sum(dtype=int)
    assert truecolour._box_sums(np.full((1, 64, 64), 255, np.uint8), 64).item() == 255 * 64 * 64
