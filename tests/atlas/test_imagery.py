import io

import numpy as np
from affine import Affine
from PIL import Image
from pyproj import Transformer

from pipeline.atlas.imagery import affordable_gsd, brightened, quicklook, within_budget


def picture(webp: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(webp)) as image:
        assert image.format == "WEBP"
        return np.asarray(image.convert("RGBA"))


def test_a_quicklook_lies_where_the_scene_lies():
    rgb, valid = np.full((3, 60, 90), 80, np.uint8), np.ones((60, 90), bool)
    rgb[0, :20, :30] = 255
    transform = Affine(80, 0, 650_000, 0, -80, 5_200_000)
    look = quicklook(rgb, valid, transform, 32632)
    (south, west), (north, east) = look.bounds
    to_degrees = Transformer.from_crs(32632, 4326, always_xy=True)
    lon, lat = to_degrees.transform(650_000 + 45 * 80, 5_200_000 - 30 * 80)
    assert abs((west + east) / 2 - lon) < 1e-3
    assert abs((south + north) / 2 - lat) < 1e-3
    pixels = picture(look.webp)
    # A place inside the red corner and one outside, found through the bounds alone.
    for col, row, red in ((15, 10, True), (60, 40, False)):
        lon, lat = to_degrees.transform(650_000 + col * 80, 5_200_000 - row * 80)
        x = int((lon - west) / (east - west) * pixels.shape[1])
        y = int((north - lat) / (north - south) * pixels.shape[0])
        assert (pixels[y, x, 0] > 220) == red
        assert pixels[y, x, 3] == 255


def test_invalid_pixels_and_the_rim_are_clear():
    rgb, valid = np.full((3, 60, 90), 80, np.uint8), np.ones((60, 90), bool)
    valid[:, :40] = False
    alpha = picture(quicklook(rgb, valid, Affine(80, 0, 650_000, 0, -80, 5_200_000), 32632).webp)[..., 3]
    assert set(np.unique(alpha)) == {0, 255}
    assert (alpha[:, : alpha.shape[1] // 3] == 0).all()
    assert 0.4 < (alpha == 255).mean() < 0.6


def test_brightening_keeps_order_no_data_and_white():
    shown = brightened(np.tile(np.arange(256, dtype=np.uint8), (3, 1)))
    assert (shown[:, 0] == 0).all()
    assert (shown[:, 1:] > 0).all()
    assert (shown[:, 255] == 255).all()
    assert (np.diff(shown.astype(int), axis=1) >= 0).all()
    # Forest as EuroSAT has it is green on the screen, not blue.
    red, green, blue = brightened(np.array([[48], [66], [76]], np.uint8))[:, 0]
    assert green > red
    assert green >= blue - 8


def test_pictures_shrink_until_they_fit():
    generator = np.random.default_rng(1)
    rgb, valid = generator.integers(0, 255, (3, 300, 200), dtype=np.uint8), np.ones((300, 200), bool)
    looks = [quicklook(rgb, valid, Affine(80, 0, 650_000, 0, -80, 5_200_000), 32632)] * 3
    budget = sum(len(look.webp) for look in looks) // 3
    fitted = within_budget(looks, budget)
    assert sum(len(look.webp) for look in fitted) <= budget
    assert [look.bounds for look in fitted] == [look.bounds for look in looks]
    assert picture(fitted[0].webp).shape[0] == picture(looks[0].webp).shape[0] // 2
    assert within_budget(looks, 10**9) == looks


def test_the_rim_is_not_darkened_by_what_lies_beyond():
    generator = np.random.default_rng(2)
    rgb, valid = generator.integers(100, 140, (3, 120, 90), dtype=np.uint8), np.ones((120, 90), bool)
    valid[:, :41] = False
    rgb[:, ~valid] = 0
    pixels = picture(quicklook(rgb, valid, Affine(80, 0, 650_000, 0, -80, 5_200_000), 32632).webp).astype(int)
    inside = pixels[..., 3] == 255
    edge = inside & ~np.roll(inside, 1, axis=1)
    assert edge.sum() > 100
    assert abs(pixels[edge][:, :3].mean() - pixels[inside][:, :3].mean()) < 6
    assert pixels[edge][:, :3].min() > 100


def test_the_finest_affordable_pixel_is_chosen():
    granule = 109_800.0**2
    assert affordable_gsd([granule / 400], 3_000_000) == 10.0
    assert affordable_gsd([granule], 3_000_000) == 40.0
    assert affordable_gsd([granule] * 6, 3_000_000) is None


def test_a_scene_across_longitude_180_is_one_picture_of_its_own_size():
    rgb, valid = np.full((3, 60, 90), 80, np.uint8), np.ones((60, 90), bool)
    x, y = Transformer.from_crs(4326, 32601, always_xy=True).transform(-180.0, 65.0)
    look = quicklook(rgb, valid, Affine(80, 0, x - 45 * 80, 0, -80, y), 32601)
    (_, west), (_, east) = look.bounds
    assert west < -180 < east
    assert east - west < 0.3
    assert picture(look.webp).shape[1] < 200
