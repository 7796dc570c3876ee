"""From stored numbers to the network's input, masks included."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.bands import NAMES, RGB
from pipeline.errors import AmbiguousRadiometry
from pipeline.scenes.radiometry import Harmonisation, Stretch, encode, reflectance
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.scene import Asset, ReadOptions
from tests.builders import Safe, band_folder, stored, surface, write_item, write_jp2, write_safe, write_tif
from tests.scenes.helpers import BANDS, codes, refusal, scenes, truth

# DN -> code, measured with gdal_translate -ot Byte -scale 0 2750 1 255.
GDAL_CODES = {
    0: 1,
    1: 1,
    5: 1,
    6: 2,
    10: 2,
    100: 10,
    945: 88,
    1041: 97,
    1116: 104,
    1375: 128,
    2749: 255,
    2750: 255,
    3000: 255,
    65535: 255,
}


def plain(dtype, offset=0.0, scale=1e-4):
    return np.array(list(GDAL_CODES), dtype).reshape(1, 1, -1), [Asset("x", scale=scale, offset=offset)]


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
def test_codes_are_gdals(dtype):
    pixels, assets = plain(dtype)
    assert encode(pixels, assets, Stretch()).ravel().tolist() == list(GDAL_CODES.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_codes_of_reflectance_are_those_of_dn(dtype):
    numbers = np.arange(0, 4000)
    whole = encode(numbers.astype(np.uint16).reshape(1, 1, -1), [Asset("x")], Stretch())
    real = encode((numbers / 10_000).astype(dtype).reshape(1, 1, -1), [Asset("x", scale=1.0)], Stretch())
    assert np.array_equal(whole, real)


def test_offset_never_flips_a_code():
    numbers = np.arange(1, 5000, dtype=np.uint16)
    before = encode(numbers.reshape(1, 1, -1), [Asset("x")], Stretch())
    after = encode((numbers + 1000).reshape(1, 1, -1), [Asset("x", offset=-0.1)], Stretch())
    assert np.array_equal(before, after)


def test_dark_numbers_below_the_offset_stay_dark():
    numbers = np.arange(1, 1000, dtype=np.uint16).reshape(1, 1, -1)
    assert np.unique(encode(numbers, [Asset("x", offset=-0.1)], Stretch())).tolist() == [1]
    assert np.unique(reflectance(numbers, [Asset("x", offset=-0.1)])).tolist() == [0.0]


def test_signed_numbers():
    numbers = np.array([-500, 0, 1375, 3000], np.int16).reshape(1, 1, -1)
    assert encode(numbers, [Asset("x")], Stretch()).ravel().tolist() == [1, 1, 128, 255]


def test_not_finite_never_passes():
    numbers = np.array([np.nan, np.inf, -np.inf, 0.1375], np.float32).reshape(1, 1, -1)
    assert encode(numbers, [Asset("x", scale=1.0)], Stretch()).ravel().tolist() == [1, 1, 1, 128]


def test_harmonisation_is_per_band():
    line = Harmonisation(scale=(2.0, 1.0), offset=(0.0, 0.05))
    numbers = np.full((2, 1, 1), 500, np.uint16)
    assets = [Asset("x"), Asset("y")]
    assert encode(numbers, assets, Stretch(), line).ravel().tolist() == Stretch().codes(np.array([0.1, 0.1])).tolist()
    assert encode(numbers, assets, Stretch()).ravel().tolist() == Stretch().codes(np.array([0.05, 0.05])).tolist()


def test_reflectance_keeps_what_is_not_finite():
    numbers = np.array([np.nan, 0.2], np.float32).reshape(1, 1, -1)
    found = reflectance(numbers, [Asset("x", scale=1.0)])
    assert np.isnan(found.ravel()[0]) and found.dtype == np.float32


def test_baselines_of_one_surface_give_the_same_input(tmp_path):
    reflectances = surface()
    write_safe(tmp_path / "old", Safe(baseline="03.01", offset=None), reflectances)
    write_safe(tmp_path / "new", Safe(baseline="05.09", offset=-1000), reflectances)
    (old,), (new,) = scenes(tmp_path / "old"), scenes(tmp_path / "new")
    assert np.array_equal(codes(old)[0], codes(new)[0])


@pytest.mark.parametrize(
    ("start", "baseline", "offset"),
    [
        (datetime(2020, 9, 14, 23, 15, 59, tzinfo=UTC), "05.00", -1000),
        (datetime(2023, 6, 14, 10, 6, 9, tzinfo=UTC), "02.14", None),
    ],
)
def test_the_date_decides_nothing(tmp_path, start, baseline, offset):
    write_safe(tmp_path, Safe(start=start, baseline=baseline, offset=offset))
    (scene,) = scenes(tmp_path)
    assert scene.assets["B04"].offset == pytest.approx((offset or 0) / 10_000)
    assert np.array_equal(codes(scene)[0], truth(surface()))


def test_offsets_differ_by_band(tmp_path):
    offsets = dict.fromkeys(NAMES, -1000.0) | {"B04": -2000.0, "B8A": -500.0}
    write_safe(tmp_path, Safe(offset=offsets))
    (scene,) = scenes(tmp_path)
    assert scene.radiometry.offsets["B04"] == -2000 and scene.radiometry.offsets["B8A"] == -500
    assert np.array_equal(codes(scene)[0], truth(surface()))


def test_offset_list_is_mapped_by_physical_band(tmp_path):
    root = write_safe(tmp_path, Safe(offset=dict.fromkeys(NAMES, -1000.0) | {"B04": -2000.0}))
    xml = root / "MTD_MSIL2A.xml"
    text = xml.read_text()
    # The product's own table swaps the ids of B03 and B04; its offsets are by id.
    text = text.replace('bandId="2" physicalBand="B3"', 'bandId="3" physicalBand="B3"', 1)
    text = text.replace('bandId="3" physicalBand="B4"', 'bandId="2" physicalBand="B4"', 1)
    xml.write_text(text)
    (scene,) = scenes(tmp_path)
    assert (scene.radiometry.offsets["B03"], scene.radiometry.offsets["B04"]) == (-2000, -1000)


def test_baseline_that_should_have_offsets_and_has_none(tmp_path):
    write_safe(tmp_path, Safe(baseline="05.09", offset=None))
    refused = refusal(tmp_path)
    assert refused.error == "AmbiguousRadiometry" and "05.09" in refused.reason and "--offset" in refused.reason


def test_incomplete_offset_list(tmp_path):
    write_safe(tmp_path)
    xml = next(tmp_path.glob("*.SAFE/MTD_MSIL2A.xml"))
    xml.write_text(xml.read_text().replace('<BOA_ADD_OFFSET band_id="3">-1000</BOA_ADD_OFFSET>', ""))
    assert refusal(tmp_path).error == "AmbiguousRadiometry"


@pytest.mark.parametrize("text", ["many", "nan", "1e99", "0"])
def test_nonsense_numbers_in_metadata(tmp_path, text):
    write_safe(tmp_path)
    xml = next(tmp_path.glob("*.SAFE/MTD_MSIL2A.xml"))
    xml.write_text(xml.read_text().replace(">10000<", f">{text}<"))
    assert refusal(tmp_path).error == "CorruptScene"


def test_zeros_are_masked_before_the_offset(tmp_path):
    numbers = {band: stored(value, -1000) for band, value in surface().items()}
    numbers["B03"][60:, 100:110] = 0
    write_safe(tmp_path, dn=numbers)
    (scene,) = scenes(tmp_path)
    found, valid = codes(scene)
    assert not valid[60:, 100:110].any() and valid.sum() == 200 * 330 - 140 * 10
    assert np.array_equal(found[:, valid], truth(surface())[:, valid])


def test_zeros_do_not_bleed_when_resampled(tmp_path):
    """A constant surface beside a wedge of zeros, in degrees: every pixel that counts keeps the constant."""
    rows, columns = 220, 260
    y, x = np.mgrid[0:rows, 0:columns]
    numbers = np.where(x + y > 200, 2000, 0).astype(np.uint16)
    for band in RGB:
        write_tif(tmp_path / f"{band}.tif", numbers, epsg=4326, transform=_degrees())
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as reader:
        pixels, valid = reader.read(scene.bounds, BANDS)
    assert 0.3 < valid.mean() < 0.95
    assert np.unique(pixels[:, valid]).tolist() == [2000] and np.unique(pixels[:, ~valid]).tolist() == [0]


def _degrees():
    from affine import Affine

    return Affine(1.1e-4, 0, 11.5, 0, -1.0e-4, 46.0)


def test_nodata_tag_and_zero_both_mask_when_resampled(tmp_path):
    """Files whose tag says 65535 still hold DN 0 outside the swath."""
    rows, columns = 220, 260
    y, x = np.mgrid[0:rows, 0:columns]
    numbers = np.where(x + y < 150, 0, np.where(x + y > 380, 65535, 1500)).astype(np.uint16)
    for band in RGB:
        write_tif(tmp_path / f"{band}.tif", numbers, epsg=4326, transform=_degrees(), nodata=65535)
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as reader:
        pixels, valid = reader.read(scene.bounds, BANDS)
    assert np.unique(pixels[:, valid]).tolist() == [1500] and valid.mean() > 0.5


@pytest.mark.parametrize("tag", [65535, -9999, 1e10])
def test_nodata_tags_of_any_value(tmp_path, tag):
    """Tags outside the number type's range, as software of floats writes them, do no harm."""
    import rasterio

    for number, place in enumerate(({}, {"epsg": 4326, "transform": _degrees()})):
        home = tmp_path / str(number)
        for band in RGB:
            path = write_tif(home / f"{band}.tif", np.full((200, 330), 700, np.int32), **place)
            with rasterio.open(path, "r+") as image:
                image.nodata = tag if tag < 2**31 else 2**31 - 1
        (scene,) = scenes(home)
        with SceneReader(scene) as reader:
            pixels, valid = reader.read(scene.bounds, BANDS)
        assert valid.mean() > 0.8 and np.unique(pixels[:, valid]).tolist() == [700]


@pytest.mark.parametrize(("scale", "offset"), [(-1e-4, 0.0), (float("nan"), 0.0), (1e-4, float("inf")), (1e9, 0.0)])
def test_nonsense_scale_in_the_file(tmp_path, scale, offset):
    import rasterio

    for band in RGB:
        path = write_tif(tmp_path / f"{band}.tif", np.full((200, 330), 700, np.uint16))
        with rasterio.open(path, "r+") as image:
            image.scales, image.offsets = (scale,), (offset,)
    assert refusal(tmp_path).error == "CorruptScene"


def test_saturated_is_not_outside_the_swath(tmp_path):
    """Bright targets that a clipping defect stored as DN 0 are cloud by SCL, not missing."""
    numbers = {band: stored(value, -1000) for band, value in surface().items()}
    for band in numbers:
        numbers[band][40:80, 40:80] = 0
        numbers[band][100:120, 40:80] = 32767
        numbers[band][140:160, 40:80] = 65535
        numbers[band][:20, :20] = 0
    scl = np.full((100, 165), 4, np.uint8)
    scl[20:40, 20:40] = 9
    scl[:10, :10] = 0
    write_safe(tmp_path, dn=numbers, scl=scl)
    (scene,) = scenes(tmp_path)
    looked = inspect_pixels(scene)
    assert looked.radiometry.saturated_share > 0
    found, valid = codes(scene)
    assert valid[40:80, 40:80].all() and not valid[:20, :20].any()
    for rows in (slice(40, 80), slice(100, 120), slice(140, 160)):
        assert (found[:, rows, 40:80] == 255).all()


def test_picture_is_empty_only_where_all_bands_are(tmp_path):
    picture = np.full((3, 200, 330), 90, np.uint8)
    picture[:, :50, :60] = 0
    picture[:, 100:120, 100:120] = np.array([0, 1, 9], np.uint8)[:, None, None]
    write_jp2(tmp_path / "T32TPR_20230614T100609_TCI_10m.jp2", picture)
    (scene,) = scenes(tmp_path)
    _, valid = codes(scene)
    assert not valid[:50, :60].any() and valid[100:120, 100:120].all()


def test_quality_is_resampled_by_nearest(tmp_path):
    scl = np.zeros((100, 165), np.uint8)
    scl[:50, :80], scl[:50, 80:], scl[50:, :80], scl[50:, 80:] = 3, 9, 10, 11
    write_safe(tmp_path, scl=scl)
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as reader:
        found = reader.read_quality(scene.bounds)
    assert np.array_equal(found, np.kron(scl, np.ones((2, 2), np.uint8)))


@pytest.mark.parametrize("factor", [1.0, 10_000.0])
def test_float_reflectance(tmp_path, factor):
    reflectances = surface()
    for band, value in reflectances.items():
        pixels = (value * factor).astype(np.float32)
        pixels[0, :6] = [np.nan, np.inf, -np.inf, -9999, np.nan, -9999]
        write_tif(tmp_path / f"{band}.tif", pixels, nodata=-9999)
    (scene,) = scenes(tmp_path)
    found, valid = codes(scene)
    assert not valid[0, :6].any() and valid.sum() == 200 * 330 - 6
    assert np.array_equal(found[:, valid], truth(reflectances)[:, valid])


def test_float_nan_nodata_does_not_bleed(tmp_path):
    numbers = np.full((220, 260), 0.15, np.float32)
    numbers[:, :40] = np.nan
    for band in RGB:
        write_tif(tmp_path / f"{band}.tif", numbers, epsg=4326, transform=_degrees(), nodata=np.nan)
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as reader:
        pixels, valid = reader.read(scene.bounds, BANDS)
    assert np.isfinite(pixels).all() and valid.mean() > 0.5
    assert np.allclose(pixels[:, valid], 0.15)


def stack(bands, dtype=np.uint16):
    reflectances = surface(bands=tuple(bands))
    return reflectances, np.stack([stored(reflectances[band]) for band in bands]).astype(dtype)


@pytest.mark.parametrize(
    ("bands", "names"),
    [
        (("B02", "B03", "B04", "B08"), ("blue", "green", "red", "nir")),
        (("B04", "B03", "B02"), ("B4", "B3", "B2")),
        (("B02", "B03", "B04"), ("Band 2", "band_3", "b04")),
        ((*[name for name in NAMES if name != "B8A"], "B8A"), None),
    ],
)
def test_bands_by_description(tmp_path, bands, names):
    reflectances, pixels = stack(bands)
    write_tif(tmp_path / "scene_20210703.tif", pixels, names=names or bands)
    (scene,) = scenes(tmp_path)
    assert np.array_equal(codes(scene)[0], truth(reflectances))
    assert scene.assets["B02"].index == bands.index("B02") + 1


def test_bands_by_option(tmp_path):
    reflectances, pixels = stack(("B04", "B03", "B02", "B08"))
    write_tif(tmp_path / "scene_20210703.tif", pixels)
    refused = refusal(tmp_path)
    assert refused.error == "AmbiguousRadiometry" and "--bands" in refused.reason
    (scene,) = scenes(tmp_path, ReadOptions(bands=("B04", "B03", "B02", "B08")))
    assert np.array_equal(codes(scene)[0], truth(reflectances))
    assert refusal(tmp_path, ReadOptions(bands=NAMES)).error == "AmbiguousRadiometry"


def test_twelve_nameless_bands_are_not_guessed(tmp_path):
    _, pixels = stack(NAMES[:12])
    write_tif(tmp_path / "stack.tif", pixels)
    assert refusal(tmp_path).error == "AmbiguousRadiometry"


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_eight_bit_pictures(tmp_path, order):
    picture = np.stack([np.full((200, 330), value, np.uint8) for value in (40, 80, 120)])
    names = None
    if order == "BGR":
        picture, names = picture[::-1], ("B02", "B03", "B04")
    alpha = np.full((1, 200, 330), 255, np.uint8)
    alpha[0, :30, :40] = 0
    extra = {"photometric": "RGB", "alpha": "YES"} if order == "RGB" else {}
    write_tif(
        tmp_path / "picture.tif", np.concatenate([picture, alpha]) if order == "RGB" else picture, names=names, **extra
    )
    (scene,) = scenes(tmp_path, ReadOptions(tci_max=2750))
    found, valid = codes(scene)
    assert scene.radiometry.approximate
    assert [int(np.unique(band[valid])[0]) for band in found] == [40, 80, 120]
    assert (not valid[:30, :40].any() and valid[30:].all()) if order == "RGB" else valid.all()


def test_eight_bit_band_files_are_of_unknown_scale(tmp_path):
    for band in RGB:
        write_tif(tmp_path / f"{band}.tif", np.full((200, 330), 90, np.uint8))
    assert refusal(tmp_path).error == "AmbiguousRadiometry"


def test_scale_and_offset_in_the_file(tmp_path):
    import rasterio

    for band, value in surface().items():
        path = write_tif(tmp_path / f"{band}.tif", np.rint(value * 20_000 + 1000).astype(np.uint16))
        with rasterio.open(path, "r+") as image:
            image.scales, image.offsets = (0.00005,), (-0.05,)
    (scene,) = scenes(tmp_path)
    assert scene.radiometry.sources["offset"] == "the files' offset"
    assert np.array_equal(codes(scene)[0], truth(surface()))


def test_item_offset_contradicted_by_option(tmp_path):
    band_folder(tmp_path, offset=-1000)
    write_item(
        tmp_path / "item.json",
        {band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4, "raster:offset": 0}]) for band in RGB},
    )
    (scene,) = scenes(tmp_path)
    looked = inspect_pixels(scene)
    assert "undecided" in looked.radiometry.verdict and any("--offset" in text for text in looked.warnings)
    (settled,) = scenes(tmp_path, ReadOptions(offset=-1000))
    assert np.array_equal(codes(settled)[0], truth(surface()))


@pytest.mark.parametrize("baseline", ["05.09"])
def test_item_of_a_new_baseline_that_says_zero_on_a_bright_scene(tmp_path, baseline):
    bright = {band: np.full((200, 330), 0.3) for band in RGB}
    band_folder(tmp_path, bright)
    assets = {band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4, "raster:offset": 0}]) for band in RGB}
    write_item(tmp_path / "item.json", assets, **{"s2:processing_baseline": baseline})
    (scene,) = scenes(tmp_path)
    with pytest.raises(AmbiguousRadiometry, match="--offset"):
        inspect_pixels(scene)


def test_all_zero_scene_has_no_measured_pixel(tmp_path):
    write_safe(tmp_path, dn={band: np.zeros((200, 330), np.uint16) for band in RGB})
    (scene,) = scenes(tmp_path)
    looked = inspect_pixels(scene)
    assert looked.radiometry.verdict == "no measured pixel in the sample"
    with SceneReader(looked) as reader:
        assert not reader.read(looked.bounds, BANDS)[1].any()


def test_overlay_of_another_radiometry_is_restated(tmp_path):
    numbers = {band: stored(value) for band, value in surface().items()}
    holes = {band: np.where(np.arange(330) < 165, value, 0).astype(np.uint16) for band, value in numbers.items()}
    write_safe(tmp_path / "a", Safe(baseline="03.01", offset=None), dn=holes)
    write_safe(tmp_path / "b", Safe(baseline="05.09", offset=-1000))
    (left,), (whole,) = scenes(tmp_path / "a"), scenes(tmp_path / "b")
    found, valid = codes(replace(left, overlays=(whole,)))
    assert valid.all() and np.array_equal(found, truth(surface()))


def test_offset_is_decided_where_only_a_corner_was_seen(tmp_path):
    """A swath edge far from the usual sample windows: the pixels there still have their say."""
    for band in RGB:
        numbers = np.zeros((2000, 2300), np.uint16)
        numbers[:200, 1900:2230] = stored(surface()[band], -1000)
        write_tif(tmp_path / f"{band}.tif", numbers)
    (scene,) = scenes(tmp_path)
    with pytest.raises(AmbiguousRadiometry):
        inspect_pixels(scene)


def test_overlays_are_looked_at_too(tmp_path):
    """Both halves claim an offset that their pixels no longer hold."""
    numbers = {band: stored(value) for band, value in surface().items()}
    found = []
    for name, columns in (("left", slice(0, 170)), ("right", slice(150, 330))):
        for band, pixels in numbers.items():
            part = np.zeros_like(pixels)
            part[:, columns] = pixels[:, columns]
            write_tif(tmp_path / name / f"{band}.tif", part)
        assets = {band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4, "raster:offset": -0.1}]) for band in RGB}
        write_item(tmp_path / name / "item.json", assets)
        found += scenes(tmp_path / name)
    found_codes, valid = codes(replace(found[0], overlays=(found[1],)))
    assert valid.all() and np.array_equal(found_codes, truth(surface()))


@pytest.mark.parametrize("state", ["whole", "damaged", "one band"])
def test_cloud_mask_of_l1c(tmp_path, state):
    """Since baseline 04.00 L1C products carry opaque cloud, cirrus and snow as three bands of 60 m."""
    product = Safe(level="L1C")
    write_safe(tmp_path, product, surface(240, 360))
    mask = np.zeros((3, 40, 60), np.uint8)
    mask[0, :10], mask[1, 10:20], mask[2, 20:30] = 1, 1, 1
    path = tmp_path / product.name / "GRANULE" / product.granule / "QI_DATA" / "MSK_CLASSI_B00.jp2"
    write_jp2(path, mask if state != "one band" else mask[:1], gsd=60.0)
    if state == "damaged":
        path.write_bytes(path.read_bytes()[:200])
    (scene,) = scenes(tmp_path)
    if state != "whole":
        assert scene.quality is None and any("cloud mask is left out" in text for text in scene.warnings)
        return
    with SceneReader(scene) as reader:
        found = reader.read_quality(scene.bounds)
        beyond = reader.read_quality((scene.bounds[0] - 640, scene.bounds[1], scene.bounds[0], scene.bounds[3]))
    assert found[::60, 0].tolist() == [9, 10, 11, 7] and not beyond.any()
    assert np.array_equal(codes(scene)[0], truth(surface(240, 360)))
