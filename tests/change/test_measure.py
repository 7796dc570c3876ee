"""The evidence of the pixels: made pictures with known changes, then real scenes with hand-drawn ones."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import median_filter

from pipeline.change import evidence, score
from pipeline.change.heat import MEASURED
from pipeline.change.measure import shared_bands
from pipeline.grid import TileGrid
from pipeline.scenes.finding.find import find_scenes
from tests.builders import write_tif

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "change_oscd.py"
EPSG, WEST, NORTH = 32632, 703 * 640, 7808 * 640
ROWS, COLUMNS = 64 * 20, 64 * 6  # taller than a strip of 8 tiles
BANDS = ("B02", "B03", "B04", "B08")
CITY, GREEN, WATER = (0.12, 0.13, 0.15, 0.2), (0.05, 0.08, 0.05, 0.45), (0.06, 0.05, 0.03, 0.02)


def ground(seed=1):
    """Reflectance (band, y, x): a town with blocks and streets; trees in the north-east, a lake in the south-west."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    blocks = rng.random((ROWS // 8 + 1, COLUMNS // 8 + 1))[y // 8, x // 8] * 0.06 + rng.normal(
        0, 0.003, (ROWS, COLUMNS)
    )
    made = np.array(CITY)[:, None, None] + blocks
    trees = (x > COLUMNS - 100) & (y < 256)
    lake = (x < 128) & (y > ROWS - 256)
    for place, colour in ((trees, GREEN), (lake, WATER)):
        made[:, place] = np.array(colour)[:, None] + blocks[place] * 0.2
    return made


def scene(folder, reflectance, day):
    """A folder scene of one stack with named bands."""
    pixels = np.clip(np.rint(reflectance * 10_000), 1, None).astype(np.uint16)
    write_tif(folder / f"S2A_MSIL2A_{day}T100000.tif", pixels, EPSG, WEST, NORTH, names=BANDS)
    return next(iter(find_scenes(folder)))


def by_tile(found):
    """Columns of the evidence as (row from north, column) pictures of tiles."""
    index = np.array([TileGrid.parse_id(name)[1] for name in found.index])
    pictures = {}
    for name in found.select_dtypes("number"):
        pictures[name] = np.full((ROWS // 64, COLUMNS // 64), np.nan)
        pictures[name][7807 - index[:, 1], index[:, 0] - 703] = found[name]
    return pictures


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Evidence between a town and itself a year on: hazier, in another season, with four things that happened."""
    folder = tmp_path_factory.mktemp("pair")
    before = ground()
    after = before * np.array([1.1, 1.05, 1.02, 0.9])[:, None, None] + np.array([0.03, 0.02, 0.01, 0.0])[:, None, None]
    rng = np.random.default_rng(9)
    after += rng.normal(0, 0.004, after.shape)
    after[:, 70:90, 70:90] = 0.32  # a hall of 200 m in tile (1, 1): 10 % of the tile
    after[:, 700:701, 64:128] = 0.3  # a line one pixel wide: a train, in tile (10, 1)
    after[:, :256, COLUMNS - 100 :] += np.array([0.02, 0.02, 0.04, -0.12])[:, None, None]  # trees turn in autumn
    after[:, ROWS - 256 :, :128] += np.array([0.03, 0.05, 0.07, 0.02])[:, None, None]  # the lake is muddy
    after[:, 510:514, 200:204] = 0.3  # a car park: 0.4 % of tile (7, 3), at the border of two strips
    return evidence(scene(folder / "a", before, "20200601"), scene(folder / "b", after, "20210910"), TileGrid(EPSG))


def test_what_was_built_stands_out_and_season_mud_and_lines_do_not(compared):
    magnitude = by_tile(compared)["magnitude"]
    assert len(compared) == ROWS * COLUMNS // 64**2
    assert np.unravel_index(np.argmax(magnitude), magnitude.shape) == (1, 1)
    rest = np.delete(magnitude.ravel(), 1 * 6 + 1)
    assert magnitude[1, 1] > 1.5 * rest.max()
    assert (compared["compared"] == 1).all()


def test_heat_tells_where_in_the_tile(compared):
    """The hall fills pixels 6 to 26 of its tile in both directions, 3 to 13 of 20 m."""
    tile = np.frombuffer(compared.loc[TileGrid(EPSG).tile_id((704, 7806)), "heat_part"], np.uint8).reshape(32, 32)
    inside = np.zeros((32, 32), bool)
    inside[3:13, 3:13] = True
    assert (tile[inside] > 0).mean() > 0.9
    assert (tile[~inside] > 0).mean() < 0.1


@pytest.mark.parametrize("masked", [False, True])
def test_clouds_are_looked_for_where_no_mask_tells_of_them(tmp_path, masked):
    bands = (*BANDS, "B11")
    before = np.concatenate([ground(), ground()[3:] * 0.9])
    after = before + np.random.default_rng(0).normal(0, 0.003, before.shape)
    after[:, 300:400, 100:200] = np.array([0.34, 0.33, 0.33, 0.36, 0.3])[:, None, None]
    scenes = []
    for name, pixels, day in (("before", before, "20200601"), ("after", after, "20210601")):
        stack = np.clip(np.rint(pixels * 10_000), 1, None)
        if masked:
            stack = np.concatenate([stack, np.full((1, ROWS, COLUMNS), 5)])
        path = tmp_path / name / f"S2A_MSIL2A_{day}T100000.tif"
        write_tif(path, stack.astype(np.uint16), EPSG, WEST, NORTH, names=(*bands, "SCL") if masked else bands)
        scenes.append(next(iter(find_scenes(tmp_path / name))))
    pictures = by_tile(evidence(*scenes, TileGrid(EPSG)))
    assert np.isnan(pictures["compared"][5, 2]) != masked  # no row: nothing of the tile was compared
    assert np.all(pictures["compared"] == 1) == masked


def mirrored(folder):
    """A town and its mirror image: something differs everywhere."""
    before = ground()
    return scene(folder / "a", before, "20200601"), scene(folder / "b", before[:, ::-1], "20210601")


def test_strips_leave_no_seam(tmp_path, monkeypatch):
    import pipeline.change.measure as measure

    pair = mirrored(tmp_path)
    monkeypatch.setattr(measure, "_SCORED", 3)
    again = evidence(*pair, TileGrid(EPSG))
    monkeypatch.setattr(measure, "_SCORED", 20)
    whole = evidence(*pair, TileGrid(EPSG))
    figures = [name for name in whole if name not in MEASURED]
    pd.testing.assert_frame_equal(again[figures], whole[figures], rtol=1e-3, atol=1e-4)
    for name in MEASURED:  # a step apart where a figure lies between two
        steps = [np.frombuffer(b"".join(table[name]), np.uint8).astype(int) for table in (again, whole)]
        assert steps[0].any() and np.abs(steps[0] - steps[1]).max() <= 1


def test_thin_reading_gives_the_same_numbers(tmp_path, monkeypatch):
    import pipeline.change.measure as measure

    pair = mirrored(tmp_path)
    thin = evidence(*pair, TileGrid(EPSG))
    monkeypatch.setattr(measure, "_READ", measure._SCORED)
    pd.testing.assert_frame_equal(thin, evidence(*pair, TileGrid(EPSG)), check_exact=True)


def test_no_more_than_a_tile_row_is_read_at_a_time(tmp_path, monkeypatch):
    """Memory while two dates are compared is bounded by thin strips: the evidence asks for nothing taller."""
    from pipeline.scenes.reading.reader import SceneReader

    pair, heights = mirrored(tmp_path), []
    read = SceneReader.read
    monkeypatch.setattr(
        SceneReader,
        "read",
        lambda self, bounds, bands: heights.append(bounds[3] - bounds[1]) or read(self, bounds, bands),
    )
    evidence(*pair, TileGrid(EPSG))
    assert heights and max(heights) <= 640


def test_a_scene_differs_from_itself_by_nothing(tmp_path):
    one = scene(tmp_path, ground(), "20200601")
    found = evidence(one, one, TileGrid(EPSG))
    assert found["magnitude"].max() < 1e-3
    assert found["difference"].max() < 1e-3


def test_holes_are_no_change(tmp_path):
    before = ground()
    after = before + np.random.default_rng(0).normal(0, 0.003, before.shape)
    after[:, :100, :100] = 0
    after[:, 130:190, 130:190] = 0
    made = np.clip(np.rint(after * 10_000), 0, None).astype(np.uint16)
    write_tif(tmp_path / "b" / "S2A_MSIL2A_20210601T100000.tif", made, EPSG, WEST, NORTH, names=BANDS)
    found = evidence(scene(tmp_path / "a", before, "20200601"), next(iter(find_scenes(tmp_path / "b"))), TileGrid(EPSG))
    pictures = by_tile(found)
    assert np.isnan(pictures["magnitude"][0, 0])  # no row: nothing of the tile was measured twice
    assert 0.1 < pictures["compared"][2, 2] < 0.2
    assert np.nanmax(pictures["magnitude"]) < 1.5


@pytest.mark.parametrize("cloudy", ["before", "after"])
def test_cloud_is_not_compared(tmp_path, cloudy):
    """Shadow, two kinds of cloud and cirrus leave a tile out at either date; ground, water and snow do not."""
    hidden, shown = (3, 8, 9, 10), (2, 4, 5, 6, 7, 11)
    clear = np.full((ROWS, COLUMNS), 5)
    quality = {"before": clear, "after": clear.copy()}
    before = ground()
    after = before + np.random.default_rng(0).normal(0, 0.003, before.shape)
    places = {code: (1 + at // 3 * 2, at % 3 * 2) for at, code in enumerate((*hidden, *shown))}
    for code, (row, column) in places.items():
        tile = slice(64 * row, 64 * row + 64), slice(64 * column, 64 * column + 64)
        after[:, *tile] += 0.3
        quality[cloudy][tile] = code
    quality[cloudy][:32, :64] = 8  # half of a tile where nothing happened
    scenes = []
    for name, pixels, day in (("before", before, "20200601"), ("after", after, "20210601")):
        stack = np.concatenate([np.clip(np.rint(pixels * 10_000), 1, None), quality[name][None]]).astype(np.uint16)
        path = tmp_path / name / f"S2A_MSIL2A_{day}T100000.tif"
        write_tif(path, stack, EPSG, WEST, NORTH, names=(*BANDS, "SCL"))
        scenes.append(next(iter(find_scenes(tmp_path / name))))
    pictures = by_tile(evidence(*scenes, TileGrid(EPSG)))
    for code, place in places.items():
        if code in hidden:
            assert np.isnan(pictures["compared"][place]), code
        else:
            assert pictures["compared"][place] == 1 and pictures["difference"][place] > 5, code
    assert pictures["compared"][0, 0] == pytest.approx(0.5)
    assert pictures["difference"][0, 0] < 2


def test_no_tile_without_a_hole_is_no_trouble(tmp_path):
    """A scene whose only valid pixels are a strip, and one without any."""
    before = np.clip(np.rint(ground() * 10_000), 1, None).astype(np.uint16)
    after = np.zeros_like(before)
    write_tif(tmp_path / "b" / "S2A_MSIL2A_20210601T100000.tif", after, EPSG, WEST, NORTH, names=BANDS)
    after[:, 100:110] = before[:, 100:110]
    write_tif(tmp_path / "c" / "S2A_MSIL2A_20220601T100000.tif", after, EPSG, WEST, NORTH, names=BANDS)
    one = scene(tmp_path / "a", ground(), "20200601")
    nothing, strip = (next(iter(find_scenes(tmp_path / name))) for name in "bc")
    assert evidence(one, nothing, TileGrid(EPSG)).empty
    found = evidence(one, strip, TileGrid(EPSG))
    assert len(found) == 6 and found["compared"].between(0.1, 0.2).all()


def test_open_sea_gives_no_change(tmp_path):
    sea = np.broadcast_to(np.array(WATER)[:, None, None], (4, ROWS, COLUMNS)) + np.random.default_rng(3).normal(
        0, 0.002, (4, ROWS, COLUMNS)
    )
    found = evidence(
        scene(tmp_path / "a", sea, "20200601"), scene(tmp_path / "b", sea + 0.02, "20210601"), TileGrid(EPSG)
    )
    assert len(found) == ROWS * COLUMNS // 64**2
    assert (found[["magnitude", "difference"]] == 0).all().all()


def test_scenes_without_common_ground_or_bands_give_no_evidence(tmp_path):
    one = scene(tmp_path, ground(), "20200601")
    left, bottom, right, top = one.bounds
    away = replace(one, bounds=(left + 64_000, bottom, right + 64_000, top))
    assert evidence(one, away, TileGrid(EPSG)).empty
    assert evidence(one, replace(one, epsg=32633), TileGrid(EPSG)).empty
    radar = replace(one, assets={"VV": one.assets["B02"]})
    assert shared_bands(one, radar) == ()
    assert evidence(one, radar, TileGrid(EPSG)).empty
    assert shared_bands(one, replace(one, assets={"B04": one.assets["B04"], "B03": one.assets["B03"]})) == (
        "B03",
        "B04",
    )


def test_the_median_of_nine_is_exact():
    plane = np.random.default_rng(4).random((37, 53)).astype(np.float32)
    np.testing.assert_array_equal(score.median_of_nine(plane), median_filter(plane, 3, mode="nearest"))


@pytest.mark.parametrize("city", ["bercy", "bordeaux", "nantes"])
def test_real_pairs_rank_changed_tiles_first(shared_data, city):
    """Hand-drawn changes (OSCD): tiles with 5 % marked pixels come before the others nine times in ten."""
    spec = importlib.util.spec_from_file_location("change_oscd", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    sys.modules["change_oscd"] = script  # dataclasses look their module up
    spec.loader.exec_module(script)
    before, after = sorted(find_scenes(shared_data / "scenes" / "oscd" / city), key=lambda one: one.acquired)
    found = evidence(before, after, TileGrid(before.epsg))
    found = found[found["compared"] >= 0.5]
    share = script.marked(shared_data / "scenes" / "oscd" / city, found.index)
    assert script.auroc(share.to_numpy() >= 0.05, found["magnitude"].to_numpy()) >= 0.88
