import numpy as np
import pytest
import rasterio

from pipeline.scenes.reading import ranged
from pipeline.scenes.reading.reader import SceneReader
from tests.builders import RGB, stored, surface, write_tif
from tests.scenes.helpers import BANDS, scenes

SEEN = np.arange(330) % 50 > 20  # columns that were measured


@pytest.mark.parametrize("place", [{}, {"west": 600_003.0}], ids=["on the grid", "warped"])
def test_the_mask_inside_a_file_is_seen(tmp_path, place):
    numbers = np.stack([stored(surface()[band]) for band in RGB])
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_tif(tmp_path / "scene.tif", numbers, names=RGB, **place)
        with rasterio.open(path, "r+") as image:
            image.write_mask(np.broadcast_to(SEEN, (200, 330)))
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as reader:
        pixels, valid = reader.read(scene.bounds, BANDS)
    share = valid[4:-4, 4:-4].mean()
    assert abs(share - SEEN[4:-4].mean()) < 0.03 and not pixels[:, ~valid].any()
    if not place:
        assert np.array_equal(valid, np.broadcast_to(SEEN, valid.shape))


@pytest.mark.parametrize("place", [{}, {"west": 600_003.0}], ids=["on the grid", "warped"])
@pytest.mark.parametrize("mark", [-9999.0, -3.4e38, -32768.0])
def test_untagged_marks_of_no_data_in_floats(tmp_path, mark, place):
    for band, value in surface().items():
        write_tif(tmp_path / f"{band}.tif", np.where(SEEN, value, mark).astype(np.float32), **place)
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as reader:
        pixels, valid = reader.read(scene.bounds, BANDS)
    assert abs(valid[4:-4, 4:-4].mean() - SEEN[4:-4].mean()) < 0.03
    assert pixels[:, valid].min() > -0.2 and not pixels[:, ~valid].any()


def test_a_file_with_a_mask_is_not_read_by_its_blocks(tmp_path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_tif(tmp_path / "scene.tif", stored(surface()["B02"]))
        plain = path.read_bytes()
        with rasterio.open(path, "r+") as image:
            image.write_mask(np.broadcast_to(SEEN, (200, 330)))
    assert ranged._blocks(plain) is not None and ranged._blocks(path.read_bytes()) is None
