"""One map of many scenes: every pixel where it belongs, cut to the outline, a file that others read."""

import json
import os
import shutil
import signal
import subprocess
import time

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from pyproj import CRS, Transformer
from rio_cogeo.cogeo import cog_validate
from shapely import transform
from shapely.geometry import Polygon, box

from pipeline.cli import main
from pipeline.errors import GeoreferenceError, OutputError, TileTableError
from pipeline.mosaic import making
from pipeline.mosaic.ground import told_crs
from pipeline.mosaic.looks import period_between
from pipeline.mosaic.making import MosaicRequest, make_mosaic
from pipeline.outlines import Outline
from tests.made_results import SOUTH, WEST, results, scene, stripes

ROWS, COLUMNS = 9, 12
LEFT, TOP = WEST * 640, (SOUTH + ROWS) * 640


@pytest.fixture
def codes():
    return np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 10


@pytest.fixture
def folder(tmp_path, codes):
    """Two scenes of one day that overlap by two columns; what is known is spread over both."""
    place = results(tmp_path / "tiles" / "some-model", "a", "b")
    ground = stripes(ROWS, COLUMNS)
    picture = np.stack([np.broadcast_to(np.arange(COLUMNS * 64) % 200 + 40, ground.shape)] * 3).astype(np.uint8)
    picture[1] = np.arange(ROWS * 64)[:, None] % 200 + 40
    picture[2, 100:140, 100:140] = 0
    scene(place, "a", codes[:, :7], cover=ground[:, : 7 * 64], picture=picture[:, :, : 7 * 64])
    hazy = np.full((ROWS, 7), 1.0)
    hazy[:, :2] = 0.8
    scene(
        place, "b", codes[:, 5:], west=WEST + 5, cover=ground[:, 5 * 64 :], picture=picture[:, :, 5 * 64 :], valid=hazy
    )
    return place


def in_degrees(shape, epsg=32632):
    back = Transformer.from_crs(epsg, 4326, always_xy=True)
    return transform(shape.segmentize(100), lambda at: np.column_stack(back.transform(at[:, 0], at[:, 1])))


def read(path, band=1):
    with rasterio.open(path) as raster:
        return raster.read(band), raster.transform, raster.crs.to_epsg()


def test_tiles_of_several_scenes_are_one_map(folder, codes, tmp_path):
    made = make_mosaic(folder, tmp_path / "map.tif")
    values, place, epsg = read(made.path)
    assert (epsg, place) == (32632, Affine(640, 0, LEFT, 0, -640, TOP))
    np.testing.assert_array_equal(values, codes)
    assert made.scenes == ("a", "b") and made.dates == {"2024-06-01": 1.0} and made.filled == 1


def test_pixels_of_the_cover_lie_where_they_lay(folder, tmp_path):
    made = make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("cover"))
    values, place, epsg = read(made.path)
    assert (epsg, place) == (32632, Affine(10, 0, LEFT, 0, -10, TOP))
    np.testing.assert_array_equal(values, stripes(ROWS, COLUMNS))
    sure, _, _ = read(make_mosaic(folder, tmp_path / "sure.tif", MosaicRequest("cover-confidence")).path)
    known = values < 8
    assert (sure[known] >= 30).all() and (sure[~known] == 255).all()


def test_an_outline_cuts_at_pixel_centres_and_shrinks_the_map(folder, tmp_path):
    # From pixel 70 to 200 eastward and 130 to 400 southward, so that centres lie well inside or outside.
    shape = box(LEFT + 700, TOP - 4000, LEFT + 2000, TOP - 1300)
    made = make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("cover", Outline("field", in_degrees(shape))))
    values, place, _ = read(made.path)
    column, row = (round((place.c - LEFT) / 10), round((TOP - place.f) / 10))
    full = np.full((ROWS * 64, COLUMNS * 64), 255, np.uint8)
    full[130:400, 70:200] = stripes(ROWS, COLUMNS)[130:400, 70:200]
    np.testing.assert_array_equal(values, full[row : row + values.shape[0], column : column + values.shape[1]])
    assert 68 <= column <= 70 and values.shape[1] <= 134 and values.shape[0] <= 274
    assert (values != 255).sum() == 130 * 270


def test_another_crs_takes_the_nearest_pixel(folder, tmp_path):
    made = make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("cover", crs=told_crs("3035")))
    values, place, epsg = read(made.path)
    assert epsg == 3035
    ground = stripes(ROWS, COLUMNS)
    rng = np.random.default_rng(1)
    y, x = (rng.integers(20, size - 20, 4000) for size in ground.shape)
    forth = Transformer.from_crs(32632, 3035, always_xy=True)
    east, north = forth.transform(LEFT + 10 * x + 5.0, TOP - 10 * y - 5.0)
    column, row = ~place * (east, north)
    found = values[np.floor(row).astype(int), np.floor(column).astype(int)]
    near = [ground[y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    assert np.mean(found == ground[y, x]) > 0.97
    assert np.any([found == one for one in near], axis=0).all()


def test_two_zones_become_one_map_without_a_gap(tmp_path):
    place = results(tmp_path / "m", "west", "east")
    west = np.full((10 * 64, 16 * 64), 1, np.uint8)
    east = np.full((10 * 64, 16 * 64), 4, np.uint8)
    scene(place, "west", np.full((10, 16), 1), west=1136, south=7968, cover=west)
    scene(place, "east", np.full((10, 16), 0), west=411, south=7968, epsg=32633, cover=east)
    # Twelve degrees east parts the zones; this strip lies on both sides.
    strip = box(11.95, 46.03, 12.05, 46.06)
    made = make_mosaic(place, tmp_path / "map.tif", MosaicRequest("cover", Outline("strip", strip)))
    values, there, epsg = read(made.path)
    assert epsg in (32632, 32633) and set(np.unique(values)) == {1, 4, 255}
    assert made.filled == 1
    y, x = np.nonzero(values != 255)
    back = Transformer.from_crs(epsg, 4326, always_xy=True)
    longitude, _ = back.transform(*(there * (x + 0.5, y + 0.5)))
    # A tile belongs to one zone whole, so the seam may lie half a tile from the meridian.
    clear = np.abs(longitude - 12) > 0.008
    np.testing.assert_array_equal(values[y, x][clear] == 1, (longitude < 12)[clear])
    one_zone = box(11.91, 46.03, 11.94, 46.04)
    assert read(make_mosaic(place, tmp_path / "w.tif", MosaicRequest("cover", Outline("w", one_zone))).path)[2] == 32632


def test_pictures_keep_dark_pixels_and_leave_out_the_unmeasured(folder, tmp_path):
    made = make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("truecolour"))
    with rasterio.open(made.path) as raster:
        pixels, mask = raster.read(), raster.dataset_mask()
    assert mask.all() and pixels.shape == (3, ROWS * 64, COLUMNS * 64)
    ramp = np.arange(COLUMNS * 64) % 200 + 40
    assert np.abs(pixels[0, 300].astype(int) - ramp).mean() < 3
    cut = Outline("cut", in_degrees(Polygon([(LEFT, TOP), (LEFT + 3000, TOP), (LEFT, TOP - 3000)])))
    with rasterio.open(make_mosaic(folder, tmp_path / "cut.tif", MosaicRequest("truecolour", cut)).path) as raster:
        shown = raster.dataset_mask() > 0
    assert 0.48 < shown.mean() < 0.52 and shown[5, 5] and not shown[-5, -5]


def test_partly_measured_tiles_of_a_picture_lose_their_black(tmp_path):
    place = results(tmp_path / "m", "a")
    picture = np.full((3, 64, 128), 90, np.uint8)
    picture[:, :, 96:] = 2
    scene(place, "a", np.array([[1, 1]]), valid=np.array([[1.0, 0.5]]), picture=picture)
    with rasterio.open(make_mosaic(place, tmp_path / "map.tif", MosaicRequest("truecolour")).path) as raster:
        mask = raster.dataset_mask() > 0
    assert mask[:, :96].all() and not mask[:, 96:].any()


def test_confidence_of_tiles_is_percent_and_states_have_none(tmp_path):
    place = results(tmp_path / "m", "a")
    parts = np.full((2, 3, 10), 0.05)
    parts[..., 1] = [[0.55, 0.6, 0.7], [0.8, 0.9, 1.0]]
    codes = np.ones((2, 3), int)
    codes[0, 0], codes[1, 1] = -3, -2
    scene(place, "a", codes, probabilities=parts / parts.sum(axis=-1, keepdims=True))
    sure, _, _ = read(make_mosaic(place, tmp_path / "sure.tif", MosaicRequest("confidence")).path)
    assert sure[0, 0] == 255 and sure[1, 1] == 255 and sure[1, 2] == round(100 / 1.45)
    values, _, _ = read(make_mosaic(place, tmp_path / "map.tif").path)
    assert values.tolist() == [[253, 1, 1], [1, 254, 1]]
    names = (tmp_path / "map.tif.aux.xml").read_text()
    assert names.count("<Category>") == 256 and "<Category>unclassified</Category><Category>cloud</Category>" in names


@pytest.mark.parametrize("product", ["landcover", "cover", "truecolour", "confidence"])
@pytest.mark.parametrize("crs", [None, "3035"])
def test_every_product_is_a_valid_cog_with_an_item_that_tells_it(folder, tmp_path, product, crs):
    request = MosaicRequest(product, crs=None if crs is None else told_crs(crs))
    made = make_mosaic(folder, tmp_path / "map.tif", request)
    valid, errors, _ = cog_validate(made.path, quiet=True)
    assert valid, errors
    item = pystac.Item.from_file(str(made.item))
    asset = item.assets[product]
    assert asset.href == "./map.tif" and item.properties["proj:code"] == f"EPSG:{crs or 32632}"
    with rasterio.open(made.path) as raster:
        assert item.properties["proj:shape"] == [raster.height, raster.width]
        assert item.properties["proj:transform"] == list(raster.transform)[:6]
    assert item.properties["atlas:scenes"] == ["a", "b"] and item.datetime.date().isoformat() == "2024-06-01"
    west, south, east, north = item.bbox
    assert 8.9 < west < east < 9.2 and 46 < south < north < 47
    if product in ("landcover", "cover"):
        told = {one["value"]: one["name"] for one in asset.extra_fields["classification:classes"]}
        assert told[1] in ("Forest", "trees") and told[255] == "no_data"


def test_gdals_own_tool_reads_colours_and_names(folder, tmp_path):
    if shutil.which("gdalinfo") is None:
        pytest.skip("gdalinfo is not installed (gdal-bin)")
    make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("cover"))
    done = subprocess.run(["gdalinfo", "-json", tmp_path / "map.tif"], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    band = told["bands"][0]
    assert told["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG" and band["colorInterpretation"] == "Palette"
    text = subprocess.run(["gdalinfo", tmp_path / "map.tif"], capture_output=True, text=True, check=True).stdout
    assert "0: water" in text and "254: cloud" in text and "0: 0,184,255,255" in text


def test_overviews_hold_classes_and_no_means_of_them(tmp_path):
    place = results(tmp_path / "m", "a")
    checks = np.indices((10 * 64, 17 * 64)).sum(axis=0) % 2 * 6
    checks[::2] = 6
    scene(place, "a", np.ones((10, 17), int), cover=checks.astype(np.uint8))
    make_mosaic(place, tmp_path / "map.tif", MosaicRequest("cover"))
    with rasterio.open(tmp_path / "map.tif", OVERVIEW_LEVEL=0) as raster:
        assert raster.width == 544 and set(np.unique(raster.read(1))) == {6}


def test_the_same_results_give_the_same_bytes(folder, tmp_path):
    for name in ("x", "y"):
        make_mosaic(folder, tmp_path / name / "map.tif", MosaicRequest("cover"))
    for name in ("map.tif", "map.tif.aux.xml", "map.item.json"):
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes()


def test_names_of_an_earlier_map_do_not_stay_beside_another(folder, tmp_path):
    make_mosaic(folder, tmp_path / "map.tif")
    make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("confidence"))
    assert not (tmp_path / "map.tif.aux.xml").exists()


def test_an_outline_elsewhere_or_too_small_is_told_and_nothing_is_written(folder, tmp_path):
    far = Outline("far", box(20, 50, 21, 51))
    with pytest.raises(
        TileTableError, match=r"far: lies outside the mapped tiles, which span 8\.\d+ to 9\.\d+ degrees"
    ):
        make_mosaic(folder, tmp_path / "out" / "map.tif", MosaicRequest(outline=far))
    tiny = Outline("tiny", in_degrees(box(LEFT + 10, TOP - 40, LEFT + 40, TOP - 10)))
    with pytest.raises(TileTableError, match="no pixel of 640 m has its centre in the area"):
        make_mosaic(folder, tmp_path / "out" / "map.tif", MosaicRequest(outline=tiny))
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_crs_that_cannot_show_the_place_is_told(folder, tmp_path):
    with pytest.raises(GeoreferenceError, match="no coordinate reference system"):
        told_crs("999999")
    with pytest.raises(GeoreferenceError, match="has no plane"):
        told_crs("4978")
    # A plane for the south pole, where the north lies far away.
    with pytest.raises(GeoreferenceError, match=r"choose a CRS made for|choose another"):
        make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("cover", crs=CRS.from_proj4("+proj=gnom +lat_0=-90")))


def test_a_damaged_or_foreign_cover_is_told(folder, tmp_path):
    path = folder / "b" / "cover.tif"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(TileTableError, match="run the pipeline on its scene again"):
        make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("cover"))
    path.write_bytes(content)
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(1, CLASS_3="swamp")
    with pytest.raises(TileTableError, match="has other classes than a"):
        make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("cover"))
    assert [path.name for path in tmp_path.glob("*map*")] == []


def test_an_earlier_map_outlives_a_kill_and_the_next_run_clears_up(folder, tmp_path, monkeypatch):
    out = tmp_path / "out" / "map.tif"
    make_mosaic(folder, out)
    before = out.read_bytes()
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(making, "painted", lambda *_: time.sleep(60))
        try:
            make_mosaic(folder, out, MosaicRequest("cover"))
        finally:
            os._exit(1)
    deadline = time.monotonic() + 30
    while not (out.parent / ".part-whole-map.tif").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert out.read_bytes() == before and (out.parent / ".part-whole-map.tif").exists()
    make_mosaic(folder, out, MosaicRequest("cover"))
    names = {path.name for path in out.parent.iterdir()}
    assert names == {"map.tif", "map.tif.aux.xml", "map.item.json"}


def test_a_full_disk_leaves_the_earlier_map(folder, tmp_path, monkeypatch):
    out = tmp_path / "out" / "map.tif"
    make_mosaic(folder, out)
    before = out.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making, "write_cog", full)
    with pytest.raises(OutputError, match="No space left on device"):
        make_mosaic(folder, out, MosaicRequest("cover"))
    assert out.read_bytes() == before and {path.name[0] for path in out.parent.iterdir()} == {"m"}


def test_strips_never_hold_more_than_a_block_of_the_map(folder, tmp_path, monkeypatch):
    seen = []
    whole = making.painted
    monkeypatch.setattr(making, "painted", lambda *args: seen.append(whole(*args)) or seen[-1])
    make_mosaic(folder, tmp_path / "map.tif", MosaicRequest("cover"))
    assert [part.shape for part in seen] == [(1, 512, COLUMNS * 64), (1, 64, COLUMNS * 64)]


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_verb_tells_what_it_made(folder, tmp_path):
    scene(folder, "c", np.full((ROWS, 4), 1), days=-30, west=WEST + COLUMNS)
    area = tmp_path / "area.geojson"
    shape = in_degrees(box(LEFT + 3000, TOP - 4000, LEFT + 9000, TOP - 600))
    gpd.GeoDataFrame({"name": ["mine"]}, geometry=[shape], crs=4326).to_file(area, driver="GeoJSON")
    told = invoke(
        "mosaic", folder.parent, tmp_path / "map.tif", "--area", area, "--legend", "corine1", "--crs", "epsg:3035"
    )
    assert told.exit_code == 0, told.output
    assert "EPSG:3035, 2024-05-02 on" in told.output and "several dates stand side by side" in told.output
    values, _, epsg = read(tmp_path / "map.tif")
    assert epsg == 3035 and set(np.unique(values)) <= {0, 1, 2, 3, 255}
    item = json.loads((tmp_path / "map.item.json").read_text())
    assert item["properties"]["atlas:crosswalk"]["name"] == "corine1"
    assert item["properties"]["start_datetime"] < item["properties"]["end_datetime"]
    told = invoke("mosaic", folder.parent, tmp_path / "map.tif", "--date", "2024-06-01")
    assert told.exit_code == 0 and "several dates" not in told.output


def test_the_cover_in_another_legend_keeps_its_colours(folder, tmp_path):
    told = invoke("mosaic", folder.parent, tmp_path / "map.tif", "--product", "cover", "--legend", "worldcover")
    assert told.exit_code == 0, told.output
    with rasterio.open(tmp_path / "map.tif") as raster:
        tags, colours, values = raster.tags(1), raster.colormap(1), raster.read(1)
    codes = {name: int(key.removeprefix("CLASS_")) for key, name in tags.items() if key.startswith("CLASS_")}
    assert colours[codes["TreeCover"]] == (0, 100, 0, 255) and colours[codes["Water"]] == (0, 100, 200, 255)
    np.testing.assert_array_equal(values == codes["Water"], stripes(ROWS, COLUMNS) == 0)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["map.png"], 2, "let its name end in .tif"),
        (["map.tif", "--date", "2024-06-01", "--between", "2018,2024"], 2, "--date or --between"),
        (["map.tif", "--between", "2018"], 1, "no period"),
        (["map.tif", "--date", "2023-06-01"], 1, "its dates are 2024-06-01"),
        (["map.tif", "--crs", "nowhere"], 1, "give an EPSG code such as 3035"),
        (["map.tif", "--product", "soil"], 2, "is not one of"),
    ],
)
def test_wrong_use_is_told_and_writes_nothing(folder, tmp_path, monkeypatch, options, code, words):
    monkeypatch.chdir(tmp_path)
    answer = invoke("mosaic", folder.parent, *options)
    assert answer.exit_code == code and words in answer.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiles"]


def test_the_clearest_look_of_a_period_is_taken_place_by_place(tmp_path):
    place = results(tmp_path / "m", "a", "b")
    cloud = np.array([[0.3, 0.0, 0.1]])
    scene(place, "a", np.array([[1, 1, 1]]), cloud=cloud)
    scene(place, "b", np.array([[2, 2, 2]]), cloud=cloud[:, ::-1], days=5)
    period = period_between(["2024", "2024"])
    values, _, _ = read(make_mosaic(place, tmp_path / "map.tif", MosaicRequest(period=period)).path)
    assert values.tolist() == [[2, 2, 1]]
