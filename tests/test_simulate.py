"""The made landscape: georeferenced right, radiometry right, truth right, the same for a seed."""

from collections import Counter, defaultdict
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio

from pipeline.classify import ClassifyOptions, classified_blocks, gather
from pipeline.grid import TileGrid, TileIndex
from pipeline.legend import COVER, EUROSAT, CoverState
from pipeline.models import store
from pipeline.scenes.finding.find import find_scenes
from pipeline.simulate import read_truth, simulate
from pipeline.simulate.landscape import Landscape


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("made"), suffix="tif")


def image(product, name):
    (path,) = product.glob(f"GRANULE/*/IMG_DATA/*/*_{name}_*")
    return path


def reflectance(product, band):
    root = ElementTree.parse(product / "MTD_MSIL2A.xml").getroot()
    offsets = {int(node.get("band_id")): int(node.text) for node in root.iter("BOA_ADD_OFFSET")}
    numbers = {node.get("physicalBand"): int(node.get("bandId")) for node in root.iter("Spectral_Information")}
    with rasterio.open(image(product, band)) as source:
        stored = source.read(1)
    offset = offsets.get(numbers[f"B{band[1:].lstrip('0')}"], 0)
    return np.where(stored == 0, np.nan, (stored.astype(float) + offset) / 10_000)


def test_products_are_georeferenced_off_the_tile_grid(made):
    for product in made.products:
        tile_xml = ElementTree.parse(next(product.glob("GRANULE/*/MTD_TL.xml"))).getroot()
        assert tile_xml.find(".//HORIZONTAL_CS_CODE").text == "EPSG:32632"
        with rasterio.open(image(product, "B04")) as source, rasterio.open(image(product, "SCL")) as quality:
            assert source.crs.to_epsg() == 32632
            assert (source.width, source.height, source.res) == (1600, 1350, (10.0, 10.0))
            assert quality.bounds == source.bounds
            assert quality.res == (20.0, 20.0)
            assert source.bounds.left % 60 == source.bounds.top % 60 == 0
            assert source.bounds.left % 640
            assert source.bounds.top % 640
            assert int(tile_xml.find(".//ULX").text) == source.bounds.left
            assert int(tile_xml.find(".//ULY").text) == source.bounds.top


def test_only_later_dates_have_an_offset_and_all_have_the_same_reflectance(made):
    first, second, third = (reflectance(product, "B03") for product in made.products)
    with (
        rasterio.open(image(made.products[0], "B03")) as before,
        rasterio.open(image(made.products[1], "B03")) as after,
    ):
        assert np.median(after.read(1)) - np.median(before.read(1)) > 800
    # Deep water does not change: it tells offsets from seasons.
    lake = np.s_[850:1000, 150:350]
    assert abs(np.nanmean(first[lake]) - np.nanmean(second[lake])) < 0.001
    assert abs(np.nanmean(first[lake]) - np.nanmean(third[lake])) < 0.001
    assert 0.0 < np.nanmean(first[lake]) < 0.03
    assert np.nanmin(first) >= 0.0


def test_the_manifest_lists_every_file_with_its_size(made):
    for product in made.products:
        text = (product / "manifest.safe").read_text()
        files = [path for path in product.rglob("*") if path.is_file() and path.name != "manifest.safe"]
        assert len(files) == 7
        for path in files:
            assert f'href="./{path.relative_to(product).as_posix()}"' in text
            assert f'size="{path.stat().st_size}"' in text


def test_every_tile_that_a_product_touches_has_one_truth(made):
    product = made.products[0]
    with rasterio.open(image(product, "B02")) as source:
        cols, rows = TileGrid(32632).covering(tuple(source.bounds))
    expected = {TileGrid(32632).tile_id(TileIndex(col, row)) for col in cols for row in rows}
    found = [tile.tile_id for tile in made.tiles if tile.scene == product.stem]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_truth_knows_no_data_and_cloud(made):
    with rasterio.open(image(made.products[0], "B04")) as source:
        assert 0.005 < np.mean(source.read(1) == 0) < 0.03
    with rasterio.open(image(made.products[1], "SCL")) as source:
        assert 0.005 < np.mean(source.read(1) >= 8) < 0.06
    inside = [tile for tile in made.tiles if tile.scene == made.products[0].stem and 0.0 < tile.valid_fraction < 1.0]
    assert inside
    assert any(tile.cloud_fraction > 0.9 for tile in made.tiles)


def test_every_class_has_pure_tiles_at_every_date(made):
    for product in made.products:
        counts = Counter(label for (scene, _), label in made.clear.items() if scene == product.stem)
        assert set(counts) == set(EUROSAT.labels)
        assert min(counts.values()) >= 8


def test_planted_changes_are_known(made):
    kinds = Counter(made.changed.values())
    for kind in (
        ("Forest", "AnnualCrop"),
        ("Pasture", "Residential"),
        ("AnnualCrop", "Industrial"),
        ("Pasture", "Highway"),
    ):
        assert kinds[kind] >= 3, kind


def test_the_third_date_confirms_the_second_under_other_clouds(made):
    second, third = (
        {tile.tile_id: tile for tile in made.tiles if tile.scene == product.stem} for product in made.products[1:]
    )
    assert [tile.label for tile in second.values()] == [tile.label for tile in third.values()]
    hidden = [{name for name, tile in tiles.items() if tile.cloud_fraction > 0.35} for tiles in (second, third)]
    assert min(map(len, hidden)) > 5
    assert not hidden[0] & hidden[1]
    before, after = (reflectance(product, "B04") for product in made.products[1:])
    clear = np.abs(after - before)[700:1300, 1000:1500]
    assert 0.05 < np.mean(clear > 0.02) < 0.4  # some fields ripened, the others and all else stayed


def test_truth_reads_back(made):
    assert read_truth(made.products[0].parent / "truth.csv") == made.tiles


def test_all_dates_are_found_as_scenes_and_the_truth_is_not(made):
    scenes = list(find_scenes(made.products[0].parent))
    assert [(f"{scene.acquired:%Y-%m-%d}", str(scene.level), scene.epsg, scene.warnings) for scene in scenes] == [
        ("2021-07-23", "L2A", 32632, ()),
        ("2023-07-23", "L2A", 32632, ()),
        ("2023-08-12", "L2A", 32632, ()),
    ]
    assert [scene.radiometry.offsets.get("B04", 0.0) for scene in scenes] == [0.0, -1000.0, -1000.0]


def test_a_seed_makes_the_same_pixels_again_also_in_jpeg_2000(made, tmp_path):
    packed = simulate(tmp_path)
    assert packed.tiles == made.tiles
    for product, plain in zip(packed.products, made.products, strict=True):
        for name in ("B02", "SCL"):
            with rasterio.open(image(product, name)) as found, rasterio.open(image(plain, name)) as expected:
                assert found.driver == "JP2OpenJPEG"
                assert (found.crs, found.transform) == (expected.crs, expected.transform)
                assert np.array_equal(found.read(1), expected.read(1))


def test_another_seed_makes_another_landscape():
    one, other = Landscape(7), Landscape(8)
    assert np.mean(one.ground[0] == other.ground[0]) < 0.97
    assert np.corrcoef(one.rough[3].ravel(), other.rough[3].ravel())[0, 1] < 0.1


def test_the_trained_model_recognises_the_landscape(made):
    if store.DEFAULT not in store.names():
        pytest.skip(f"no trained model {store.DEFAULT} in saved_models/")
    classifier = store.load(threads=1)
    for scene in find_scenes(made.products[0].parent):
        grid = TileGrid(scene.epsg)
        answers = gather([part.answers for part in classified_blocks(scene, classifier, grid, ClassifyOptions())])
        codes = dict(zip(grid.tile_ids(answers.index.tolist()), answers.codes, strict=True))
        right = defaultdict(list)
        for tile in made.tiles:
            if tile.clear and tile.date == f"{scene.acquired:%Y-%m-%d}":
                right[tile.label].append(EUROSAT.label(int(codes[tile.tile_id])) == tile.label)
        assert np.mean([hit for hits in right.values() for hit in hits]) >= 0.85, scene.id
        assert {label: np.mean(hits) for label, hits in right.items() if np.mean(hits) <= 0.6} == {}, scene.id


def test_every_pixel_of_the_cover_is_known_but_at_roads_and_banks():
    land = Landscape(7)
    covers = land.covers(0)
    ground = np.take(EUROSAT.labels, land.ground[0])
    known = covers != CoverState.NO_DATA
    assert known.mean() > 0.85
    assert set(np.take(COVER.labels, covers[known])) == {"water", "trees", "grass", "crops", "built"}
    assert (np.take(COVER.labels, covers[known & (ground == "Forest") & (land.river > 10)]) == "trees").all()
    assert (covers[(land.river < 5) & (land.roads[0] > 12)] == COVER.labels.index("water")).all()
