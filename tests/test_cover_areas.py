"""Hectares of the cover: every pixel once, regions by pixel, a sample and its assessment, two dates."""

from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from pyproj import Transformer
from shapely import transform
from shapely.geometry import box

from pipeline.areas import ELSEWHERE
from pipeline.cli import main
from pipeline.cover_areas import CoverMap, assess_cover, cover_matrix, mapped_cover, sample_cover
from pipeline.errors import TileTableError
from pipeline.grid import TileGrid
from pipeline.legend import COVER, EUROSAT, CoverState, Legend
from pipeline.results.table import TileAnswers, tile_table, write_table

MOMENT = datetime(2024, 6, 1, 10, 30, tzinfo=UTC)
WEST, SOUTH, COLUMNS, ROWS = 1000, 8000, 5, 11
PIXEL = 0.01
LEGEND = Legend("cover", COVER.classes[:3])


def scene(folder, name, classes, west=WEST, valid=1.0, days=0):
    """A finished scene of whole tiles whose cover is `classes` (y, x)."""
    rows, columns = classes.shape[0] // 64, classes.shape[1] // 64
    index = np.array([(west + col, SOUTH + row) for row in range(rows) for col in range(columns)])
    parts = np.full(len(index), valid, np.float32)
    answers = TileAnswers(
        index, np.ones(len(index), np.int8), np.full((len(index), 10), 0.1, np.float32), parts, parts * 0
    )
    place = folder / name
    place.mkdir(parents=True)
    table = tile_table(answers, TileGrid(32632), EUROSAT, name, MOMENT + timedelta(days=days))
    write_table(table, place / "tiles.parquet", {})
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 2, "crs": "EPSG:32632", "nodata": CoverState.NO_DATA}
    origin = Affine(10, 0, west * 640, 0, -10, (SOUTH + rows) * 640)
    height, width = classes.shape
    with rasterio.open(place / "cover.tif", "w", **profile, height=height, width=width, transform=origin) as raster:
        raster.write(np.stack([classes, np.full_like(classes, 80)]))
        raster.update_tags(1, **{f"CLASS_{code}": label for code, label in enumerate(LEGEND.labels)})


@pytest.fixture
def ground():
    """Half water, half trees, with a lawn, a cloud and a gap."""
    classes = np.zeros((ROWS * 64, COLUMNS * 64), np.uint8)
    classes[:, 130:] = 1
    classes[40:60, 30:90] = 2
    classes[600:630, 10:50] = CoverState.CLOUD
    classes[690:, 300:] = CoverState.NO_DATA
    return classes


@pytest.fixture
def run(tmp_path, ground):
    folder = tmp_path / "tiles" / "some-model"
    scene(folder, "a-scene", ground)
    (folder / "run.json").write_text('{"scenes": []}')
    return folder


def hectares(classes, *codes):
    return float(np.isin(classes, codes).sum()) * PIXEL


def test_every_pixel_counts_once_and_states_are_told(run, ground):
    found = mapped_cover(CoverMap.of(run)).set_index("label")
    assert found.loc["water", "hectares"] == pytest.approx(hectares(ground, 0))
    assert found.loc["grass", "pixels"] == 20 * 60
    assert found.loc["cloud", "hectares"] == pytest.approx(12)
    assert "no data" not in found.index
    assert found["share"].sum() == pytest.approx(1)


def test_where_two_scenes_of_a_day_overlap_the_clearer_speaks(run, ground):
    scene(run, "b-scene", np.full((ROWS * 64, 128), 2, np.uint8), west=WEST + COLUMNS - 1, valid=0.8)
    found = mapped_cover(CoverMap.of(run)).set_index("label")
    assert found.loc["grass", "pixels"] == 20 * 60 + ROWS * 64 * 64
    assert found.loc["trees", "hectares"] == pytest.approx(hectares(ground, 1))


def in_degrees(*bounds):
    back = Transformer.from_crs(32632, 4326, always_xy=True)
    fine = box(*bounds).segmentize(100)
    return transform(fine, lambda at: np.column_stack(back.transform(at[:, 0], at[:, 1])))


def test_regions_hold_the_pixels_whose_centres_they_hold(run, ground):
    left, top = WEST * 640, (SOUTH + ROWS) * 640
    # From pixel 35 to 96 eastward, from 50 to 200 southward, the centres well inside.
    field = in_degrees(left + 350, top - 2000, left + 960, top - 500)
    regions = gpd.GeoDataFrame({"name": ["field"]}, geometry=[field], crs=4326)
    found = mapped_cover(CoverMap.of(run), regions).set_index(["region", "label"])["pixels"]
    part = ground[50:200, 35:96]
    assert found["field", "water"] == (part == 0).sum()
    assert found["field", "grass"] == (part == 2).sum()
    assert found[ELSEWHERE, "water"] == (ground == 0).sum() - (part == 0).sum()
    assert found.sum() == (ground != CoverState.NO_DATA).sum()


def test_a_sample_draws_pixels_of_every_class_and_their_labels_adjust_the_areas(run, ground):
    cover = CoverMap.of(run).at("2024-06-01")
    drawn = sample_cover(cover, 90, seed=3, least=20)
    assert len(drawn) == 90 and drawn["tile_id"].is_unique and set(drawn["label"]) == {""}
    again = sample_cover(cover, 90, seed=3, least=20)
    pd.testing.assert_frame_equal(drawn, again)
    # The ids and the coordinates lead to the same pixels of the raster.
    column, row = (drawn["tile_id"].str.split("_").str[at].astype(int) for at in (1, 2))
    y, x = (SOUTH + ROWS) * 64 - 1 - row, column - WEST * 64
    truth = ground[y, x]
    assert np.bincount(truth).min() >= 20 and truth.max() == 2
    forth = Transformer.from_crs(4326, 32632, always_xy=True)
    east, _ = forth.transform(drawn["longitude"], drawn["latitude"])
    np.testing.assert_allclose(east, WEST * 640 + x * 10 + 5, atol=0.2)

    labels = np.array(["water", "trees", "grass"])[truth]
    right = assess_cover(drawn.assign(label=labels), cover)
    assert right.accuracy == pytest.approx(1)
    assert right.classes.loc["trees", "adjusted_ha"] == pytest.approx(hectares(ground, 1))
    wrong = assess_cover(drawn.assign(label=np.where(truth == 2, "water", labels)), cover)
    assert wrong.classes.loc["water", "adjusted_ha"] == pytest.approx(hectares(ground, 0, 2))
    with pytest.raises(TileTableError, match="drawn from map"):
        assess_cover(drawn.assign(label=labels, map="0" * 12), cover)


def test_the_matrix_tells_what_stood_where_at_two_dates(run, ground):
    later = ground.copy()
    later[100:164, 64:128] = 2
    later[:, 300:] = CoverState.NO_DATA
    scene(run, "b-scene", later, days=30)
    cover = CoverMap.of(run)
    found = cover_matrix(cover.at("2024-06-01"), cover.at("2024-07-01")).set_index(["from_label", "to_label"])
    assert found.loc[("water", "grass"), "hectares"] == pytest.approx(64 * 64 * PIXEL)
    assert found.loc[("trees", "trees"), "hectares"] == pytest.approx(hectares(ground[:, :300], 1))
    assert found["hectares"].sum() == pytest.approx(ground[:, :300].size * PIXEL)


def test_the_verbs_take_the_cover(run, ground, tmp_path):
    later = ground.copy()
    later[ground == 2] = 0
    scene(run, "b-scene", later, days=30)

    def invoke(*asked):
        answer = CliRunner().invoke(main, [*map(str, asked), "--product", "cover"])
        assert answer.exit_code == 0, answer.output
        return answer.output

    assert "grass                             12 ha" in invoke("areas", run.parent)
    drawn = tmp_path / "sample.csv"
    assert "60 pixels in" in invoke("sample", run.parent, drawn, "--date", "2024-06-01", "--size", 60)
    table = pd.read_csv(drawn)
    table.assign(label=["Water", "trees", "grass"] * 20).to_csv(drawn, index=False)
    assert "60 labelled pixels" in invoke("assess", run.parent, drawn)
    assert (run / "cover-assessment.json").is_file()
    told = invoke("change", run, run, "--out", tmp_path / "change")
    assert "grass to water" in told and "19 %" in told
    matrix = pd.read_csv(tmp_path / "change" / "cover-from-to.csv", index_col=0)
    assert matrix.loc["grass", "water"] == pytest.approx(12)


def test_results_without_cover_or_with_a_damaged_one_are_told(run):
    raster = run / "a-scene" / "cover.tif"
    raster.write_bytes(raster.read_bytes()[:3000])
    with pytest.raises(TileTableError, match="run the pipeline on its scene again"):
        mapped_cover(CoverMap.of(run))
    raster.unlink()
    with pytest.raises(TileTableError, match=r"holds no cover\.tif"):
        CoverMap.of(run)
