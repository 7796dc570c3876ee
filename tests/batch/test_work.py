"""One scene can never cost the run, whatever happens to it."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.atlas import collect as collecting
from pipeline.batch import date_changes, work
from pipeline.batch.main_job import run
from pipeline.errors import ModelError, OutputError
from pipeline.results.layout import EVIDENCE, TABLE, SceneStatus
from pipeline.results.record import read_records
from pipeline.scenes.scene import Refusal


def outcome(options):
    """What the report on the disk says, and whether there is a page."""
    found = {record.id: (record.status, record.error) for record in read_records(options.tiles / "fake")}
    return found, (options.maps / "atlas.html").is_file()


DONE = (SceneStatus.DONE, None)


@pytest.mark.parametrize("moment", ["inspect_pixels", "classify_scene", "write_item"])
@pytest.mark.parametrize(
    "error", [KeyError("roles"), RecursionError(), UnicodeEncodeError("utf-8", "x\ud800", 1, 2, "?")]
)
def test_an_error_that_nobody_foresaw_is_that_scenes_refusal(options, scenes, monkeypatch, moment, error):
    right = getattr(work, moment)

    def fails_on_one(first, *rest, **more):
        if "scene-1" in (getattr(first, "id", ""), getattr(getattr(first, "scene", None), "id", "")):
            raise error
        return right(first, *rest, **more)

    monkeypatch.setattr(work, moment, fails_on_one)
    report = run(scenes, options)
    refused = (SceneStatus.REFUSED, "PipelineError")
    assert outcome(options) == ({"scene-0": DONE, "scene-1": refused, "scene-2": DONE}, True)
    assert report.exit_code == 3 and type(error).__name__ in report.records[1].reason
    assert not (options.tiles / "fake" / "scene-1").exists()
    assert run(scenes[:1], options).exit_code == 0


@pytest.mark.parametrize("reading", ["fingerprint", "check_files"])
def test_a_file_that_goes_while_it_is_read_is_no_fault_of_the_outputs(options, scenes, monkeypatch, reading):
    right = getattr(work, reading)

    def fails_on_one(first, *rest):
        if getattr(first, "scene", first).id == "scene-1":
            raise FileNotFoundError(2, "No such file or directory", "scene-1.tif")
        return right(first, *rest)

    monkeypatch.setattr(work, reading, fails_on_one)
    run(scenes, options)
    assert outcome(options) == (
        {"scene-0": DONE, "scene-1": (SceneStatus.REFUSED, "CorruptScene"), "scene-2": DONE},
        True,
    )


@pytest.mark.parametrize("error", [ModelError("the model is gone"), OutputError("the disk is full")])
def test_what_is_no_scenes_fault_ends_the_run(options, scenes, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(work, "classify_scene", fails)
    with pytest.raises(type(error)):
        run(scenes, options)


def test_odd_metadata_cost_their_scene_alone(options, scenes):
    """Names that have no UTF-8 are told as far as they can be, and the run goes on."""
    odd = replace(scenes[1], platform="sentinel-2\ud800", warnings=("odd \udcff",))
    run([scenes[0], odd, Refusal("none", "NotAScene", "na\ud800me: no raster")], options)
    found, page = outcome(options)
    assert found == {"scene-0": DONE, "scene-1": DONE, "none": (SceneStatus.REFUSED, "NotAScene")} and page


def test_a_comparison_that_fails_leaves_report_and_page(options, scenes, monkeypatch, caplog):
    dates = [replace(scenes[0], id=f"date-{n}", acquired=scenes[0].acquired + timedelta(days=n)) for n in range(2)]

    def fails(*_, **__):
        raise ZeroDivisionError("nothing to compare")

    monkeypatch.setattr(date_changes, "compare_dates", fails)
    assert run(dates, options).exit_code == 0
    assert outcome(options) == ({"date-0": DONE, "date-1": DONE}, True)
    assert "could not be compared: ZeroDivisionError" in caplog.text


def test_a_pair_whose_pixels_fail_is_compared_by_its_classes(options, scenes, monkeypatch, caplog):
    dates = [replace(scenes[0], id=f"date-{n}", acquired=scenes[0].acquired + timedelta(days=n)) for n in range(2)]

    def fails(*_, **__):
        raise IndexError("no such band")

    monkeypatch.setattr(date_changes, "evidence", fails)
    run(dates, options)
    assert "compared by their classes alone" in caplog.text
    assert (options.tiles / "fake" / "changes.parquet").is_file()
    assert not list((options.tiles / "fake" / EVIDENCE).glob("*.parquet"))


def test_results_that_do_not_read_back_refuse_their_scene(options, scenes, monkeypatch):
    read = collecting._read_scene

    def fails_on_one(path, *rest):
        if path.parent.name == "scene-1":
            raise LookupError("no such place")
        return read(path, *rest)

    monkeypatch.setattr(collecting, "_read_scene", fails_on_one)
    report = run(scenes, options)
    refused = (SceneStatus.REFUSED, "TileTableError")
    assert outcome(options) == ({"scene-0": DONE, "scene-1": refused, "scene-2": DONE}, True)
    assert report.exit_code == 3


def test_two_scenes_never_write_one_folder(options, scenes):
    """Capitals do not tell folders apart on every disk; what the search gives is not what decides."""
    same = [scenes[0], replace(scenes[1], id="scene-0"), replace(scenes[2], id="SCENE-0")]
    report = run([*same, replace(scenes[1], id="../scene-9")], options)
    stored = json.loads((options.tiles / "fake" / "run.json").read_text())["scenes"]
    assert [entry["status"] for entry in stored].count("done") == 1 and report.exit_code == 3
    reasons = sorted(record.reason for record in report.records if not record.mapped)
    assert "no name for a folder" in reasons[0]
    assert all("has the name scene-0" in reason for reason in reasons[1:]) and len(reasons) == 3
    assert sorted(path.parent.name for path in options.tiles.rglob(TABLE)) == ["scene-0"]
    assert not (options.tiles / "scene-9").exists()
