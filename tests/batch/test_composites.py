"""A period becomes a date like any other: made of finished scenes alone, in the form of a scene, each place once."""

import json
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio

from pipeline.areas import mapped_areas
from pipeline.atlas.collect import collect
from pipeline.bands import SceneClass
from pipeline.batch import composites
from pipeline.batch.composing import compose
from pipeline.batch.main_job import run
from pipeline.batch.table_export import export_tables
from pipeline.cover_areas import CoverMap, mapped_cover
from pipeline.errors import BadPeriod, OutputError
from pipeline.legend import EUROSAT, CoverState
from pipeline.results.layout import scene_folders
from pipeline.results.period import Period
from pipeline.results.table import read_table
from pipeline.scenes.scene import UNKNOWN_DATE
from pipeline.web.library import Library
from tests.builders import scene_on_disk
from tests.runs import LEFT, TOP, elsewhere, folder_bytes, in_a_child, outputs

SUMMER = Period.parse("2023-06-01/2023-08-31")
CLEAR, CLOUD = int(SceneClass.VEGETATION), int(SceneClass.CLOUD_HIGH)


def day(month, number, year=2023):
    return datetime(year, month, number, 10, tzinfo=UTC)


@pytest.fixture
def season(tmp_path):
    """Three looks of one summer, and one a year before: clouds in the west, in the east; the third is smaller."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    rng = np.random.default_rng(6)
    ground = rng.integers(300, 2600, (3, 4, 7), dtype=np.uint16).repeat(64, axis=1).repeat(64, axis=2)
    made = []
    for name, when, west, east, wide in (
        ("before", day(7, 3, 2022), CLEAR, CLEAR, 448),
        ("one", day(6, 10), CLOUD, CLEAR, 448),
        ("two", day(7, 20), CLEAR, CLOUD, 448),
        ("three", day(8, 30), CLEAR, CLEAR, 320),
    ):
        quality = np.full((256, 448), CLEAR, np.uint8)
        quality[:, :128], quality[:, 256:] = west, east
        noise = rng.integers(-3, 4, ground.shape).astype(np.int16)
        pixels = (ground.astype(np.int16) + noise).astype(np.uint16)[:, :, :wide]
        scene = scene_on_disk(folder, pixels, 640 * 1000, 640 * 8000, name, quality[:, :wide])
        made.append(replace(scene, acquired=when))
    return made


@pytest.fixture
def summer(options):
    return replace(options, periods=(SUMMER,))


def composite(report):
    (record,) = [record for record in report.records if record.period]
    return record, report.folder / record.id


def test_a_period_is_a_date_like_any_other(summer, season):
    report = run(season, summer)
    assert report.exit_code == 0
    record, folder = composite(report)
    assert (record.status, record.period, record.looks) == ("done", str(SUMMER), ("one", "two", "three"))
    assert record.id == "2023-06-01_2023-08-31_32632_1000_7999"
    table = gpd.read_parquet(folder / "tiles.parquet").set_index("tile_id")
    looks = {
        name: gpd.read_parquet(report.folder / name / "tiles.parquet").set_index("tile_id") for name in record.looks
    }
    assert len(table) == 28 and (table["code"] >= 0).all()
    west, middle, east = table["col"] < 1002, table["col"].between(1002, 1003), table["col"] >= 1005
    assert set(table["looks"][west]) == {2} and set(table["looks"][middle]) == {3} and set(table["looks"][east]) == {1}
    assert set(table["clearest"][west]) == {"two"} and set(table["clearest"][east]) == {"one"}
    assert (table["code"][east] == looks["one"]["code"].reindex(table.index)[east]).all()
    assert (table["code"][west] == looks["two"]["code"].reindex(table.index)[west]).all()
    assert set(table["acquired"]) == {SUMMER.middle}
    with rasterio.open(folder / "looks.tif") as raster, rasterio.open(folder / "landcover.tif") as classes:
        assert raster.descriptions == ("clear looks", "disagreement in percent")
        assert (raster.transform, raster.shape) == (classes.transform, classes.shape)
        for row in table.itertuples():
            at = raster.index(row.geometry.centroid.x, row.geometry.centroid.y)
            assert raster.read(1)[at] == row.looks
            assert classes.read(1)[at] == row.code
    with (
        rasterio.open(folder / "truecolour.tif") as raster,
        rasterio.open(report.folder / "one" / "truecolour.tif") as one,
    ):
        assert raster.shape == one.shape and raster.transform == one.transform
        difference = np.abs(raster.read().astype(int) - one.read())[:, :, 320:]
        assert difference.max() < 12  # JPEG of JPEG
    item = pystac.Item.from_file(folder / "scene.json")
    assert item.properties["atlas:looks"] == ["one", "two", "three"]
    assert item.common_metadata.start_datetime.isoformat() == "2023-06-01T00:00:00+00:00"
    assert item.common_metadata.end_datetime.isoformat() == "2023-08-31T23:59:59+00:00"
    assert {asset.href for asset in item.assets.values()} >= {"./looks.tif", "./period.json", "./tiles.parquet"}


def test_it_speaks_in_place_of_its_looks_everywhere(summer, season, tmp_path):
    report = run(season, summer)
    record, _ = composite(report)
    speaking = ["before", record.id]
    assert sorted(folder.name for folder in scene_folders(report.folder)) == sorted(speaking)
    assert [scene.id for scene in collect(report.folder).scenes] == speaking
    tables = [read_table(folder / "tiles.parquet") for folder in scene_folders(report.folder)]
    areas = mapped_areas(tables)
    assert {str(date) for date in areas["date"]} == {"2022-07-03", "2023-07-16"}
    assert areas.groupby("date")["hectares"].sum().tolist() == pytest.approx([28 * 40.96] * 2)
    assert export_tables(report.folder, tmp_path / "all.csv", None) == 56
    assert sorted(scene.id for scene in Library(summer.tiles, summer.maps).scenes()) == sorted(speaking)
    changes = gpd.read_parquet(report.folder / "changes.parquet")
    assert set(zip(changes["before"].astype(str), changes["after"].astype(str), strict=True)) == {tuple(speaking)}
    assert len(changes) == 28
    page = report.page.read_text()
    assert '"short": "Jun\\u2013Aug 2023"' in page and str(SUMMER) in page
    # Its looks stay, and speak again in a run that is not asked for the period.
    again = run(season, replace(summer, periods=()))
    assert {entry.status for entry in again.records} == {"cached"}
    assert sorted(folder.name for folder in scene_folders(report.folder)) == ["before", "one", "three", "two"]


def test_pixels_of_the_clearest_looks_are_compared(summer, season):
    """Evidence of a tile is that of the looks that show it, as a run of these scenes alone measures it."""
    report = run(season, summer)
    changes = gpd.read_parquet(report.folder / "changes.parquet").set_index("tile_id")
    table = gpd.read_parquet(report.folder / composite(report)[0].id / "tiles.parquet").set_index("tile_id")
    kept = sorted((report.folder / ".evidence").glob("*.parquet"))
    pairs = {tuple(path.name.rsplit(".", 2)[0].split("+")) for path in kept}
    assert pairs == {("before", name) for name in table["clearest"].unique()}
    assert changes["change_vector"].notna().all()


def test_nothing_is_made_again_when_nothing_changed(summer, season):
    first = run(season, summer)
    before = outputs(summer)
    second = run(season, summer)
    assert [record.status for record in second.records] == ["cached"] * 5
    assert outputs(summer) == before
    assert composite(second)[0].hashes == composite(first)[0].hashes


def test_a_look_more_makes_the_period_again_and_no_scene(summer, season):
    one, folder = composite(run(season[:3], summer))
    before = folder_bytes(folder)
    report = run(season, summer)
    assert {record.id: record.status for record in report.records} == {
        "before": "cached",
        "one": "cached",
        "two": "cached",
        "three": "done",
        one.id: "done",
    }
    assert composite(report)[0].looks == ("one", "two", "three")
    assert folder_bytes(folder)["tiles.parquet"] != before["tiles.parquet"]


@pytest.mark.parametrize("name", ["tiles.parquet", "truecolour.tif", "period.json", "scene.json"])
def test_a_damaged_composite_is_made_again(summer, season, name):
    _, folder = composite(run(season, summer))
    before = folder_bytes(folder)
    (folder / name).write_bytes(before[name][:-9])
    record, _ = composite(run(season, summer))
    assert record.status == "done"
    assert folder_bytes(folder) == before


def test_one_look_alone_says_the_same_as_the_scene(summer, season):
    record, folder = composite(run(season[:2], summer))
    assert record.looks == ("one",)
    own, its = (gpd.read_parquet(path / "tiles.parquet") for path in (folder, folder.parent / "one"))
    shared = [
        name for name in its.columns if name not in ("scene", "acquired", "geometry") and not name.startswith("p_")
    ]
    for name in shared:
        if name in ("confidence", "entropy", "margin"):
            np.testing.assert_allclose(own[name], its[name], atol=2e-3)
        else:
            assert own[name].astype(str).tolist() == its[name].astype(str).tolist(), name


def test_granules_apart_have_composites_of_their_own(summer, season, tmp_path):
    rng = np.random.default_rng(9)
    far = [
        scene_on_disk(
            tmp_path / "scenes", rng.integers(300, 2600, (3, 130, 200), dtype=np.uint16), LEFT + 64_000, TOP, f"far-{n}"
        )
        for n in range(2)
    ]
    far = [replace(scene, acquired=day(6, 5 + 10 * n)) for n, scene in enumerate(far)]
    report = run([*season, *far], summer)
    made = {record.id: record.looks for record in report.records if record.period}
    assert sorted(made.values()) == [("far-0", "far-1"), ("one", "two", "three")]
    assert len(scene_folders(report.folder)) == 3


def test_a_granule_names_its_composite(summer, season):
    scenes = [replace(scene, id=f"S2A_T32TPR_{scene.id}") for scene in season]
    assert composite(run(scenes, summer))[0].id == "2023-06-01_2023-08-31_T32TPR"


def test_several_periods(summer, season):
    spring = Period.parse("2022-01-01/2022-12-31")
    report = run(season, replace(summer, periods=(SUMMER, spring)))
    made = [(record.period, record.looks) for record in report.records if record.period]
    assert made == [(str(spring), ("before",)), (str(SUMMER), ("one", "two", "three"))]
    assert len(scene_folders(report.folder)) == 2


def test_periods_that_share_days_are_refused_before_anything_is_read(summer, season):
    with pytest.raises(BadPeriod, match="share days"):
        run(season, replace(summer, periods=(SUMMER, Period.parse("2023-08-31/2023-09-30"))))
    assert not summer.tiles.exists()


def test_a_period_without_a_scene_costs_nothing_else(summer, season):
    report = run(season, replace(summer, periods=(SUMMER, Period.parse("2019-01-01/2019-12-31"))))
    assert report.exit_code == 3
    (lost,) = [record for record in report.records if not record.mapped]
    assert (lost.error, lost.id) == ("BadPeriod", "2019-01-01_2019-12-31")
    assert "no mapped scene lies in it" in lost.reason
    assert composite(replace(report, records=tuple(r for r in report.records if r.mapped)))[0].mapped
    assert lost.reason in report.page.read_text()


def test_a_period_without_a_clear_look_says_so(summer, season, tmp_path):
    cloudy = np.full((256, 448), CLOUD, np.uint8)
    pixels = np.random.default_rng(3).integers(300, 2600, (3, 256, 448), dtype=np.uint16)
    scene = scene_on_disk(tmp_path / "scenes", pixels, 640_000, 640 * 8000, "hidden", cloudy)
    record, place = composite(run([season[0], replace(scene, acquired=day(7, 1))], summer))
    assert record.mapped and record.error == "EmptyScene" and "28 cloud" in record.reason
    assert set(read_table(place / "tiles.parquet")["label"]) == {"cloud"}
    assert read_table(place / "tiles.parquet")["looks"].sum() == 0


def test_a_scene_of_unknown_date_is_no_look_and_is_told(summer, season, caplog):
    scenes = [*season[:2], replace(season[2], acquired=UNKNOWN_DATE)]
    report = run(scenes, replace(summer, periods=(Period.parse("1960-01-01/2029-12-31"),)))
    assert composite(report)[0].looks == ("before", "one")
    assert "two: date unknown, a look of no period" in caplog.text
    assert "two" in {folder.name for folder in scene_folders(report.folder)}


def test_looks_that_broke_meanwhile_cost_the_period_alone(summer, season):
    report = run(season, summer)
    (report.folder / "two" / "tiles.parquet").write_bytes(b"broken")
    found = composites.make_composites((SUMMER,), [r for r in report.records if not r.period], report_results(summer))
    assert [(record.mapped, record.error) for record in found] == [(False, "TileTableError")]
    assert not [path for path in report.folder.iterdir() if path.name.startswith(".part")]


def report_results(options):
    return options.results_of("fake")


def test_results_at_an_address_are_those_of_a_local_run(options, season, tmp_path):
    here = replace(elsewhere(options, "here"), periods=(SUMMER,))
    there = replace(elsewhere(options, "copy"), periods=(SUMMER,), results=f"file://{tmp_path}/there")
    run(season, here)
    run(season, there)
    assert outputs(there) == outputs(here)
    assert folder_bytes(tmp_path / "there") == folder_bytes(here.tiles)
    shutil.rmtree(there.tiles)
    assert {record.status for record in run(season, there).records} == {"cached"}
    assert outputs(there) == outputs(here)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the run is killed in a forked child")
def test_killed_while_it_is_made_nothing_half_is_left(summer, season):
    run(season, replace(summer, periods=()))
    began = time.monotonic()
    calm = run(season, summer)
    seconds = time.monotonic() - began
    expected = outputs(summer)
    place, chance = calm.folder / composite(calm)[0].id, random.Random(5)
    for _ in range(5):
        shutil.rmtree(place, ignore_errors=True)
        pid = in_a_child(summer, season)
        time.sleep(chance.uniform(0.1, 0.9) * seconds)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not place.exists() or (place / "scene.json").is_file()
    assert run(season, summer).exit_code == 0
    assert outputs(summer) == expected


def test_it_cannot_be_written_and_the_scenes_stay(summer, season, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(composites, "clearest_pictures", full)
    with pytest.raises(OutputError, match="No space left"):
        run(season, summer)
    listed = json.loads((summer.tiles / "fake" / "run.json").read_text())["scenes"]
    assert [entry["status"] for entry in listed] == ["done"] * 4
    assert sorted(path.name for path in (summer.tiles / "fake").iterdir() if path.is_dir() and path.name[0] != ".") == [
        "before",
        "one",
        "three",
        "two",
    ]


def test_chips_come_from_the_clearest_looks(summer, season):
    report = run(season, replace(summer, keep_chips=True))
    _, folder = composite(report)
    table = read_table(folder / "tiles.parquet").set_index("tile_id")
    assert {path.stem for path in (folder / "chips").iterdir()} == set(table.index)
    for name in table.index[::5]:
        source = report.folder / str(table.at[name, "clearest"]) / "chips" / f"{name}.tif"
        assert (folder / "chips" / f"{name}.tif").read_bytes() == source.read_bytes()


def test_smoothed_scenes_make_smoothed_composites(summer, season):
    _, folder = composite(run(season, replace(summer, smooth=True)))
    table = read_table(folder / "tiles.parquet")
    assert {"code_raw", "label_raw", "looks"} <= set(table.columns)


def test_finished_results_are_composed_without_scenes_and_undone(options, season, tmp_path):
    apart = replace(elsewhere(options, "calm"), periods=(SUMMER,))
    calm = run(season, apart)
    report = run(season, options)
    shutil.rmtree(season[0].files[0].parent)
    found = compose(report.folder, options.maps, [SUMMER], EUROSAT)
    name = composite(calm)[0].id
    assert [record.id for record in found.records] == [name]
    assert folder_bytes(report.folder / name) == folder_bytes(calm.folder / name)
    assert [scene.id for scene in collect(report.folder).scenes] == ["before", name]
    compose(report.folder, options.maps, [], EUROSAT)
    assert len(scene_folders(report.folder)) == 4


def counting(folder, name, codes, sure=80):
    """Gives a scene's results a cover of these codes (y, x) of three classes."""
    path = folder / name / "cover.tif"
    with rasterio.open(folder / name / "landcover.tif") as raster:
        profile = raster.profile
    height, width = codes.shape
    profile = {key: profile[key] for key in ("crs", "nodata", "dtype")}
    with rasterio.open(folder / name / "truecolour.tif") as raster:
        place = raster.transform
    with rasterio.open(
        path, "w", driver="GTiff", count=2, height=height, width=width, transform=place, **profile
    ) as out:
        out.write(np.stack([codes, np.where(codes < 3, sure, 255).astype(np.uint8)]))
        out.write_colormap(1, {at: (10 * at, 0, 0, 255) for at in range(3)})
        out.update_tags(1, **{f"CLASS_{at}": name for at, name in enumerate(("water", "trees", "grass"))})
        out.descriptions = ("class", "confidence in percent")
    item = json.loads((folder / name / "scene.json").read_text())
    named = [{"value": at, "name": name, "color_hint": "00ff00"} for at, name in enumerate(("water", "trees", "grass"))]
    named += [{"value": int(state), "name": state.name.lower()} for state in CoverState]
    item["assets"]["cover"] = {"href": "./cover.tif", "roles": ["data"], "classification:classes": named}
    (folder / name / "scene.json").write_text(json.dumps(item))


def test_the_cover_of_a_period_is_a_vote_at_every_pixel(options, season):
    """Windows, offsets and states: each pixel's answer encodes its place."""
    report = run(season, options)
    y, x = np.mgrid[:256, :448]
    truth = ((x // 9 + y // 5) % 3).astype(np.uint8)
    covers = {name: truth.copy() for name in ("one", "two", "three")}
    covers["one"][:, :128], covers["two"][:, 256:] = CoverState.CLOUD, CoverState.CLOUD
    covers["one"][200:, :128] = CoverState.UNFAMILIAR
    covers["two"][:60, :100] = CoverState.NO_DATA
    covers["three"] = ((truth + 1) % 3).astype(np.uint8)[:, :320]
    for name, codes in covers.items():
        counting(report.folder, name, codes, 60 if name == "three" else 90)
    records = [record for record in report.records if record.id != "before"]
    (record,) = composites.make_composites((SUMMER,), records, report_results(options))
    folder = report.folder / record.id
    with rasterio.open(folder / "cover.tif") as raster, rasterio.open(folder / "cover-looks.tif") as told:
        classes, sure = raster.read()
        looks, apart = told.read()
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and raster.nodata == 255
        assert raster.tags(1)["CLASS_1"] == "trees" and raster.colormap(1)[1] == (10, 0, 0, 255)
    assert (
        np.array_equal(classes[:, 320:], truth[:, 320:]) and (looks[:, 320:] == 1).all() and (sure[:, 320:] == 90).all()
    )
    assert np.array_equal(classes[:, 128:256], truth[:, 128:256])
    assert (looks[:, 128:256] == 3).all() and (apart[:, 128:256] == 33).all()
    assert np.array_equal(classes[:60, :100], covers["three"][:60, :100]) and (looks[:60, :100] == 1).all()
    table = read_table(folder / "tiles.parquet").set_index("tile_id")
    shares = table[["cover_water", "cover_trees", "cover_grass"]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1)
    assert table["purity"].to_numpy() == pytest.approx(shares.max(axis=1).to_numpy())
    corner = classes[:64, :64]
    assert table.loc["32632_1000_7999", "cover_water"] == pytest.approx((corner == 0).mean(), abs=1e-4)


def test_hectares_of_the_cover_count_each_place_once(options, season):
    report = run(season, options)
    codes = np.zeros((256, 448), np.uint8)
    for name in ("before", "one", "two"):
        counting(report.folder, name, codes)
    compose(report.folder, options.maps, [SUMMER], EUROSAT)
    areas = mapped_cover(CoverMap.of(report.folder))
    assert areas["hectares"].tolist() == pytest.approx([28 * 40.96] * 2)
    assert {str(date) for date in areas["date"]} == {"2022-07-03", "2023-07-16"}
