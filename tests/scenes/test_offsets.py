import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from pipeline.errors import AmbiguousRadiometry
from pipeline.scenes.finding.assets import bands_of_asset
from pipeline.scenes.offsets import Darkness, decide, judge
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.scene import Level, OffsetEvidence, ReadOptions
from tests.builders import RGB, band_folder, stored, surface, write_item, write_tif
from tests.scenes.helpers import BANDS, codes, refusal, scenes, truth

SHIFTED = OffsetEvidence(where="scene", source="item.json", stated=dict.fromkeys(BANDS, -1000.0), baseline="05.09")
LAND = Darkness({"B02": 0.012, "B03": 0.028, "B04": 0.014}, Level.L2A)
LEFT_IN = Darkness({"B02": 0.112, "B03": 0.128, "B04": 0.114}, Level.L2A)
BRIGHT = Darkness({"B02": 0.3, "B03": 0.3, "B04": 0.3}, Level.L2A)


def item(folder, offset=None, scale=1e-4, names=None, **properties):
    """An Item beside B02.tif, B03.tif and B04.tif."""
    fields = {"raster:scale": scale, "raster:offset": offset}
    told = {name: value for name, value in fields.items() if value is not None}
    write_item(folder / "item.json", {b: (f"{b}.tif", [{"name": b, **told}]) for b in RGB}, **properties)


@pytest.mark.parametrize(
    ("evidence", "value", "origin"),
    [
        (SHIFTED, -1000, "item.json"),
        (replace(SHIFTED, applied=True), 0, "item.json: the maker applied it already"),
        (replace(SHIFTED, applied=False), -1000, "item.json"),
        (replace(SHIFTED, asked=0.0), 0, "--offset"),
        (replace(SHIFTED, stated=None), -1000, "baseline 05.09 has it"),
        (replace(SHIFTED, stated=None, applied=True), 0, "item.json: the maker applied it already"),
        (replace(SHIFTED, stated=None, baseline="03.01"), 0, "baseline 03.01 has none"),
        (OffsetEvidence(baseline=None), 0, "assumed none (the pixels must agree)"),
        (OffsetEvidence(product=True, source="MTD.xml", baseline="03.01", asked=-1000.0), -1000, "--offset"),
    ],
)
def test_what_decides_an_offset(evidence, value, origin):
    found = decide(evidence, BANDS)
    assert dict(found.values) == dict.fromkeys(BANDS, value) and found.origin == origin and not found.certain


def test_the_products_own_list_is_certain_whatever_the_user_says():
    listed = {f"B{number:02}": -1000.0 for number in range(1, 13)} | {"B8A": -500.0}
    evidence = OffsetEvidence(product=True, source="MTD.xml", listed=listed, asked=0.0)
    found = decide(evidence, BANDS)
    assert found.certain and found.origin == "MTD.xml" and found.values["B8A"] == -500
    assert judge(evidence, BANDS, LAND).offsets == found


@pytest.mark.parametrize(
    ("evidence", "pixels", "value", "verdict"),
    [
        (SHIFTED, LAND, 0, "already shifted"),
        (SHIFTED, LEFT_IN, -1000, "agree with the offset"),
        (SHIFTED, BRIGHT, -1000, "undecided"),
        (replace(SHIFTED, applied=True), LAND, 0, "no offset is left in"),
        (replace(SHIFTED, applied=True), BRIGHT, 0, "undecided"),
        (replace(SHIFTED, asked=-1000.0), LAND, 0, "already shifted"),
        (replace(SHIFTED, asked=0.0), LAND, 0, "no offset is left in"),
    ],
)
def test_metadata_and_pixels_together(evidence, pixels, value, verdict):
    found = judge(evidence, BANDS, pixels)
    assert set(found.offsets.values.values()) == {value} and verdict in found.verdict


@pytest.mark.parametrize(
    "evidence",
    [OffsetEvidence(where="scene"), replace(SHIFTED, stated=dict.fromkeys(BANDS, 0.0))],
)
def test_bright_pixels_do_not_settle_what_metadata_leave_open(evidence):
    with pytest.raises(AmbiguousRadiometry, match="scene: nothing tells"):
        judge(evidence, BANDS, BRIGHT)


def test_one_dark_band_decides_nothing():
    one = Darkness({**LEFT_IN.bands, "B04": 0.05}, Level.L2A)
    assert one.against(dict.fromkeys(BANDS, -1000.0)) == ["B04"]
    found = judge(SHIFTED, BANDS, one)
    assert found.offsets.values["B04"] == -1000 and "B04 alone" in found.verdict and "--offset 0" in found.warning


def test_the_air_above_a_desert_tells_that_nothing_is_left_in():
    """Pixels of Las Vegas: not dark, but air is never as dark as they would be."""
    desert = {"B02": 0.137, "B03": 0.125, "B04": 0.120}
    told = dict.fromkeys(BANDS, -1000.0)
    assert Darkness(desert, Level.L1C).refutes(told) and not Darkness(desert, Level.L2A).refutes(told)
    assert not Darkness(desert, None).refutes(told)


def test_an_item_whose_maker_shifted_the_pixels_is_not_corrected_twice(tmp_path):
    hazy = {band: value + 0.07 for band, value in surface().items()}  # nothing is so dark that pixels refute -0.1
    band_folder(tmp_path, hazy)
    item(tmp_path, -0.1, **{"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True})
    (scene,) = scenes(tmp_path)
    assert set(inspect_pixels(scene).radiometry.offsets.values()) == {0.0}
    assert np.array_equal(codes(scene)[0], truth(hazy))


def test_option_is_applied_where_it_is_reported(tmp_path):
    for band, value in surface().items():
        path = write_tif(tmp_path / f"{band}.tif", stored(value, -1000))
        with rasterio.open(path, "r+") as image:
            image.scales = (1e-4,)
    (scene,) = scenes(tmp_path, ReadOptions(offset=-1000))
    assert scene.radiometry.sources["offset"] == "--offset" and scene.assets["B04"].offset == pytest.approx(-0.1)
    assert np.array_equal(codes(scene)[0], truth(surface()))


def test_option_is_stronger_than_an_item(tmp_path):
    band_folder(tmp_path)
    item(tmp_path, -0.1)
    (scene,) = scenes(tmp_path, ReadOptions(offset=0))
    looked = inspect_pixels(scene)
    assert looked.assets["B04"].offset == 0 and looked.radiometry.sources["offset"] == "--offset"
    assert any("--offset is applied instead of what item.json states" in text for text in looked.warnings)


def test_option_that_pixels_refute_is_not_applied(tmp_path):
    band_folder(tmp_path)
    (scene,) = scenes(tmp_path, ReadOptions(offset=-1000))
    looked = inspect_pixels(scene)
    assert looked.assets["B04"].offset == 0 and looked.radiometry.sources["offset"] == "pixels"
    assert any("-1000 of --offset" in text for text in looked.warnings)


def test_a_dark_band_of_a_new_baseline_without_an_offset(tmp_path):
    numbers = {band: stored(value, -1000) for band, value in surface().items()}
    numbers["B04"].ravel()[::66] = 940
    for band, pixels in numbers.items():
        write_tif(tmp_path / f"{band}.tif", pixels)
    item(tmp_path, **{"s2:processing_baseline": "05.09"})
    (scene,) = scenes(tmp_path)
    assert set(inspect_pixels(scene).radiometry.offsets.values()) == {-1000.0}


def test_reflectance_in_floats_without_a_scale(tmp_path):
    for band, value in surface().items():
        write_tif(tmp_path / f"{band}.tif", value.astype(np.float32))
    item(tmp_path, scale=None)
    (scene,) = scenes(tmp_path)
    assert scene.assets["B04"].scale == 1.0
    assert np.abs(codes(scene)[0].astype(int) - truth(surface())).max() <= 1


def test_the_finest_copy_of_a_band_is_read(tmp_path):
    reflectance = surface(240, 330)
    assets = {}
    for gsd in (10, 20, 60):
        for band, value in reflectance.items():
            name = f"{band}_{gsd}m.tif"
            write_tif(tmp_path / name, stored(value[:: gsd // 10, :: gsd // 10]), gsd=float(gsd))
            assets[f"{band}_{gsd}m"] = {"href": name}
    write_item(tmp_path / "item.json", assets)
    (scene,) = scenes(tmp_path)
    assert {asset.gsd for asset in scene.assets.values()} == {10.0}
    assert np.array_equal(codes(scene)[0], truth(reflectance))


@pytest.mark.parametrize(
    ("key", "band"),
    [
        ("red", "B04"),
        ("red_edge_1", "B05"),
        ("rededge3", "B07"),
        ("B8A_20m", "B8A"),
        ("blue-jp2", "B02"),
        ("nir08", "B8A"),
        ("swir_16", "B11"),
        ("scl-jp2", "SCL"),
        ("red_list", None),
        ("aot", None),
    ],
)
def test_the_band_that_an_assets_key_names(key, band):
    assert list(bands_of_asset(key, {"href": "x.tif"})) == ([band] if band else [])


def test_an_item_of_another_satellite(tmp_path):
    band_folder(tmp_path)
    item(tmp_path, platform="landsat-8", constellation="landsat")
    assert "landsat" in refusal(tmp_path).reason


@pytest.mark.parametrize("roles", [[{"a": 1}], [["data"]], "data", 7, None])
def test_odd_roles_are_no_roles(tmp_path, roles):
    band_folder(tmp_path)
    item(tmp_path, 0)
    told = json.loads((tmp_path / "item.json").read_text())
    for asset in told["assets"].values():
        asset["roles"] = roles
    (tmp_path / "item.json").write_text(json.dumps(told))
    assert len(scenes(tmp_path)) == 1
