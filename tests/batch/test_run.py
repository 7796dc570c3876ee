import json
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pystac
import pytest
import rasterio

from pipeline.batch.main_job import run
from pipeline.errors import OutputError
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import UNKNOWN_DATE, Refusal
from tests.builders import scene_on_disk
from tests.fakes import FakeClassifier
from tests.runs import LEFT, TOP, folder_bytes


def test_outputs_follow_the_contract(options, scenes):
    report = run(scenes[:1], options)
    assert report.exit_code == 0
    folder = options.tiles / "fake" / "scene-0"
    assert sorted(path.name for path in folder.iterdir()) == [
        "landcover.tif",
        "landcover.tif.aux.xml",
        "overview.webp",
        "quicklook.webp",
        "scene.json",
        "tiles.parquet",
        "truecolour.tif",
    ]
    table = gpd.read_parquet(folder / "tiles.parquet")
    assert table.crs.to_epsg() == 32632 and table["tile_id"].is_unique
    with rasterio.open(folder / "landcover.tif") as raster:
        assert raster.dtypes == ("uint8", "uint8") and raster.res == (640, 640) and raster.nodata == 255
        assert raster.colormap(1)[0] == (0xE9, 0xD3, 0x3F, 255)
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        for row in table[table["code"] >= 0].itertuples():
            at = raster.index(row.geometry.centroid.x, row.geometry.centroid.y)
            assert raster.read(1)[at] == row.code
            assert raster.read(2)[at] == round(row.confidence * 100)
    with rasterio.open(folder / "truecolour.tif") as raster:
        assert (
            raster.block_shapes[0] == (64, 64)
            and raster.transform.c == table.total_bounds[0]
            and raster.transform.f == table.total_bounds[3]
        )
    item = pystac.Item.from_file(folder / "scene.json")
    assert item.datetime.isoformat() == "2024-06-01T00:00:00+00:00"
    assert item.properties["proj:code"] == "EPSG:32632"
    assert {asset.href for asset in item.assets.values()} == {
        "./landcover.tif",
        "./landcover.tif.aux.xml",
        "./overview.webp",
        "./quicklook.webp",
        "./tiles.parquet",
        "./truecolour.tif",
    }
    stored = json.loads((options.tiles / "fake" / "run.json").read_text())
    assert [(entry["id"], entry["status"]) for entry in stored["scenes"]] == [("scene-0", "done")]
    assert sum(stored["scenes"][0]["counts"].values()) == len(table)
    assert report.page == options.maps / "atlas.html" and report.page.is_file()


def test_one_bad_scene_among_good_ones_costs_nothing_else(options, scenes):
    run([scenes[0], scenes[2]], options)
    alone = folder_bytes(options.tiles / "fake" / "scene-0"), folder_bytes(options.tiles / "fake" / "scene-2")
    path = scenes[1].files[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = run([*scenes, Refusal("no-blue", "IncompleteScene", "no-blue: lacks B02; add the file")], options)
    assert report.exit_code == 3
    status = {record.id: (record.status, record.error) for record in report.records}
    assert status == {
        "scene-0": ("cached", None),
        "scene-1": ("refused", "CorruptScene"),
        "scene-2": ("cached", None),
        "no-blue": ("refused", "IncompleteScene"),
    }
    assert (folder_bytes(options.tiles / "fake" / "scene-0"), folder_bytes(options.tiles / "fake" / "scene-2")) == alone
    assert not (options.tiles / "fake" / "scene-1").exists()
    page = report.page.read_text()
    assert "no-blue" in page and "scene-1" in page


def test_a_file_that_differs_from_its_checksum_leaves_nothing(options, scenes):
    good = scenes[0]
    bad = replace(
        good, id="bad", assets={band: replace(asset, checksum="MD5:" + "0" * 32) for band, asset in good.assets.items()}
    )
    records = {record.id: record for record in run([good, bad], options).records}
    assert (records["scene-0"].status, records["bad"].status, records["bad"].error) == (
        "done",
        "refused",
        "CorruptScene",
    )
    assert "manifest" in records["bad"].reason
    assert sorted(
        path.name for path in (options.tiles / "fake").iterdir() if path.is_dir() and not path.name.startswith(".")
    ) == ["scene-0"]


def test_nothing_usable_is_exit_code_one(options):
    report = run([Refusal("x", "NotAScene", "x: no raster")], options)
    assert report.exit_code == 1 and report.page is None
    assert not (options.maps / "atlas.html").exists()


def test_a_second_run_finds_everything_done_and_writes_the_same_page(options, scenes):
    first = run(scenes, options)
    page, tables = first.page.read_bytes(), folder_bytes(options.tiles)
    second = run(scenes, options)
    assert [record.status for record in second.records] == ["cached"] * 3
    assert second.page.read_bytes() == page and folder_bytes(options.tiles) == tables


@pytest.mark.parametrize("change", ["force", "option", "input", "output"])
def test_what_changed_is_done_again(options, scenes, change):
    from dataclasses import replace

    run(scenes[:1], options)
    again = options
    if change == "force":
        again = replace(options, force=True)
    if change == "option":
        again = replace(options, classify=replace(options.classify, min_valid=0.9))
    if change == "input":
        with rasterio.open(scenes[0].files[0], "r+") as raster:
            raster.write(raster.read(1) + 1, 1)
    if change == "output":
        (options.tiles / "fake" / "scene-0" / "landcover.tif").write_bytes(b"damaged")
    assert [record.status for record in run(scenes[:1], again).records] == ["done"]


def test_the_same_scenes_from_another_folder_give_the_same_bytes(options, scenes, tmp_path):
    from dataclasses import replace

    run(scenes, options)
    other = replace(options, tiles=tmp_path / "tiles2", maps=tmp_path / "maps2")
    moved = tmp_path / "moved"
    scenes[0].files[0].parent.rename(moved)
    again = []
    for scene in reversed(scenes):
        path = moved / scene.files[0].name
        again.append(
            replace(
                scene,
                files=(path,),
                assets={band: replace(asset, href=str(path)) for band, asset in scene.assets.items()},
            )
        )
    run(again, other)
    assert folder_bytes(other.tiles) == folder_bytes(options.tiles)
    assert (other.maps / "atlas.html").read_bytes() == (options.maps / "atlas.html").read_bytes()


def test_a_scene_without_any_class_is_told(options, tmp_path):
    scene = scene_on_disk(tmp_path, np.zeros((3, 70, 70), np.uint16), LEFT, TOP, "dark")
    report = run([scene], options)
    assert report.exit_code == 0
    assert report.records[0].error == "EmptyScene" and "no data" in report.records[0].reason


def test_outputs_among_the_inputs_are_refused(options, scenes):
    from dataclasses import replace

    with pytest.raises(OutputError, match="among the scenes"):
        run(scenes, replace(options, tiles=scenes[0].files[0].parent))


def test_chips_are_the_patches_that_the_network_saw(options, scenes):
    from dataclasses import replace

    run(scenes[:1], replace(options, keep_chips=True))
    folder = options.tiles / "fake" / "scene-0"
    table = gpd.read_parquet(folder / "tiles.parquet").set_index("tile_id")
    whole = table.index[table["valid_fraction"] == 1][0]
    with rasterio.open(folder / "chips" / f"{whole}.tif") as chip:
        assert chip.shape == (64, 64) and chip.descriptions == ("B04", "B03", "B02")
        assert tuple(chip.bounds) == table.at[whole, "geometry"].bounds
        answer = FakeClassifier().predict(np.moveaxis(chip.read(), 0, -1)[None])[0].argmax()
    assert answer == table.at[whole, "code"]


def test_smoothing_leans_on_the_neighbours(options, scenes):
    from dataclasses import replace

    run(scenes[:1], options)
    plain = gpd.read_parquet(options.tiles / "fake" / "scene-0" / "tiles.parquet")
    assert [record.status for record in run(scenes[:1], replace(options, smooth=True)).records] == ["done"]
    smoothed = gpd.read_parquet(options.tiles / "fake" / "scene-0" / "tiles.parquet")
    assert (smoothed["code"] < 0).equals(plain["code"] < 0)
    assert not smoothed["label"].astype(str).equals(plain["label"].astype(str))
    probabilities = [name for name in plain if name.startswith("p_")]
    assert smoothed[probabilities].equals(plain[probabilities])
    assert smoothed["label_raw"].astype(str).equals(plain["label"].astype(str))


def test_real_input_of_one_date(options, shared_data):
    report = run(find_scenes(shared_data / "scenes" / "bolzano"), options)
    assert [(record.status, record.level) for record in report.records] == [("done", "L2A")]
    assert report.records[0].acquired == "2022-06-12T10:30:00+00:00"


def test_a_scene_that_left_the_folder_leaves_the_page(options, scenes):
    run(scenes[:2], options)
    assert "scene-1" in (options.maps / "atlas.html").read_text()
    run(scenes[:1], options)
    assert "scene-1" not in (options.maps / "atlas.html").read_text()
    assert (options.tiles / "fake" / "scene-1" / "tiles.parquet").exists()


def test_evidence_of_a_pair_is_measured_once(options, scenes, monkeypatch):
    from dataclasses import replace
    from datetime import timedelta

    from pipeline.batch import date_changes as changes_module

    asked = []

    def counted(before, after, grid):
        asked.append((before.id, after.id))
        return measure(before, after, grid)

    measure = changes_module.evidence
    monkeypatch.setattr(changes_module, "evidence", counted)
    dates = [replace(scenes[0], id=f"date-{n}", acquired=scenes[0].acquired + timedelta(days=10 * n)) for n in range(3)]
    run(dates[:2], options)
    first = gpd.read_parquet(options.tiles / "fake" / "changes.parquet")
    run(dates[:2], options)
    assert asked == [("date-0", "date-1")]
    run(dates, options)
    assert asked == [("date-0", "date-1"), ("date-1", "date-2")]
    assert (first["state"] != "changed").all() and first["change_vector"].notna().any()


def test_a_scene_of_unknown_date_is_mapped_and_not_compared(options, scenes, caplog):
    run([replace(scenes[0], id="undated", acquired=UNKNOWN_DATE), replace(scenes[0], id="dated")], options)
    assert (options.tiles / "fake" / "undated" / "tiles.parquet").exists()
    assert not (options.tiles / "fake" / "changes.parquet").exists()
    assert "undated: date unknown, not compared" in caplog.text
