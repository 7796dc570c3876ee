"""A map against a reference raster: tiles by the commonest class, pixels by the nearest, regions, odd references."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from pyproj import Transformer
from rasterio.warp import Resampling, calculate_default_transform, reproject
from rio_cogeo.cogeo import cog_validate
from shapely import transform
from shapely.geometry import box

from pipeline.agreement.comparing import ALL, compare_cover, compare_tiles
from pipeline.agreement.reference_map import NOTHING, UNKNOWN, ReferenceMap
from pipeline.areas import places
from pipeline.cli import main
from pipeline.cover_areas import CoverMap
from pipeline.errors import ReferenceMapError
from pipeline.grid import TileGrid
from pipeline.legend import COVER_STATE_LABELS, EUROSAT
from pipeline.results.table import read_table
from tests.made_results import COVERS, SOUTH, WEST, results, scene, stripes

ROWS, COLUMNS = 5, 9
LEFT, TOP = WEST * 640, (SOUTH + ROWS) * 640
CODES = {7: "Forest", 8: "SeaLake", 9: "Residential", 0: ""}


@pytest.fixture
def codes():
    """Wood in the west, a lake in the east, one tile under cloud, one unclassified."""
    plane = np.full((ROWS, COLUMNS), 1)
    plane[:, 5:] = 9
    plane[0, 0], plane[4, 8] = -2, -3
    return plane


@pytest.fixture
def folder(tmp_path, codes):
    place = results(tmp_path / "tiles" / "some-model", "a")
    scene(place, "a", codes, cover=stripes(ROWS, COLUMNS))
    return place


def raster(path, values, epsg=32632, origin=(LEFT, TOP), gsd=10.0, nodata=None):
    """A reference of codes (y, x); in another CRS than the tiles' it is warped there first."""
    place = Affine(gsd, 0, origin[0], 0, -gsd, origin[1])
    height, width = values.shape
    if epsg not in (32632, None):
        bounds = (origin[0], origin[1] - gsd * height, origin[0] + gsd * width, origin[1])
        there, wide, high = calculate_default_transform("EPSG:32632", f"EPSG:{epsg}", width, height, *bounds)
        moved = np.zeros((high, wide), values.dtype)
        reproject(
            values,
            moved,
            src_transform=place,
            src_crs="EPSG:32632",
            dst_transform=there,
            dst_crs=f"EPSG:{epsg}",
            resampling=Resampling.nearest,
        )
        values, place = moved, there
    facts = {"count": 1, "height": values.shape[0], "width": values.shape[1], "dtype": values.dtype, "nodata": nodata}
    with rasterio.open(
        path, "w", driver="GTiff", crs=None if epsg is None else f"EPSG:{epsg}", transform=place, **facts
    ) as out:
        out.write(values, 1)
    return path


def pixels(codes):
    return codes.repeat(64, axis=0).repeat(64, axis=1)


def tiles(folder):
    return places([read_table(folder / "a" / "tiles.parquet")])


@pytest.fixture
def reference(codes):
    """The same land, but for a town that fills two tiles and a third of another, and unknown ground in one column."""
    plane = pixels(np.where(codes == 9, 8, 7)).astype(np.uint8)
    plane[64:128, 64:192] = 9
    plane[128:192, 64:84] = 9
    plane[:, 3 * 64 : 3 * 64 + 40] = 0
    return plane


def test_a_tile_is_compared_with_the_commonest_class_inside(folder, reference, tmp_path):
    other = ReferenceMap.opened(raster(tmp_path / "r.tif", reference, nodata=0), CODES)
    found = compare_tiles(tiles(folder), EUROSAT.labels, other)
    table = found.tiles.set_index("tile_id")
    assert table.loc[f"32632_{WEST + 1}_{SOUTH + 3}", "reference"] == "Residential"
    third = table.loc[f"32632_{WEST + 1}_{SOUTH + 2}"]
    assert third["reference"] == "Forest" and third["reference_share"] == pytest.approx(44 / 64, abs=1e-4)
    # Column 3 is known in 24 of 64 columns of pixels: less than half.
    assert not [tile for tile in table.index if tile.split("_")[1] == str(WEST + 3)]
    matrix = found.matrices[ALL] / TileGrid(32632).hectares
    assert matrix.loc["Forest", "Residential"] == pytest.approx(2)
    assert matrix.loc["Forest", "Forest"] == pytest.approx(4 * 5 - 1 - 2)
    assert matrix.loc["SeaLake", "SeaLake"] == pytest.approx(4 * 5 - 1)
    assert found.left_out == {
        "cloud": pytest.approx(40.96),
        "unclassified": pytest.approx(40.96),
        "no class in the reference": pytest.approx(5 * 40.96),
    }


@pytest.mark.parametrize("epsg", [4326, 3035, 32633])
def test_a_reference_in_another_crs_is_laid_over_by_the_nearest_pixel(folder, reference, tmp_path, epsg):
    plain = ReferenceMap.opened(raster(tmp_path / "r.tif", reference, nodata=0), CODES)
    moved = ReferenceMap.opened(raster(tmp_path / "m.tif", reference, epsg, nodata=0), CODES)
    ours, theirs = (compare_tiles(tiles(folder), EUROSAT.labels, one) for one in (plain, moved))
    pd.testing.assert_frame_equal(ours.matrices[ALL], theirs.matrices[ALL])


def test_pixels_are_compared_one_by_one(folder, tmp_path):
    ground = stripes(ROWS, COLUMNS)
    codes = {10 * (code + 1): label for code, label in enumerate(COVERS.labels)}
    plane = ((ground + 1) * 10).astype(np.int16)
    plane[ground > 8] = 70
    plane[100:150, 200:260] = 20
    plane[:5] = -99
    other = ReferenceMap.opened(raster(tmp_path / "r.tif", plane), codes | {-99: ""})
    cover = CoverMap.of(folder).at("2024-06-01")
    found = compare_cover(cover, cover.classes(), other)
    known = (ground < 8) & (plane != -99)
    says = plane // 10 - 1
    for at, label in enumerate(COVERS.labels):
        for there, name in enumerate(COVERS.labels):
            expected = (known & (ground == at) & (says == there)).sum() * 0.01
            assert found.matrices[ALL].loc[label, name] == pytest.approx(expected)
    assert found.left_out["cloud"] == pytest.approx((ground == 254).sum() * 0.01)
    assert found.left_out["no class in the reference"] == pytest.approx(((ground < 8) & (plane == -99)).sum() * 0.01)
    row = found.tiles.set_index("tile_id").loc[f"32632_{WEST + 3}_{SOUTH + 3}"]
    part = (slice(64, 128), slice(3 * 64, 4 * 64))
    assert row["agreement"] == pytest.approx((ground == says)[part].mean(), abs=1e-4)


def in_degrees(*bounds):
    back = Transformer.from_crs(32632, 4326, always_xy=True)
    return transform(box(*bounds).segmentize(100), lambda at: np.column_stack(back.transform(at[:, 0], at[:, 1])))


def test_regions_share_out_tiles_and_pixels(folder, reference, tmp_path):
    west = in_degrees(LEFT - 900, TOP - 9000, LEFT + 960, TOP + 900)
    half = in_degrees(LEFT + 960, TOP - 9000, LEFT + 1280, TOP + 900)
    regions = gpd.GeoDataFrame({"name": ["west", "strip"]}, geometry=[west, half], crs=4326)
    other = ReferenceMap.opened(raster(tmp_path / "r.tif", reference, nodata=0), CODES)
    found = compare_tiles(tiles(folder), EUROSAT.labels, other, regions)
    assert found.matrices["west"].loc["Forest", "Residential"] == pytest.approx(20.48, rel=1e-3)
    assert found.matrices["strip"].to_numpy().sum() == pytest.approx(5 * 20.48, rel=1e-3)
    total = sum(found.matrices[name] for name in ("west", "strip", "elsewhere"))
    np.testing.assert_allclose(total, found.matrices[ALL], atol=0.02)

    ground = stripes(ROWS, COLUMNS)
    codes = dict(enumerate(COVERS.labels))
    plane = np.where(ground < 8, ground, 0).astype(np.uint8)
    plane[:, 90:100] = 5
    cover = CoverMap.of(folder).at("2024-06-01")
    told = compare_cover(cover, cover.classes(), ReferenceMap.opened(raster(tmp_path / "c.tif", plane), codes), regions)
    strip = told.matrices["strip"]
    expected = (ground[:, 96:128] < 8).sum() * 0.01
    assert strip.to_numpy().sum() == pytest.approx(expected)
    assert np.trace(strip.to_numpy()) == pytest.approx(((ground == plane) & (ground < 8))[:, 96:128].sum() * 0.01)
    parts = [told.matrices[name].to_numpy() for name in ("west", "strip", "elsewhere")]
    np.testing.assert_allclose(sum(parts), told.matrices[ALL])


def test_outside_of_the_reference_and_unknown_codes_are_told_apart(reference, tmp_path):
    path = raster(tmp_path / "r.tif", reference[:64, :64])
    told, codes = ReferenceMap.opened(path, {7: "Forest"}).numbered(
        TileGrid(32632), range(WEST, WEST + 2), range(SOUTH + 3, SOUTH + 5), ["Lake", "Forest"]
    )
    assert told.shape == (128, 128)
    assert (told[:64, :64] == 1).all() and (told[64:] == NOTHING).all() and (told[:, 64:] == NOTHING).all()
    told, codes = ReferenceMap.opened(path, {8: "Forest"}).numbered(
        TileGrid(32632), range(WEST, WEST + 1), range(SOUTH + 4, SOUTH + 5), ["Forest"]
    )
    assert (told == UNKNOWN).all() and (codes == 7).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epsg": None}, "has no coordinate reference system"),
        ({"values": np.ones((9, 9), np.float32)}, "holds float32 and no whole numbers"),
        ({"origin": (LEFT + 90_000, TOP)}, r"shares no ground with the tiles; it spans \d+\.\d+ to"),
        ({"codes": {7: "Forest", 0: ""}}, "nothing tells what its codes 8, 9 mean"),
        ({"codes": {1: "Wood", 2: "Lake"}}, "its classes .Wood, Lake. are none of this map's"),
        ({"codes": None}, "does not tell what its codes mean; give --legend worldcover"),
        ({"values": np.zeros((320, 576), np.uint8)}, "no tile has a class in both maps|shares no ground"),
    ],
)
def test_a_reference_that_cannot_be_compared_is_told(folder, reference, tmp_path, change, words):
    facts = {"values": reference, "codes": CODES, "nodata": 0} | change
    codes = facts.pop("codes")
    path = raster(tmp_path / "r.tif", **facts)
    with pytest.raises(ReferenceMapError, match=words):
        compare_tiles(tiles(folder), EUROSAT.labels, ReferenceMap.opened(path, codes))


def test_what_is_no_raster_is_told(tmp_path):
    path = tmp_path / "r.tif"
    path.write_bytes(b"nothing")
    with pytest.raises(ReferenceMapError, match="give a whole GeoTIFF of class codes"):
        ReferenceMap.opened(path, CODES)


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def worldcover(path, epsg=4326):
    """ESA's codes of the made cover, with two mistakes."""
    code = np.array([80, 10, 30, 90, 40, 20, 50, 60, *[0] * 248], np.uint8)
    plane = code[stripes(ROWS, COLUMNS)]
    plane[200:240, 300:400] = 95
    return raster(path, plane, epsg, nodata=0)


def test_the_verb_knows_worldcover_and_writes_what_qgis_opens(folder, tmp_path):
    reference = worldcover(tmp_path / "wc.tif", 32632)
    out = tmp_path / "out"
    asked = ("--legend", "worldcover", "--product", "cover", "-o", out)
    told = invoke("compare-raster", folder.parent, reference, *asked)
    assert told.exit_code == 0, told.output
    assert "only the reference has Mangroves" in told.output and "agreement is no truth" in told.output
    assert "kappa" not in told.output.lower()
    figures = json.loads((out / "agreement.json").read_text())
    ground = stripes(ROWS, COLUMNS)
    mistaken = (ground[200:240, 300:400] < 8).sum()
    expected = 1 - mistaken / (ground < 8).sum()
    assert figures["regions"]["all"]["agreement"] == pytest.approx(expected)
    matrix = pd.read_csv(out / "agreement-matrix.csv", index_col=0)
    assert matrix["Mangroves"].sum() == pytest.approx(mistaken * 0.01)
    with rasterio.open(out / "agreement.tif") as image:
        values = image.read(1)
        assert image.colormap(1)[0][:3] == (215, 48, 31)
    same = np.full(ground.shape, 255)
    same[ground < 8] = 1
    same[200:240, 300:400][ground[200:240, 300:400] < 8] = 0
    np.testing.assert_array_equal(values, same)
    assert cog_validate(out / "agreement.tif", quiet=True)[0]
    assert "<Category>agrees</Category>" in (out / "agreement.tif.aux.xml").read_text()
    layer = gpd.read_file(out / "agreement.gpkg")
    assert layer.crs.to_epsg() == 4326 and {"tile_id", "agreement", "compared"} <= set(layer)
    assert not (out / "agreement-regions.csv").exists()


def test_the_verb_takes_tiles_regions_and_national_codes(folder, reference, tmp_path):
    book = tmp_path / "book.csv"
    book.write_text("code,label\n7,Forest\n8,SeaLake\n9,Residential\n0,\n")
    area = tmp_path / "area.geojson"
    gpd.GeoDataFrame(
        {"kreis": ["West"]}, geometry=[in_degrees(LEFT - 900, TOP - 9000, LEFT + 960, TOP + 900)], crs=4326
    ).to_file(area, driver="GeoJSON")
    out = tmp_path / "out"
    asked = ("--reference-legend", book, "--regions", area, "--name-field", "kreis", "-o", out)
    told = invoke("compare-raster", folder.parent, raster(tmp_path / "r.tif", reference), *asked)
    assert told.exit_code == 0, told.output
    assert "West: " in told.output and "not compared: 41 ha, cloud" in told.output
    rows = pd.read_csv(out / "agreement-regions.csv").set_index(["region", "map", "reference"])["hectares"]
    assert rows["West", "Forest", "Residential"] == pytest.approx(20.48, rel=1e-3)
    with rasterio.open(out / "agreement.tif") as image:
        values = image.read(1)
    assert values.shape == (ROWS, COLUMNS) and values[1, 1] == 0 and values[2, 1] == 1 and values[0, 0] == 255


def test_a_map_of_ones_own_tells_its_codes(folder, tmp_path):
    assert invoke("mosaic", folder.parent, tmp_path / "map.tif", "--product", "cover").exit_code == 0
    told = invoke("compare-raster", folder.parent, tmp_path / "map.tif", "--product", "cover", "-o", tmp_path / "out")
    assert told.exit_code == 0, told.output
    assert told.output.startswith("100.0% of ")
    with_states = set(COVER_STATE_LABELS.values())
    assert not with_states & set(pd.read_csv(tmp_path / "out" / "agreement-matrix.csv", index_col=0).columns)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "does not tell what its codes mean"),
        (["--legend", "ipcc"], "does not tell what its codes mean"),
        (["--legend", "corine1"], "nothing tells what its codes"),
        (["--legend", "worldcover", "--date", "2020-01-01"], "has no date 2020-01-01"),
        (["--legend", "nowhere"], "no legend of this name"),
    ],
)
def test_wrong_use_is_told_and_writes_nothing(folder, tmp_path, options, words):
    out = tmp_path / "out"
    answer = invoke("compare-raster", folder.parent, worldcover(tmp_path / "wc.tif"), *options, "-o", out)
    assert answer.exit_code == 1 and words in answer.output and not out.exists()
