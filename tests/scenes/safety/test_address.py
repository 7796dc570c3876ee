"""Files read at their address.

Only what is needed, never a part for the whole, never a signature in what is written.
"""

import json
import logging
import shutil
from dataclasses import replace
from http.client import InvalidURL

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from pipeline.batch.main_job import run
from pipeline.catalogue import Wish, by_range, download_item, reach_address, reach_missing
from pipeline.cli.run import _within
from pipeline.errors import CorruptScene, NotAScene
from pipeline.outlines import Outline
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.reading import ranged
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.safety import address
from pipeline.scenes.safety.address import RemoteError, ask, base_name, is_remote, redacted
from pipeline.scenes.safety.guard import environment
from pipeline.scenes.scene import ReadOptions, Refusal, Scene
from tests.fakes import CARD
from tests.runs import folder_bytes
from tests.scenes.helpers import BANDS

SIGNED = "?se=2024-06-01T10%3A00%3A00Z&sp=r&sig=verysecret%3D"
SIDE = 1900


def tiled(path, seed, size=(SIDE, SIDE + 60), **profile):
    """A cloud-optimised GeoTIFF of noise, so that it does not shrink."""
    pixels = np.random.default_rng(seed).integers(300, 2500, (1, *size), dtype=np.uint16)
    place = {
        "crs": "EPSG:32632",
        "transform": from_origin(640_000, 5_120_000, 10, 10),
        "dtype": "uint16",
        "count": 1,
        "height": size[0],
        "width": size[1],
    }
    with rasterio.open(
        path,
        "w",
        **({"driver": "COG", "compress": "deflate", "overviews": "none", "blocksize": 256} | profile),
        **place,
    ) as target:
        target.write(pixels)
    return path


@pytest.fixture(scope="module")
def granule(tmp_path_factory):
    """Band files of one scene."""
    folder = tmp_path_factory.mktemp("granule")
    return {band: tiled(folder / f"{band}.tif", seed) for seed, band in enumerate(BANDS)}


@pytest.fixture
def stocked(catalogue, granule):
    """One Item whose signed files can be read by parts."""
    catalogue.mark = '"first"'
    assets = {}
    for band, path in granule.items():
        catalogue.files[f"/{band}.tif{SIGNED}"] = path.read_bytes()
        entry = {"name": band, "raster:scale": 1e-4, "raster:offset": 0, "nodata": 0}
        assets[band] = {"href": f"{catalogue.url}/{band}.tif{SIGNED}", "roles": ["data"], "bands": [entry]}
    properties = {"datetime": "2024-06-01T10:00:00Z", "processing:level": "L1"}
    item = {"type": "Feature", "stac_version": "1.1.0", "id": "S2A_32TPS_20240601_0_L1C", "geometry": None}
    item |= {"properties": properties, "links": [], "assets": assets}
    catalogue.items.append(item)
    catalogue.files["/item"] = json.dumps(item).encode()
    return catalogue


def reached(stocked, folder):
    place, far = reach_address(f"{stocked.url}/item", folder, BANDS)
    assert [path.name for path in far] == [f"{band}.tif" for band in BANDS]
    return place, ReadOptions(remote=far)


def test_a_scene_read_at_its_address_is_the_one_on_the_disk(stocked, granule, tmp_path):
    place, far = reached(stocked, tmp_path)
    assert [path.name for path in place.iterdir()] == ["item.json"]
    (scene,) = find_scenes(place, far)
    here = download_item(stocked.items[0], tmp_path / "down", Wish(BANDS))
    (local,) = find_scenes(here)
    assert (scene.bounds, scene.level, scene.id) == (local.bounds, local.level, local.id)
    window = (645_000, 5_105_000, 650_000, 5_115_000)
    with SceneReader(scene) as one, SceneReader(local) as two:
        assert all(np.array_equal(a, b) for a, b in zip(one.read(window, BANDS), two.read(window, BANDS), strict=True))


def test_a_crop_fetches_a_part_of_the_file(stocked, tmp_path):
    place, far = reached(stocked, tmp_path)
    (scene,) = find_scenes(place, far)
    before = stocked.given
    with SceneReader(scene) as reader:
        reader.read((641_000, 5_118_000, 643_000, 5_119_000), ("B04",))
    assert 0 < stocked.given - before < len(stocked.files[f"/B04.tif{SIGNED}"]) / 4


def test_a_scene_smaller_than_its_files_fetches_the_overlap_only(stocked, tmp_path, options):
    """The bands share only a strip of the ground.

    A whole run of it leaves the rest of the other files on the server.
    """
    tiled(tmp_path / "small.tif", 5, size=(200, 300))
    stocked.files[f"/B02.tif{SIGNED}"] = (tmp_path / "small.tif").read_bytes()
    place, far = reached(stocked, tmp_path)
    (scene,) = find_scenes(place, far)
    whole = sum(len(stocked.files[f"/{band}.tif{SIGNED}"]) for band in BANDS)
    stocked.given = 0
    assert run([scene], options).exit_code == 0
    assert stocked.given < whole


def test_a_run_at_an_address_gives_the_map_of_a_run_on_the_disk(stocked, tmp_path, options, caplog):
    caplog.set_level(logging.DEBUG)
    place, far = reached(stocked, tmp_path)
    here, there = (
        replace(options, tiles=tmp_path / name / "tiles", maps=tmp_path / name / "maps") for name in ("here", "there")
    )
    assert run(find_scenes(place, far), there).exit_code == 0
    assert [record.status for record in run(find_scenes(place, far), there).records] == ["cached"]
    assert run(find_scenes(download_item(stocked.items[0], tmp_path / "down", Wish(BANDS))), here).exit_code == 0
    one, two = folder_bytes(there.tiles), folder_bytes(here.tiles)
    item = next(name for name in one if name.endswith("scene.json"))
    assert {name: data for name, data in one.items() if name != item} == {
        name: data for name, data in two.items() if name != item
    }
    assert json.loads(one[item])["properties"]["atlas:sources"] == ["B02.tif", "B03.tif", "B04.tif", "item.json"]
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"verysecret" not in written and "verysecret" not in caplog.text
    stocked.mark = '"second"'
    assert [record.status for record in run(find_scenes(place, far), there).records] == ["done"]


@pytest.mark.parametrize("fault", ["cut", "changed", "gone", "whole"])
def test_a_server_that_fails_midway_costs_the_scene_and_leaves_no_map(stocked, tmp_path, options, fault, monkeypatch):
    place, far = reached(stocked, tmp_path)
    (scene,) = find_scenes(place, far)
    begun = ranged.begin

    def opened(href):
        found = begun(href)
        if fault == "cut":
            stocked.cut = 5_000
        elif fault == "changed":
            stocked.mark = '"other"'
        elif fault == "gone":
            stocked.files.pop(f"/{base_name(href)}{SIGNED}", None)
        return found

    if fault == "whole":  # the server begins to answer with whole files
        fetched = address._total
        monkeypatch.setattr(address, "_total", lambda answer, start: fetched(answer, start) if start == 0 else None)
    else:
        monkeypatch.setattr(ranged, "begin", opened)
    report = run([scene], options)
    (record,) = report.records
    assert (record.status, record.error, report.exit_code) == ("refused", "CorruptScene", 1)
    assert {"cut": "5000 of", "changed": "changed on the server", "gone": "403", "whole": "stopped serving parts"}[
        fault
    ] in record.reason
    assert "verysecret" not in record.reason and "run again" in record.reason
    assert not list(options.tiles.rglob("tiles.parquet"))


def test_a_truncated_file_on_the_server_is_refused(stocked, tmp_path):
    name = f"/B03.tif{SIGNED}"
    stocked.files[name] = stocked.files[name][: len(stocked.files[name]) // 2]
    place, far = reached(stocked, tmp_path)
    (scene,) = find_scenes(place, far)
    with (
        SceneReader(scene) as reader,
        pytest.raises(CorruptScene, match=r"B03[.]tif: does not decode .the file ends .* bytes before its last block"),
    ):
        reader.read(scene.bounds, ("B03",))


def test_what_cannot_be_read_by_parts_is_downloaded(stocked, tmp_path):
    tiled(tmp_path / "strips.tif", 9, driver="GTiff", compress="deflate", overviews=None, blocksize=None)
    stocked.files[f"/B03.tif{SIGNED}"] = (tmp_path / "strips.tif").read_bytes()
    stocked.items[0]["id"] = "folder"
    place = tmp_path / "scenes"
    place.mkdir()
    (place / "item.json").write_text(json.dumps(stocked.items[0]))
    far = reach_missing(place, BANDS)
    assert sorted(path.name for path in far) == ["B02.tif", "B04.tif"] and (place / "B03.tif").is_file()
    (scene,) = find_scenes(place, ReadOptions(remote=far))
    assert isinstance(scene, Scene) and not is_remote(scene.assets["B03"].href)
    stocked.mark = None  # nothing would tell a changed file
    assert by_range(f"{stocked.url}/B02.tif{SIGNED}") is None


def test_nothing_is_read_at_an_address_that_was_not_allowed(stocked, tmp_path):
    (tmp_path / "item.json").write_text(json.dumps(stocked.items[0]))
    (found,) = find_scenes(tmp_path)
    assert isinstance(found, Refusal) and stocked.asked == []
    assert "verysecret" not in found.reason


def test_a_raster_by_its_address(stocked, granule, tmp_path):
    with rasterio.open(granule["B04"]) as source:
        stack = np.concatenate([source.read()] * 3)
        with rasterio.open(
            tmp_path / "rgb.tif", "w", **source.profile | {"driver": "COG", "count": 3, "nodata": 0}
        ) as target:
            target.write(stack)
            target.descriptions = BANDS
    stocked.files[f"/S2A_MSIL1C_20240601.tif{SIGNED}"] = (tmp_path / "rgb.tif").read_bytes()
    place, far = reach_address(f"{stocked.url}/S2A_MSIL1C_20240601.tif{SIGNED}", tmp_path / "far", BANDS)
    (scene,) = find_scenes(place, ReadOptions(remote=far))
    assert isinstance(scene, Scene) and list(place.iterdir()) == []
    with SceneReader(scene) as reader:
        pixels, valid = reader.read((641_000, 5_118_000, 643_000, 5_119_000), BANDS)
    assert valid.all() and np.array_equal(pixels, stack[:, 100:200, 100:300])


def test_other_formats_at_an_address_are_not_opened(stocked, tmp_path):
    for name, data in {"vrt": b"<VRTDataset/>" + b" " * 200, "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 200}.items():
        stocked.files[f"/{name}.tif"] = data
        with environment(), pytest.raises(NotAScene), ranged.open_header(f"{stocked.url}/{name}.tif"):
            pass
        assert by_range(f"{stocked.url}/{name}.tif") is None


def test_redirects_into_private_networks_are_not_followed(stocked, monkeypatch):
    port = stocked.server_port
    real = address._addresses
    monkeypatch.setattr(
        address, "_private", lambda host: host != "localhost" and any(not found.is_global for found in real(host))
    )
    stocked.files["/x.tif"] = b"II*\0"
    with ask(f"{stocked.url}/inside", {}) as answer:
        assert answer.read() == b"II*\0"
    with pytest.raises(RemoteError, match="private network"):
        ask(f"http://localhost:{port}/inside", {})
    with pytest.raises(RemoteError, match="link-local"):
        ask("http://169.254.169.254/latest/meta-data", {})


@pytest.mark.parametrize(
    ("href", "shown", "name"),
    [
        ("https://me:pw@host/a/b.tif?sig=1&x=/y", "https://host/a/b.tif?...", "b.tif"),
        ("s3://bucket/a%20b.tif", "s3://bucket/a%20b.tif", "a b.tif"),
        ("https://host/b.tif#sig", "https://host/b.tif", "b.tif"),
        ("/disk/what?.tif", "/disk/what?.tif", "what?.tif"),
        ("https://host?sig=1", "https://host?...", ""),
    ],
)
def test_addresses_are_shown_without_secrets(href, shown, name):
    assert (redacted(href), base_name(href)) == (shown, name)


def test_search_downloads_signed_files_and_forgets_the_signature(stocked, tmp_path):
    here = download_item(
        {**stocked.items[0], "links": [{"rel": "self", "href": f"{stocked.url}/item{SIGNED}"}]}, tmp_path, Wish(BANDS)
    )
    assert (here / "B04.tif").read_bytes() == stocked.files[f"/B04.tif{SIGNED}"]
    assert "verysecret" not in (here / "item.json").read_text()
    shutil.rmtree(here)
    stocked.files.clear()
    with pytest.raises(NotAScene, match="403") as told:
        download_item(stocked.items[0], tmp_path, Wish(BANDS))
    assert "verysecret" not in str(told.value)


@pytest.mark.parametrize(
    "host",
    ["[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]", "100.100.100.200"],
)
def test_a_clouds_own_passwords_are_asked_for_in_no_spelling(host):
    with pytest.raises(RemoteError, match="not fetched"):
        ask(f"http://{host}/latest/meta-data", {})


def test_buckets_of_another_cloud_are_not_asked_for_at_amazon(monkeypatch):
    monkeypatch.setattr(address.OpenerDirector, "open", lambda *_, **__: pytest.fail("a request was made"))
    with pytest.raises(RemoteError, match=r"dataspace\.copernicus\.eu"):
        ask("s3://eodata/Sentinel-2/MSI/x.jp2", {})


def test_a_space_in_a_signed_address_shows_no_signature(stocked):
    stocked.files["/a%20b.tif?sig=very%20secret"] = b"II*\0"
    with ask(f"{stocked.url}/a b.tif?sig=very secret", {}) as answer:
        assert answer.read() == b"II*\0"
    with pytest.raises(RemoteError) as caught:
        address.begin(f"{stocked.url}/x\ny.tif?sig=very\nsecret")
    assert "secret" not in str(caught.value)
    assert "secret" not in address.explained(InvalidURL("URL can't contain '/x?sig=secret'"))


def test_an_area_fetches_its_blocks_only(stocked, tmp_path):
    """Of a file of 8 x 8 blocks of 2,560 m those that the tiles of the outline touch."""
    place, far = reached(stocked, tmp_path)
    shape = gpd.GeoSeries([shapely.box(643_000, 5_115_000, 644_500, 5_117_000)], crs=32632).to_crs(4326).iloc[0]
    (scene,) = _within(find_scenes(place, far), Outline("district", shape), CARD)
    (local,) = find_scenes(download_item(stocked.items[0], tmp_path / "down", Wish(BANDS)))
    stocked.given = 0
    with SceneReader(scene) as one:
        found = one.read(scene.bounds, BANDS)
    west, south, east, north = scene.bounds
    columns = int((east - 640_001) // 2560 - (west - 640_000) // 2560) + 1
    rows = int((5_120_000 - south - 1) // 2560 - (5_120_000 - north) // 2560) + 1
    whole = sum(len(stocked.files[f"/{band}.tif{SIGNED}"]) for band in BANDS)
    assert columns * rows <= 9
    assert (
        0 < stocked.given < 1.3 * whole * columns * rows / 64 + 3 * (128 << 10)
    )  # blocks, small gaps between them, and heads
    with SceneReader(local) as two:
        assert all(np.array_equal(a, b) for a, b in zip(found, two.read(scene.bounds, BANDS), strict=True))
