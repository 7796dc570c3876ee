from dataclasses import replace
from datetime import timedelta

import geopandas as gpd
import pandas as pd
import pytest
from click.testing import CliRunner
from shapely import box

from pipeline.batch.main_job import run
from pipeline.cli import main
from pipeline.results.table import read_metadata, write_table


@pytest.fixture
def two_runs(options, scenes, tmp_path):
    """One place in two runs, a year apart."""
    later = replace(scenes[0], id="scene-later", acquired=scenes[0].acquired + timedelta(days=365))
    other = replace(options, tiles=tmp_path / "tiles-later", maps=tmp_path / "maps-later")
    run(scenes[:1], options)
    run([later], other)
    return options.tiles, other.tiles


def invoke(*arguments):
    return CliRunner().invoke(main, ["change", *(str(argument) for argument in arguments)])


def test_two_runs_become_a_table_a_matrix_and_a_page(two_runs, tmp_path):
    first, second = two_runs
    answer = invoke(first / "fake", second / "fake", "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    assert "2024-06-01 to 2025-06-01" in answer.output and "none is sure enough to be claimed" in answer.output
    assert "tiles are judged by class alone" in answer.output  # no run has seen both scenes
    table = gpd.read_parquet(tmp_path / "out" / "changes.parquet")
    assert set(table["before"]) == {"scene-0"} and set(table["after"]) == {"scene-later"}
    assert (table["state"] != "changed").all()  # the same pixels twice
    assert pd.read_csv(tmp_path / "out" / "from-to.csv", index_col=0).to_numpy().sum() == 0
    assert '"mode": "change"' in (tmp_path / "out" / "atlas.html").read_text()


def test_two_scenes_by_name(options, scenes, tmp_path):
    later = replace(scenes[0], id="scene-later", acquired=scenes[0].acquired + timedelta(days=365))
    run([scenes[0], later, scenes[2]], options)
    answer = invoke("scene-0", "scene-later", "--tiles", options.tiles, "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    assert "by class alone" not in answer.output
    (measured,) = (options.tiles / "fake" / ".evidence").glob("scene-0+scene-later.*")
    measured.write_text("junk")
    damaged = invoke("scene-0", "scene-later", "--tiles", options.tiles, "--out", tmp_path / "again")
    assert damaged.exit_code == 0 and "tiles are judged by class alone" in damaged.output
    page = (tmp_path / "out" / "atlas.html").read_text()
    assert "scene-later" in page and "scene-2" not in page


def test_the_bound_on_false_claims_is_an_option(two_runs, tmp_path):
    first, second = two_runs
    answer = invoke(first / "fake", second / "fake", "--out", tmp_path / "out", "--max-false", 0.25)
    assert answer.exit_code == 0, answer.output
    assert read_metadata(tmp_path / "out" / "changes.parquet")["max_false_share"] == 0.25
    assert invoke(first / "fake", second / "fake", "--max-false", 0.9).exit_code == 2


def test_ids_that_hold_two_hyphens_keep_what_was_measured(options, scenes, tmp_path):
    """Names of pairs come apart again: the pixels of `a--1` and `a--1--b` were compared, and count."""
    pair = [
        replace(scenes[0], id=name, acquired=scenes[0].acquired + timedelta(days=days))
        for name, days in (("a--1", 0), ("a--1--b", 365))
    ]
    run(pair, options)
    answer = invoke("a--1", "a--1--b", "--tiles", options.tiles, "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    assert "by class alone" not in answer.output
    mine, runs = (gpd.read_parquet(path / "changes.parquet") for path in (tmp_path / "out", options.tiles / "fake"))
    assert mine["change_vector"].notna().any()
    pd.testing.assert_frame_equal(pd.DataFrame(mine), pd.DataFrame(runs))
    assert (tmp_path / "out" / "heat.parquet").read_bytes() == (options.tiles / "fake" / "heat.parquet").read_bytes()


def test_what_cannot_be_compared_is_told(two_runs, tmp_path):
    first, _ = two_runs
    answer = invoke("scene-0", "unheard-of", "--tiles", first, "--out", tmp_path / "out")
    assert (
        answer.exit_code == 1
        and "unheard-of: neither a run nor a scene" in answer.output
        and "scene-0" in answer.output
    )
    answer = invoke("", ".", "--tiles", first, "--out", tmp_path / "out")
    assert answer.exit_code == 1 and "neither a run nor a scene" in answer.output
    answer = invoke("scene-0", "scene-0", "--tiles", first, "--out", tmp_path / "out")
    assert answer.exit_code == 1 and "scene-0: is both sides of the comparison" in answer.output
    assert not (tmp_path / "out").exists()


def test_scenes_of_two_places_and_a_folder_that_cannot_be_made_are_refused(options, scenes, two_runs, tmp_path):
    first, second = two_runs
    away = replace(options, tiles=tmp_path / "tiles-away", maps=tmp_path / "maps-away")
    table = gpd.read_parquet(first / "fake" / "scene-0" / "tiles.parquet")
    run(scenes[1:2], away)
    path = away.tiles / "fake" / scenes[1].id / "tiles.parquet"
    moved = table.assign(tile_id=table["tile_id"].str.replace("326", "327"), scene=scenes[1].id)
    write_table(moved, path, read_metadata(path))
    answer = invoke(first, away.tiles, "--out", tmp_path / "out")
    assert answer.exit_code == 1 and "no tile carries an answer in both" in answer.output
    (tmp_path / "file").write_text("in the way")
    answer = invoke(first, second, "--out", tmp_path / "file" / "out")
    assert answer.exit_code == 1 and "choose another --out folder" in answer.output


def test_the_folder_of_tiles_means_its_only_model(two_runs, tmp_path):
    first, second = two_runs
    answer = invoke(first, second, "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    assert "2024-06-01 to 2025-06-01" in answer.output


def test_change_of_regions_is_told_and_written(two_runs, tmp_path):
    first, second = two_runs
    regions = tmp_path / "world.geojson"
    gpd.GeoDataFrame({"kreis": ["World"]}, geometry=[box(-180, -80, 180, 84)], crs=4326).to_file(regions)
    wanted = ["--out", tmp_path / "out", "--regions", regions, "--name-field", "kreis"]
    answer = invoke(first / "fake", second / "fake", *wanted)
    assert answer.exit_code == 0, answer.output
    assert "World\n" in answer.output
    told = pd.read_csv(tmp_path / "out" / "regions.csv")
    compared = gpd.read_parquet(tmp_path / "out" / "changes.parquet")
    assert told["hectares"].sum() == pytest.approx(len(compared) * 40.96, rel=1e-6)
    assert set(told["region"]) == {"World"}
