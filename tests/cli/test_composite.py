"""The verb and the option: what is wrong usage, what is told, what can be undone."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner

from pipeline.batch.main_job import run
from pipeline.cli import main
from pipeline.results.layout import scene_folders


@pytest.mark.parametrize(
    ("periods", "told"),
    [
        (["2018"], "write first and last day"),
        (["2018-09-30/2018-05-01"], "ends before it begins"),
        (["2018-05-01/2018-09-30", "2018-09-30/2018-10-01"], "share days"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "composite"])
def test_periods_that_are_none_are_wrong_usage(verb, periods, told, tmp_path):
    option = {"run": "--composite", "composite": "--period"}[verb]
    asked = [part for period in periods for part in (option, period)]
    done = CliRunner().invoke(main, [verb, str(tmp_path), *asked])
    assert done.exit_code == 2
    assert told in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def finished(options, scenes, tmp_path):
    """Two looks at one place, mapped."""
    looks = [scenes[0], replace(scenes[0], id="later", acquired=scenes[0].acquired + timedelta(days=20))]
    run(looks, options)
    return options


def invoke(options, *asked):
    return CliRunner().invoke(main, ["composite", str(options.tiles), "--maps", str(options.maps), *asked])


def test_finished_results_get_a_period_and_lose_it_again(finished):
    folder = finished.tiles / "fake"
    done = invoke(finished, "--period", "2024-06-01/2024-06-30")
    assert done.exit_code == 0, done.output
    assert "2 looks" in done.output and "atlas.html" in done.output
    (one,) = scene_folders(folder)
    assert one.name.startswith("2024-06-01_2024-06-30_")
    assert "Jun 2024" in (finished.maps / "atlas.html").read_text()
    assert invoke(finished).exit_code == 0
    assert [place.name for place in scene_folders(folder)] == ["later", "scene-0"]


def test_a_period_without_a_scene_is_told_and_leaves_the_others(finished):
    done = invoke(finished, "--period", "2024-06-01/2024-06-30", "--period", "2019-06-01/2019-06-30")
    assert done.exit_code == 3
    assert "2019-06-01/2019-06-30: no mapped scene lies in it" in done.output
    assert len(scene_folders(finished.tiles / "fake")) == 1
    assert invoke(finished, "--period", "2019-06-01/2019-06-30").exit_code == 1
    records = json.loads((finished.tiles / "fake" / "run.json").read_text())["scenes"]
    assert sorted(record["status"] for record in records) == ["done", "done", "refused"]


def test_a_folder_without_results_is_wrong_usage(tmp_path):
    done = CliRunner().invoke(main, ["composite", str(tmp_path), "--period", "2024-06-01/2024-06-30"])
    assert done.exit_code == 2
    assert "run the pipeline on a folder of scenes first" in done.output
