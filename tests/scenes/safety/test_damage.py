"""Damaged files are refused, and never lend pixels to or take pixels from another scene."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CorruptScene
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.reading import reader
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.safety import integrity
from pipeline.scenes.scene import Refusal, Scene
from tests.builders import Safe, band_folder, stored, surface, write_jp2, write_safe, write_tif, zipped
from tests.scenes.helpers import BANDS, CUTS, codes, cut, refusal, scenes, truth


@pytest.fixture
def default_threads(monkeypatch):
    """A caller who asks GDAL for all threads, or leaves it to GDAL's default."""
    monkeypatch.setenv("GDAL_NUM_THREADS", "ALL_CPUS")


@pytest.mark.parametrize("share", CUTS)
@pytest.mark.parametrize("block", [64, 1024])
def test_truncated_jp2_after_a_good_scene(tmp_path, default_threads, share, block):
    """The most important test.

    Decoders answer a truncated JP2 with zeros or with the pixels of the scene read before.
    """
    for name, seed in (("bad", 1), ("good", 2)):
        for band, value in surface(400, 520, seed).items():
            write_jp2(
                tmp_path / name / f"T32TPR_2023061{4 + (name == 'bad')}T100609_{band}_10m.jp2",
                stored(value, 0),
                block=block,
            )
    (alone,) = scenes(tmp_path / "good")
    before = codes(alone)[0]
    cut(next((tmp_path / "bad").glob("*B03*")), share)
    found = {type(entry): entry for entry in find_scenes(tmp_path)}
    assert found[Refusal].error == "CorruptScene" and "B03" in found[Refusal].reason
    assert np.array_equal(codes(found[Scene])[0], before)


@pytest.mark.parametrize("share", CUTS)
def test_second_net_one_decoding_thread(tmp_path, default_threads, monkeypatch, share):
    """Without the structure walk the decoder itself must raise, whatever threads the caller asked for."""
    good = write_safe(tmp_path / "good", Safe(), surface(400, 520))
    bad = write_safe(tmp_path / "bad", Safe(tile="32TPS"), surface(400, 520, seed=3))
    (first,), (second,) = scenes(good), scenes(bad)
    codes(first)
    cut(bad / Safe(tile="32TPS").image("B03"), share)
    monkeypatch.setattr(reader, "check_structure", lambda href: None)
    with pytest.raises(CorruptScene), SceneReader(second) as opened:
        opened.read(second.bounds, BANDS)


def test_truncated_in_a_fresh_process_with_gdals_default(tmp_path):
    """No thread setting at all, the good scene read first, in one process of its own."""
    for day, seed in ((14, 1), (15, 2)):
        for band, value in surface(400, 520, seed=seed).items():
            write_jp2(tmp_path / f"T32TPR_202306{day}T100609_{band}_10m.jp2", stored(value))
    code = (
        "import sys, hashlib\nfrom pathlib import Path\nfrom pipeline.scenes.finding.find import find_scenes\nfrom "
        "pipeline.scenes.reading.reader import SceneReader\n"
        "from pipeline.errors import CorruptScene\n"
        "found = [scene for scene in find_scenes(Path(sys.argv[1]))]\n"
        "path = Path(sys.argv[1], 'T32TPR_20230615T100609_B03_10m.jp2'); data = path.read_bytes()\n"
        "def look(scene):\n"
        "    try:\n"
        "        with SceneReader(scene) as reader:\n"
        "            return hashlib.sha256(reader.read(scene.bounds, ('B04', 'B03', 'B02'))[0].tobytes()).hexdigest()\n"
        "    except CorruptScene as error:\n"
        "        return type(error).__name__\n"
        "first = look(found[0]); path.write_bytes(data[:len(data) // 2])\n"
        "print(look(found[1]), look(found[0]) == first)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "GDAL_NUM_THREADS"} | {
        "PYTHONPATH": str(Path(__file__).parents[3])
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.split() == ["CorruptScene", "True"], done.stderr


@pytest.mark.parametrize("where", [0.2, 0.5, 0.7])
def test_zeroed_tile_headers(tmp_path, where):
    path = write_jp2(tmp_path / "B02.jp2", stored(surface(400, 520)["B02"]), block=64)
    data = bytearray(path.read_bytes())
    at = int(len(data) * where)
    data[at : at + 36_000] = bytes(36_000)
    path.write_bytes(data)
    with pytest.raises(CorruptScene):
        integrity.check_structure(str(path))


@pytest.mark.parametrize("block", [64, 128, 1024])
def test_whole_jp2_passes(tmp_path, block):
    path = write_jp2(tmp_path / "B02.jp2", stored(surface()["B02"]), block=block)
    integrity.check_structure(str(path))
    bundle = tmp_path / "x.zip"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "a/B02.jp2")
    from pipeline.scenes.safety.guard import zip_href

    integrity.check_structure(zip_href(bundle, "a/B02.jp2"))


def test_every_truncation_is_found(tmp_path):
    path = write_jp2(tmp_path / "B02.jp2", stored(surface(96, 130)["B02"]), block=64)
    data = path.read_bytes()
    for size in [*range(13, len(data), max(1, len(data) // 300)), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(CorruptScene):
            integrity.check_structure(str(path))


def test_real_jp2s_pass_the_walk(shared_data):
    paths = sorted(shared_data.rglob("*.jp2"))
    assert len(paths) >= 10
    for path in paths:
        integrity.check_structure(str(path))


@pytest.mark.parametrize("kind", ["MD5", "SHA3-256"])
@pytest.mark.parametrize("damage", ["none", "size", "bytes"])
def test_manifest(tmp_path, kind, damage):
    root = write_safe(tmp_path, Safe(manifest=kind))
    image = root / Safe().image("B03")
    data = bytearray(image.read_bytes())
    if damage == "size":
        data += b"\0"
    elif damage == "bytes":
        data[-40] ^= 0xFF  # inside a tile's data: the structure stays whole
    image.write_bytes(data)
    found = list(find_scenes(tmp_path))
    if damage == "size":
        assert found[0].error == "CorruptScene" and "manifest" in found[0].reason
        return
    if damage == "bytes":
        with pytest.raises(CorruptScene, match="manifest"):
            inspect_pixels(found[0])
        return
    assert np.array_equal(codes(found[0])[0], truth(surface()))


@pytest.mark.parametrize(
    "layout",
    [{"tiled": True}, {"tiled": False, "blockxsize": 330, "blockysize": 8}, {"tiled": True, "compress": "none"}],
)
@pytest.mark.parametrize("share", [0.98, 0.5, 0.05])
def test_truncated_tif(tmp_path, layout, share):
    for band, value in surface().items():
        write_tif(tmp_path / f"{band}.tif", stored(value), **layout)
    cut(tmp_path / "B03.tif", share)
    (found,) = find_scenes(tmp_path)
    if isinstance(found, Refusal):
        assert found.error == "CorruptScene"
        return
    with pytest.raises(CorruptScene), SceneReader(found) as opened:
        opened.read(found.bounds, BANDS)


def test_flipped_bits_in_a_tif(tmp_path):
    band_folder(tmp_path)
    path = tmp_path / "B03.tif"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(value ^ 0xFF for value in data[middle : middle + 64])
    path.write_bytes(data)
    (found,) = find_scenes(tmp_path)
    with pytest.raises(CorruptScene), SceneReader(found) as opened:
        opened.read(found.bounds, BANDS)


def test_sparse_tif_is_no_data_not_zero_reflectance(tmp_path):
    import rasterio

    from tests.builders import NORTH, WEST

    band_folder(tmp_path)
    profile = {"width": 330, "height": 200, "count": 1, "dtype": "uint16", "crs": "EPSG:32632"}
    profile |= {
        "sparse_ok": True,
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "transform": rasterio.transform.from_origin(WEST, NORTH, 10, 10),
    }
    with rasterio.open(tmp_path / "B03.tif", "w", driver="GTiff", **profile) as image:
        image.write(np.full((64, 64), 700, np.uint16), 1, window=((64, 128), (64, 128)))
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as opened:
        valid = opened.read(scene.bounds, BANDS)[1]
    assert valid[64:128, 64:128].all() and valid.sum() == 64 * 64


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "CorruptScene"),
        (bytes(5000), "CorruptScene"),
        (b"hello, this is text", "NotAScene"),
        (b"<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>", "UnsafeInput"),
        (b"\xef\xbb\xbf\n <GDAL_WMS/>", "UnsafeInput"),
        (b"II*\0" + bytes(100), "CorruptScene"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), "CorruptScene"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "NotAScene"),
    ],
)
def test_files_that_are_not_what_they_say(tmp_path, content, error):
    band_folder(tmp_path)
    (tmp_path / "B02.tif").write_bytes(content)
    found = list(find_scenes(tmp_path))
    assert error in [entry.error for entry in found] and "B02" in found[0].reason


@pytest.mark.parametrize("xml", ["MTD_MSIL2A.xml", "MTD_TL.xml", "manifest.safe"])
@pytest.mark.parametrize("damage", ["cut", "empty", "binary", "other"])
def test_broken_metadata(tmp_path, xml, damage):
    write_safe(tmp_path, Safe(manifest="MD5"))
    path = next(tmp_path.rglob(xml))
    data = path.read_bytes()
    path.write_bytes(
        {
            "cut": data[: len(data) // 2],
            "empty": b"",
            "binary": os.urandom(300),
            "other": b"<html><body>503 try later</body></html>",
        }[damage]
    )
    (found,) = find_scenes(tmp_path)
    if damage == "other" and xml != "MTD_MSIL2A.xml":
        assert isinstance(found, Scene)  # nothing in it is needed: the images place themselves
    else:
        assert found.error == "CorruptScene" and xml in found.reason


def test_broken_item(tmp_path):
    band_folder(tmp_path)
    (tmp_path / "item.json").write_text('{"type": "Feature", "stac_version": "1.0.0", ')
    found = list(find_scenes(tmp_path))
    assert {entry.error for entry in found if isinstance(entry, Refusal)} == {"CorruptScene"}


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item["assets"]["B02"].update(href=7),
        lambda item: item["assets"].update(B02="B02.tif"),
        lambda item: item["assets"]["B02"]["bands"][0].update({"raster:scale": "big"}),
        lambda item: item["assets"]["B02"]["bands"][0].update({"raster:scale": 0}),
        lambda item: item["assets"]["B02"]["bands"][0].update({"raster:scale": -1e-4}),
        lambda item: item["assets"]["B02"]["bands"][0].update({"raster:offset": float("nan")}),
        lambda item: item["assets"]["B02"]["bands"][0].update({"raster:offset": 10**400}),
        lambda item: item["assets"]["B02"]["bands"][0].update({"raster:offset": 1e6}),
        lambda item: item["assets"]["B02"]["bands"][0].update({"raster:scale": 1e-320}),
        lambda item: item.update(assets=[]),
        lambda item: item.update(properties=None),
        lambda item: item.update(id=["x"]),
    ],
)
def test_nonsense_in_an_item(tmp_path, change):
    import json

    from tests.builders import write_item

    band_folder(tmp_path)
    path = write_item(
        tmp_path / "item.json", {band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4}]) for band in BANDS}
    )
    item = json.loads(path.read_text())
    change(item)
    path.write_text(json.dumps(item))
    found = list(find_scenes(tmp_path))
    assert {entry.error for entry in found if isinstance(entry, Refusal)} <= {"CorruptScene", "IncompleteScene"}
    assert any(isinstance(entry, Refusal) for entry in found)


def test_one_bad_among_five_good(tmp_path):
    tiles = ["32TPR", "32TPS", "32TPT", "32TQR", "32TQS", "32TQT"]
    for tile in tiles:
        write_safe(tmp_path, Safe(tile=tile))
    cut(next(tmp_path.glob("*T32TPT*")) / Safe(tile="32TPT").image("B03"), 0.7)
    found = list(find_scenes(tmp_path))
    assert [isinstance(entry, Scene) for entry in found] == [True] * 5 + [False]
    assert found[-1].error == "CorruptScene" and "B03" in found[-1].reason


@pytest.mark.parametrize("damage", ["cut", "member"])
def test_damaged_zip(tmp_path, damage):
    tree = write_safe(tmp_path / "made")
    path = zipped(tree, tmp_path / "in" / "x.zip", zipfile.ZIP_STORED)
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
        assert refusal(tmp_path / "in").error == "CorruptScene"
        return
    image = (tree / Safe().image("B03")).read_bytes()
    at = data.index(image) + len(image) // 2
    path.write_bytes(data[:at] + bytes(value ^ 0xFF for value in data[at : at + 30]) + data[at + 30 :])
    (found,) = find_scenes(tmp_path / "in")
    if isinstance(found, Refusal):
        assert found.error == "CorruptScene"
        return
    with pytest.raises(CorruptScene), SceneReader(found) as opened:
        opened.read(found.bounds, BANDS)


def test_file_that_vanishes_between_finding_and_reading(tmp_path):
    band_folder(tmp_path)
    (scene,) = scenes(tmp_path)
    shutil.move(tmp_path / "B03.tif", tmp_path / "gone")
    with pytest.raises(CorruptScene, match=r"B03\.tif"), SceneReader(scene) as opened:
        opened.read(scene.bounds, BANDS)
