import json

import numpy as np
import pytest

from pipeline.scenes.finding import listing
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.scene import Refusal, Scene
from tests.builders import RGB, Safe, band_folder, stored, surface, write_item, write_safe, write_tif
from tests.scenes.helpers import BANDS, codes, refusal, scenes, truth


def stack(path, **profile):
    return write_tif(path, np.stack([stored(surface()[band]) for band in RGB]), names=RGB, **profile)


def ids(folder):
    return sorted(entry.id for entry in find_scenes(folder))


def item(folder, **properties):
    assets = {band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4, "raster:offset": 0}]) for band in RGB}
    write_item(folder / "item.json", assets, **properties)


def edited(path, change):
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def test_no_two_scenes_share_an_id(tmp_path):
    for name in ("a/scene.tif", "b/scene.tif", "c/scene (2).tif", "d/Scene.tif", "e/scene--2.tif"):
        stack(tmp_path / name)
    found = ids(tmp_path)
    assert len({name.lower() for name in found}) == 5 and "scene-2" in found
    assert not any("--" in name for name in found)  # two ids of a pair are joined by two hyphens


def test_long_names_keep_the_end_that_tells_them_apart(tmp_path):
    for tile in ("33TWL", "33TWM"):
        home = tmp_path / "Global-Mosaics_Sentinel-2_S2MSI_L3__MCQ" / f"Sentinel-2_mosaic_2023_Q3_{tile}_0_0"
        band_folder(home)
    first, second = scenes(tmp_path)
    assert first.id == "Sentinel-2_mosaic_2023_Q3_33TWL_0_0" and second.id.endswith("33TWM_0_0")
    assert f"{first.acquired:%Y-%m-%d}" == "2023-07-01" and first.dated
    assert any("quarter 2023 Q3" in text for text in first.warnings)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["assets"]["B02"].update(roles=[{"a": 1}]),
        lambda told: told["properties"].update(datetime="0001-01-01T00:00:00+14:00"),
        lambda told: told["properties"].update(datetime="2023-02-30T00:00:00Z"),
        lambda told: told["properties"].update(datetime=[1], start_datetime={"a": 1}),
        lambda told: told.update(id="s\ud800cene"),
        lambda told: told["properties"].update({"s2:processing_baseline": "\udfff05.09"}),
        lambda told: told["assets"].update({"x\ud800": {"href": "\ud800.tif"}}),
        lambda told: told["assets"]["B02"].update(bands=[{"name": {"a": 1}}]),
    ],
)
def test_an_odd_item_costs_no_other_scene(tmp_path, change):
    band_folder(tmp_path / "odd")
    item(tmp_path / "odd")
    edited(tmp_path / "odd" / "item.json", change)
    stack(tmp_path / "good.tif")
    found = {entry.id: entry for entry in find_scenes(tmp_path)}
    assert isinstance(found["good"], Scene)
    for entry in found.values():
        told = (
            entry.reason if isinstance(entry, Refusal) else [entry.id, *entry.warnings, dict(entry.radiometry.sources)]
        )
        json.dumps(told, ensure_ascii=False).encode()  # what no file could hold would be found out here


def test_what_no_one_thought_of_is_that_scenes_refusal(tmp_path, monkeypatch):
    def surprise(*_):
        raise ZeroDivisionError("what")

    band_folder(tmp_path / "odd")
    item(tmp_path / "odd")
    stack(tmp_path / "good.tif")
    monkeypatch.setattr("pipeline.scenes.finding.stac.item_scene", surprise)
    scene, refused = find_scenes(tmp_path)
    assert scene.id == "good" and refused.error == "CorruptScene" and "ZeroDivisionError: what" in refused.reason


def test_a_catalogues_item_beside_its_product_is_no_second_scene(tmp_path):
    product = Safe()
    write_safe(tmp_path, product)
    asset = {"href": "s3://eodata/somewhere/B02_10m.jp2", "bands": [{"name": "B02"}]}
    write_item(tmp_path / "item.json", {"B02_10m": asset}, id=product.name.removesuffix(".SAFE"))
    write_item(
        tmp_path / "other.json", {"B02": asset}, id="S2B_32TPR_20230614_0_L2A", **{"s2:product_uri": product.name}
    )
    assert len(scenes(tmp_path)) == 1


def test_looking_into_folders_asks_for_their_own_names_only():
    names = [f"p{number}.SAFE/GRANULE/g/B02.jp2" for number in range(50)] + ["p1.SAFE-notes.txt", "p1.SAFE"]
    files = listing.Files(root=None, sizes=dict.fromkeys(names, 1))
    assert files.names_below("p1.SAFE") == ("p1.SAFE/GRANULE/g/B02.jp2",)
    assert files.names_below("p1.SAFE/GRANULE/") == ("p1.SAFE/GRANULE/g/B02.jp2",)
    assert len(files.names_below("")) == 52 and files.names_below("nowhere") == ()


def test_the_names_looked_at_grow_with_the_products(tmp_path, monkeypatch):
    """Twice the products, twice the names: each product's are found without a look at the others'."""
    looked = []
    plain = listing.Files.names_below
    monkeypatch.setattr(
        listing.Files, "names_below", lambda self, folder: looked.append(plain(self, folder)) or looked[-1]
    )
    for number in range(4):
        write_safe(tmp_path, Safe(tile=f"32T{'PQRS'[number]}R"), surface(20, 30))
        if number in (1, 3):
            looked.clear()
            scenes(tmp_path)
            if number == 1:
                two = sum(map(len, looked))
    assert sum(map(len, looked)) == 2 * two


@pytest.mark.parametrize("names", [("B1", "B2", "B3", "B4"), ("B1", "B2", "B3", "B4", "B5", "B7")])
def test_bands_that_may_be_landsats_are_not_guessed(tmp_path, names):
    numbers = np.full((len(names), 200, 330), 900, np.uint16)
    write_tif(tmp_path / "a" / "export.tif", numbers, names=names)
    for name, pixels in zip(names, numbers, strict=True):
        write_tif(tmp_path / "b" / f"{name}.tif", pixels)
    for folder in ("a", "b"):
        assert "Landsat" in refusal(tmp_path / folder).reason


def test_a_landsat_name_is_no_sentinel_scene(tmp_path):
    for band in RGB:
        write_tif(tmp_path / f"LT05_L1TP_193027_20100812_20161014_01_T1_{band}.tif", stored(surface()[band]))
    assert "Landsat" in refusal(tmp_path).reason


def test_exports_with_short_names_are_still_read(tmp_path):
    names = ("B2", "B3", "B4", "B8")
    write_tif(tmp_path / "gee.tif", np.stack([stored(surface()[b]) for b in ("B02", "B03", "B04", "B04")]), names=names)
    (scene,) = scenes(tmp_path)
    assert np.array_equal(codes(scene)[0], truth(surface()))


def test_pixels_outside_an_area_of_interest_stay_masked_under_snow_and_cloud(tmp_path):
    inside = np.arange(330) < 200
    numbers = {band: np.where(inside, stored(value), 0).astype(np.uint16) for band, value in surface().items()}
    numbers["B02"][10, 10] = 0  # a bright target of which the defect took one band
    for band, pixels in numbers.items():
        write_tif(tmp_path / f"{band}.tif", pixels)
    write_tif(tmp_path / "SCL.tif", np.full((200, 330), 11, np.uint8))
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as reader:
        pixels, valid = reader.read(scene.bounds, BANDS)
    assert np.array_equal(valid, np.broadcast_to(inside, valid.shape))
    assert pixels[2, 10, 10] == 32_767 and not pixels[:, :, 200:].any()
