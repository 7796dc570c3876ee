"""Hostile folders: nothing is fetched, nothing outside the folder is read, nothing unpacks to fill the machine."""

import json
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.scenes.finding import listing
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import Refusal, Scene
from tests.builders import Safe, band_folder, stored, surface, write_item, write_jp2, write_safe, write_tif, zipped
from tests.scenes.helpers import BANDS, SECRET, codes, refusal, scenes, truth, vrt


def everything(folder):
    """All that a run would read of a folder: refusals, and the pixels of scenes."""
    pixels, refused = [], []
    for entry in find_scenes(folder):
        if isinstance(entry, Refusal):
            refused.append(entry)
            continue
        try:
            scene = inspect_pixels(entry)
            with SceneReader(scene) as reader:
                pixels.append(reader.read(scene.bounds, BANDS)[0])
                reader.read_quality(scene.bounds)
        except PipelineError as error:
            refused.append(Refusal(entry.id, type(error).__name__, str(error)))
    return pixels, refused


def raw_vrt(source):
    return (
        '<VRTDataset rasterXSize="10" '
        'rasterYSize="2"><SRS>EPSG:32632</SRS><GeoTransform>600000,10,0,5100000,0,-10</GeoTransform>'
        '<VRTRasterBand dataType="UInt16" band="1" subClass="VRTRawRasterBand">'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename>'
        "<ImageOffset>0</ImageOffset></VRTRasterBand></VRTDataset>"
    )


def wms(url):
    return (
        f"<GDAL_WMS><Service "
        f'name="WMS"><ServerUrl>{url}/wms?</ServerUrl><Layers>a</Layers></Service><DataWindow><SizeX>330</SizeX></DataWindow></GDAL_WMS>'
    )


def wcs(url):
    return f"<WCS_GDAL><ServiceURL>{url}/wcs?</ServiceURL><CoverageName>a</CoverageName></WCS_GDAL>"


@pytest.mark.parametrize("suffix", ["tif", "jp2", "TIF", "tiff"])
@pytest.mark.parametrize("kind", ["local", "raw", "wms", "wcs", "curl"])
def test_disguised_descriptions_are_not_opened(tmp_path, server, kind, suffix):
    secret = write_tif(tmp_path / "outside" / "secret.tif", np.full((200, 330), SECRET, np.uint16))
    text = {
        "local": vrt(secret),
        "raw": raw_vrt(secret),
        "wms": wms(server.url),
        "wcs": wcs(server.url),
        "curl": vrt(f"/vsicurl/{server.url}/x.tif"),
    }[kind]
    home = tmp_path / "in"
    band_folder(home)
    (home / "B03.tif").unlink()
    (home / f"B03.{suffix}").write_text(text)
    pixels, refused = everything(home)
    assert not pixels and "UnsafeInput" in {entry.error for entry in refused}
    assert server.asked == []


@pytest.mark.parametrize("side", ["ovr", "overview file", "msk"])
@pytest.mark.parametrize("suffix", ["tif", "jp2"])
def test_side_files_redirect_nothing(tmp_path, server, side, suffix):
    band_folder(tmp_path, suffix=suffix)
    target = f"/vsicurl/{server.url}/x.tif"
    image = tmp_path / f"B03.{suffix}"
    if side == "ovr":
        image.with_name(f"{image.name}.ovr").write_text(vrt(target))
    elif side == "msk":
        image.with_name(f"{image.name}.msk").write_text(vrt(target))
    else:
        xml = (
            f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{target}</MDI></Metadata></PAMDataset>'
        )
        image.with_name(f"{image.name}.aux.xml").write_text(xml)
    (scene,) = scenes(tmp_path)
    assert any("side files" in text for text in scene.warnings)
    assert np.array_equal(codes(scene)[0], truth(surface()))
    assert server.asked == []


def test_side_files_move_nothing(tmp_path):
    band_folder(tmp_path)
    for band in BANDS:
        (tmp_path / f"{band}.tif.aux.xml").write_text(
            "<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>7,1,0,50,0,-1</GeoTransform><PAMRasterBand "
            'band="1"><NoDataValue>700</NoDataValue>'
            "<Offset>-0.3</Offset><Scale>0.5</Scale></PAMRasterBand></PAMDataset>"
        )
        (tmp_path / f"{band}.tfw").write_text("1\n0\n0\n-1\n7\n50\n")
    (scene,) = scenes(tmp_path)
    assert scene.epsg == 32632 and scene.bounds[0] == 600_000
    assert np.array_equal(codes(scene)[0], truth(surface()))


REMOTE = [
    "{url}/B03.tif",
    "/vsicurl/{url}/B03.tif",
    "s3://bucket/B03.tif",
    "/vsizip//vsicurl/{url}/a.zip/B03.tif",
    "HTTP://127.0.0.1/B03.tif",
]
OUTSIDE = [
    "../outside/B03.tif",
    "a/../../outside/B03.tif",
    "{root}/outside/B03.tif",
    "..\\..\\B03.tif",
    "file://{root}/outside/B03.tif",
]


@pytest.mark.parametrize("href", REMOTE)
def test_item_addresses_are_never_fetched(tmp_path, server, href):
    band_folder(tmp_path)
    (tmp_path / "B03.tif").unlink()
    assets = {band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4}]) for band in BANDS}
    assets["B03"] = (href.format(url=server.url), [{"name": "B03", "raster:scale": 1e-4}])
    write_item(tmp_path / "item.json", assets)
    pixels, refused = everything(tmp_path)
    assert not pixels and {entry.error for entry in refused} == {"IncompleteScene"}
    assert server.asked == []


@pytest.mark.parametrize("href", OUTSIDE)
def test_item_addresses_do_not_leave_the_folder(tmp_path, href):
    write_tif(tmp_path / "outside" / "B03.tif", np.full((200, 330), SECRET, np.uint16))
    home = tmp_path / "in"
    band_folder(home)
    (home / "B03.tif").unlink()
    assets = {band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4}]) for band in BANDS}
    assets["B03"] = (href.format(root=tmp_path), [{"name": "B03", "raster:scale": 1e-4}])
    write_item(home / "item.json", assets)
    pixels, refused = everything(home)
    assert not pixels and {entry.error for entry in refused} <= {"UnsafeInput", "IncompleteScene"}


@pytest.mark.parametrize("path", ["../../../../outside/B03", "/etc/passwd", "GRANULE/../../../outside/B03"])
def test_paths_in_product_metadata_are_not_followed(tmp_path, path):
    write_tif(tmp_path / "outside" / "B03.tif", np.full((200, 330), SECRET, np.uint16))
    tree = write_safe(tmp_path / "in")
    xml = tree / "MTD_MSIL2A.xml"
    image = Safe().image("B03").removesuffix(".jp2")
    xml.write_text(xml.read_text().replace(image, path))
    (scene,) = scenes(tmp_path / "in")
    assert np.array_equal(codes(scene)[0], truth(surface()))
    (tree / Safe().image("B03")).unlink()
    assert refusal(tmp_path / "in").error == "IncompleteScene"


@pytest.mark.parametrize("kind", ["folder", "band file", "loop", "inside"])
def test_links(tmp_path, kind):
    outside = write_safe(tmp_path / "outside")
    home = tmp_path / "in"
    band_folder(home / "good")
    if kind == "folder":
        (home / "link.SAFE").symlink_to(outside, target_is_directory=True)
    elif kind == "band file":
        write_tif(tmp_path / "outside" / "secret.tif", np.full((200, 330), SECRET, np.uint16))
        (home / "good" / "B03.tif").unlink()
        (home / "good" / "B03.tif").symlink_to(tmp_path / "outside" / "secret.tif")
    elif kind == "loop":
        (home / "good" / "again").symlink_to(home, target_is_directory=True)
        (home / "itself").symlink_to(home / "itself")
    else:
        (home / "good" / "B03.tif").rename(home / "good" / "moved.bin")
        (home / "good" / "B03.tif").symlink_to(home / "good" / "moved.bin")
    pixels, refused = everything(home)
    assert all(SECRET not in part for part in pixels)
    errors = sorted(entry.error for entry in refused)
    assert (
        errors
        == {
            "folder": ["UnsafeInput"],
            "band file": ["IncompleteScene", "UnsafeInput"],
            "loop": ["UnsafeInput"],
            "inside": [],
        }[kind]
    )
    assert len(pixels) == (0 if kind == "band file" else 1)


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(9))
    + "]><x>&j;</x>"
)
XXE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY s SYSTEM "file:///etc/hostname">]><x>&s;</x>'
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE x SYSTEM "{url}/x.dtd"><x/>'


@pytest.mark.parametrize("xml", ["MTD_MSIL2A.xml", "MTD_TL.xml", "manifest.safe"])
@pytest.mark.parametrize("content", [LAUGHS, XXE, EXTERNAL])
def test_hostile_xml(tmp_path, server, xml, content):
    write_safe(tmp_path, Safe(manifest="MD5"))
    next(tmp_path.rglob(xml)).write_text(content.replace("{url}", server.url))
    refused = refusal(tmp_path)
    assert refused.error == "UnsafeInput" and xml in refused.reason
    assert server.asked == []


def test_huge_xml_is_not_read(tmp_path, monkeypatch):
    write_safe(tmp_path)
    monkeypatch.setattr(guard, "MAX_TEXT_BYTES", 500)
    monkeypatch.setattr(listing.Files.read, "__defaults__", (500,))
    assert refusal(tmp_path).error == "UnsafeInput"


@pytest.mark.parametrize(
    "member", ["../../evil/MTD_MSIL2A.xml", "/etc/MTD_MSIL2A.xml", "a\\..\\b", "a\nb/MTD.xml", "a}/b.jp2", "C:\\x"]
)
def test_zip_members_that_leave_the_archive(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as bundle:
        info = zipfile.ZipInfo("x")
        info.filename = member
        bundle.writestr(info, "x")
    assert refusal(tmp_path).error == "UnsafeInput"
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_zip_with_links(tmp_path):
    tree = write_safe(tmp_path / "made")
    path = zipped(tree, tmp_path / "in" / "x.zip")
    with zipfile.ZipFile(path, "a") as bundle:
        link = zipfile.ZipInfo("x.SAFE/B03.jp2")
        link.external_attr = 0o120777 << 16
        bundle.writestr(link, "/etc/passwd")
    assert refusal(tmp_path / "in").error == "UnsafeInput"


def test_zip_bomb_is_refused_by_its_directory(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as bundle,
        bundle.open("x.SAFE/B02.jp2", "w") as stream,
    ):
        for _ in range(200):
            stream.write(bytes(1 << 20))
    assert (tmp_path / "x.zip").stat().st_size < 1 << 20
    refused = refusal(tmp_path)
    assert refused.error == "UnsafeInput" and "bomb" in refused.reason


def test_zip_of_very_many_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as bundle:
        for number in range(listing.MAX_MEMBERS + 1):
            bundle.writestr(f"{number}", b"")
    assert refusal(tmp_path).error == "UnsafeInput"


def test_zip_in_a_zip(tmp_path):
    tree = write_safe(tmp_path / "made")
    inner = zipped(tree, tmp_path / "inner.zip")
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "x.zip", "w") as bundle:
        bundle.write(inner, "inner.zip")
    found = list(find_scenes(tmp_path / "in"))
    assert {entry.error for entry in found} == {"UnsafeInput"}


def test_zip_that_lies_about_a_size(tmp_path):
    """The directory says a few bytes, the data unpack to many: reading stops at what was declared."""
    body = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = body.compress(bytes(300 << 20)) + body.flush()
    name = b"x.SAFE/MTD_MSIL2A.xml"
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), 100, len(name), 0) + name
    central = (
        struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(packed), 100, len(name), 0, 0, 0, 0, 0, 0
        )
        + name
    )
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    (tmp_path / "x.zip").write_bytes(local + packed + central + end)
    assert refusal(tmp_path).error in ("CorruptScene", "UnsafeInput")


def test_overlapping_zip_members(tmp_path):
    tree = write_safe(tmp_path / "made")
    path = zipped(tree, tmp_path / "in" / "x.zip", zipfile.ZIP_STORED)
    data = path.read_bytes()
    start, end = data.index(b"PK\1\2"), data.rindex(b"PK\5\6")
    entry = data[start : data.index(b"PK\1\2", start + 4)]
    biggest = max(
        (part for part in data[start:end].split(b"PK\1\2")[1:]), key=lambda part: struct.unpack("<I", part[16:20])[0]
    )
    copies = data[start:end] + (b"PK\1\2" + biggest) * 20
    count = data[start:end].count(b"PK\1\2") + 20
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(copies), start, 0)
    path.write_bytes(data[:start] + copies + tail)
    assert entry and refusal(tmp_path / "in").error == "UnsafeInput"


def test_encrypted_zip(tmp_path):
    tree = write_safe(tmp_path / "made")
    path = zipped(tree, tmp_path / "in" / "x.zip", zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = -1
    while (at := data.find(b"PK\1\2", at + 1)) >= 0:
        data[at + 8] |= 1
    path.write_bytes(data)
    assert refusal(tmp_path / "in").error == "UnsafeInput"


@pytest.mark.parametrize("shape", [(30_000, 30_000, 1), (200, 330, 40)])
def test_declared_size_is_limited(tmp_path, shape):
    import rasterio

    rows, columns, count = shape
    for band in BANDS:
        profile = {"width": columns, "height": rows, "count": count, "dtype": "float64", "crs": "EPSG:32632"}
        place = rasterio.transform.from_origin(600_000, 5_100_000, 10, 10)
        with rasterio.open(
            tmp_path / f"{band}.tif",
            "w",
            driver="GTiff",
            sparse_ok=True,
            tiled=True,
            bigtiff="YES",
            transform=place,
            **profile,
        ):
            pass
    assert refusal(tmp_path).error == "UnsafeInput"


def test_unusual_number_types(tmp_path):
    for band in BANDS:
        write_tif(tmp_path / f"{band}.tif", np.ones((200, 330), np.complex64))
    assert refusal(tmp_path).error == "UnsafeInput"


NAMES = [
    *("with space", "ünïcödé 日本", "a#b", "a?b", "a:b", "http:x", "zip:foo", "vsicurl", "100%25"),
    *("quote'\"s", "new\nline", "tab\t", "<script>alert(1)</script>", "$(touch x)", "dots..", "a{b}c", "-rf"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", ["folder", "file", "zip"])
def test_odd_names(tmp_path, name, layout, monkeypatch):
    reflectance = surface()
    safe_name = name.replace("/", "_")
    home = tmp_path / "in"
    home.mkdir()
    if layout == "folder":
        band_folder(home / safe_name)
    elif layout == "zip":
        zipped(write_safe(tmp_path / "made"), home / f"{safe_name}.zip")
    else:
        write_tif(tmp_path / "x.tif", np.stack([stored(reflectance[band]) for band in BANDS]), names=BANDS).rename(
            home / f"{safe_name}.tif"
        )
    monkeypatch.chdir(home)
    (scene,) = scenes(home)
    assert np.array_equal(codes(scene)[0], truth(reflectance))
    assert scene.id.isascii() and not set("<>\"'\n/ ") & set(scene.id)
    assert all("\n" not in text for text in scene.warnings)


def test_names_that_are_not_text(tmp_path):
    home = tmp_path / "in"
    home.mkdir()
    band_folder(tmp_path / "made")
    for band in BANDS:
        (tmp_path / "made" / f"{band}.tif").rename(home / os.fsdecode(b"caf\xe9_" + band.encode() + b".tif"))
    band_folder(home / "good")
    found = list(find_scenes(home))
    assert [type(entry) for entry in found] == [Scene, Refusal]
    json.dumps([found[1].id, found[1].reason]).encode("utf-8")
    found[1].reason.encode("utf-8")


def test_deep_folders_end(tmp_path):
    path = tmp_path
    for _ in range(40):
        path = path / "d"
    band_folder(path)
    band_folder(tmp_path / "good")
    assert len(scenes(tmp_path)) == 1


def test_network_is_off_even_by_direct_address(server):
    """The settings alone stop curl, whatever opens a file under them."""
    import rasterio
    from rasterio.errors import RasterioIOError

    with guard.environment(), pytest.raises(RasterioIOError):
        rasterio.open(f"/vsicurl/{server.url}/x.tif")
    with guard.environment(), pytest.raises(RasterioIOError):
        rasterio.open(f"{server.url}/x.tif")
    assert server.asked == []


def test_callers_environment_is_overridden(tmp_path, server, monkeypatch):
    monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "FALSE")
    monkeypatch.setenv("GDAL_PAM_ENABLED", "YES")
    monkeypatch.setenv("GDAL_NUM_THREADS", "ALL_CPUS")
    monkeypatch.setenv("CPL_VSIL_CURL_ALLOWED_EXTENSIONS", ".tif")
    for band, value in surface().items():
        path = write_jp2(tmp_path / f"{band}.jp2", stored(value))
        path.with_name(f"{path.name}.ovr").write_text(vrt(f"/vsicurl/{server.url}/x.tif"))
    (scene,) = scenes(tmp_path)
    assert np.array_equal(codes(scene)[0], truth(surface()))
    assert server.asked == []


def test_the_server_of_these_tests_does_count(server):
    """The zeros above mean something: an open without the guard reaches the server."""
    import rasterio
    from rasterio.errors import RasterioIOError

    with pytest.raises(RasterioIOError):
        rasterio.open(f"/vsicurl/{server.url}/x.tif")
    assert server.asked
