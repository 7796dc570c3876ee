"""Of files that a server gives by parts only the area comes home, as scenes of their own."""

import json

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from rasterio.transform import from_origin

from pipeline.catalogue import Wish, download_item
from pipeline.cli import main
from pipeline.errors import NotAScene
from pipeline.grid import TileGrid
from pipeline.outlines import cropped
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.reading.reader import SceneReader

BANDS = ("B04", "B03", "B02")
WEST, NORTH = 600_000, 5_200_020
# Rows and columns of 10 m; the cloud mask has 20 m.
SHAPE = (1500, 2100)
# Somewhere inside, on no lattice.
PLACE = shapely.box(606_513, 5_191_377, 609_271, 5_193_002)


def _cog(path, shape, gsd, seed):
    pixels = np.random.default_rng(seed).integers(300, 2500, shape, dtype=np.uint16)
    place = {"crs": "EPSG:32632", "transform": from_origin(WEST, NORTH, gsd, gsd), "dtype": "uint16", "nodata": 0}
    size = {"count": 1, "height": shape[0], "width": shape[1]}
    with rasterio.open(path, "w", driver="COG", blocksize=256, overviews="none", **place, **size) as target:
        target.write(pixels, 1)
    return path.read_bytes(), pixels


@pytest.fixture
def stocked(catalogue, tmp_path):
    """One Item with the bands of tiles and cover and the cloud mask; `catalogue.pixels` are what its files hold."""
    catalogue.mark, catalogue.pixels, assets = '"first"', {}, {}
    for seed, band in enumerate((*BANDS, "B08", "SCL")):
        gsd = 20 if band == "SCL" else 10
        data, pixels = _cog(tmp_path / "cog.tif", tuple(10 * edge // gsd for edge in SHAPE), gsd, seed)
        catalogue.files[f"/{band}.tif"], catalogue.pixels[band] = data, pixels
        entry = {"name": band} if band == "SCL" else {"name": band, "raster:scale": 1e-4, "raster:offset": 0}
        assets[band] = {
            "href": f"{catalogue.url}/{band}.tif",
            "roles": ["data"],
            "bands": [entry],
            "file:size": len(data),
        }
        assets[band] |= {"file:checksum": "1220" + "0" * 64, "proj:shape": list(SHAPE)}
    properties = {"datetime": "2024-06-01T10:00:00Z", "processing:level": "L2", "proj:epsg": 32632}
    item = {"type": "Feature", "stac_version": "1.1.0", "id": "S2A_32TPS_20240601_0_L2A", "geometry": None}
    catalogue.items.append(item | {"bbox": [10, 46, 11, 47], "properties": properties, "links": [], "assets": assets})
    return catalogue


def _degrees(shape):
    return gpd.GeoSeries([shape], crs=32632).to_crs(4326).iloc[0]


def _wish(shape=PLACE):
    return Wish(BANDS, ("B08",), tuple(_degrees(shape).bounds))


def test_an_area_comes_home_pixel_for_pixel_and_nothing_else(stocked, tmp_path):
    place = download_item(stocked.items[0], tmp_path / "scenes", _wish())
    assert stocked.given < sum(map(len, stocked.files.values())) / 4
    for band, pixels in stocked.pixels.items():
        with rasterio.open(place / f"{band}.tif") as part:
            gsd = part.transform.a
            column, row = round((part.transform.c - WEST) / gsd), round((NORTH - part.transform.f) / gsd)
            assert part.nodata == 0 and part.bounds.left % 60 == WEST % 60 and (NORTH - part.bounds.top) % 60 == 0
            assert np.array_equal(part.read(1), pixels[row : row + part.height, column : column + part.width])
            assert shapely.box(*part.bounds).covers(PLACE.buffer(1000))
            assert part.bounds.right - part.bounds.left < 2757 + 2 * 1500


def test_it_is_a_scene_that_holds_every_tile_of_the_area(stocked, tmp_path):
    place = download_item(stocked.items[0], tmp_path / "scenes", _wish())
    (scene,) = find_scenes(place)
    assert (scene.id, scene.warnings) == (stocked.items[0]["id"], ())
    tiles = cropped(scene.bounds, _degrees(PLACE), TileGrid(32632))
    with SceneReader(scene) as reader:
        _, valid = reader.read(tiles, (*BANDS, "B08"))
    assert valid.all()
    kept = json.loads((place / "item.json").read_text())
    assert shapely.box(*kept["bbox"]).covers(_degrees(PLACE)) and kept["bbox"][2] - kept["bbox"][0] < 0.1
    told = [name for asset in kept["assets"].values() for name in asset]
    assert not [name for name in told if name.startswith(("file:", "proj:"))]  # they were of the whole files


def test_another_area_and_the_whole_have_folders_of_their_own(stocked, tmp_path):
    stocked.items[0]["assets"] = {
        band: {name: value for name, value in asset.items() if name != "file:checksum"}
        for band, asset in stocked.items[0]["assets"].items()
    }
    wishes = _wish(), _wish(shapely.box(612_000, 5_187_000, 613_000, 5_188_000)), Wish(BANDS)
    places = [download_item(stocked.items[0], tmp_path, wish) for wish in wishes]
    assert len(set(places)) == 3
    given = stocked.given
    assert download_item(stocked.items[0], tmp_path, wishes[0]) == places[0]
    assert stocked.given - given <= 2 * 5 * (128 << 10)  # heads only: nothing is fetched twice


def test_without_parts_the_files_come_whole_and_it_is_said(stocked, tmp_path, caplog):
    stocked.mark = None
    for asset in stocked.items[0]["assets"].values():
        del asset["file:checksum"]
    place = download_item(stocked.items[0], tmp_path, _wish())
    assert "downloaded whole" in caplog.text
    assert (place / "B04.tif").read_bytes() == stocked.files["/B04.tif"]


def test_a_raster_beside_the_area_is_told(stocked, tmp_path):
    with pytest.raises(NotAScene, match=r"B04.tif: lies beside the area"):
        download_item(stocked.items[0], tmp_path, _wish(shapely.box(700_000, 5_100_000, 700_100, 5_100_100)))
    assert list(tmp_path.glob("*/*.tif")) == []


def test_search_with_an_outline_brings_its_part(stocked, tmp_path):
    outline = tmp_path / "district.geojson"
    gpd.GeoDataFrame({"name": ["district"]}, geometry=[_degrees(PLACE)], crs=4326).to_file(outline)
    command = ["search", "--area", str(outline), "--dates", "2024-06-01/2024-06-30", "--api", stocked.url]
    answer = CliRunner().invoke(main, [*command, "--clearest", "--download", str(tmp_path / "scenes")])
    assert answer.exit_code == 0, answer.output
    assert "at most (the area's part only" in answer.output
    (scene,) = find_scenes(tmp_path / "scenes")
    assert {*BANDS, "B08"} <= set(scene.assets) and scene.quality is not None
