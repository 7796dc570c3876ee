"""What a run tells of its scenes comes back as it was told."""

import json

import pytest

from pipeline.errors import TileTableError
from pipeline.results.layout import RUN_REPORT, SceneStatus
from pipeline.results.record import SceneRecord, read_records, write_run
from pipeline.scenes.scene import Refusal

RECORDS = [
    SceneRecord("a", SceneStatus.DONE, counts={"Forest": 3, "cloud": 1}, classified=3, warnings=("hazy",), seconds=1.5),
    SceneRecord("b", SceneStatus.CACHED, error="EmptyScene", reason="b: nothing"),
    SceneRecord("c", SceneStatus.REFUSED, error="CorruptScene", reason="c: cut off"),
]


def test_records_come_back_as_they_were_written(tmp_path):
    write_run(tmp_path, {"software": "x"}, RECORDS)
    assert read_records(tmp_path) == tuple(RECORDS)
    assert [record.mapped for record in read_records(tmp_path)] == [True, True, False]
    assert json.loads((tmp_path / RUN_REPORT).read_text())["software"] == "x"


def test_fields_of_another_version_do_no_harm(tmp_path):
    (tmp_path / RUN_REPORT).write_text(json.dumps({"scenes": [{"id": "a", "status": "done", "mood": "good"}]}))
    assert read_records(tmp_path) == (SceneRecord("a", SceneStatus.DONE),)
    assert read_records(tmp_path / "elsewhere") == ()


@pytest.mark.parametrize("entry", [{"id": "a"}, {"id": "a", "status": "lost"}, {"status": "done"}, 3])
def test_a_report_that_is_none_is_refused(tmp_path, entry):
    (tmp_path / RUN_REPORT).write_text(json.dumps({"scenes": [entry]}))
    with pytest.raises(TileTableError, match="not a run report"):
        read_records(tmp_path)


def test_text_that_has_no_utf8_can_be_written(tmp_path):
    refused = SceneRecord.refused(Refusal("a", "CorruptScene", "name \ud800\x1b[31m is odd"))
    assert refused.reason == "name ??[31m is odd"
    write_run(tmp_path, {}, [refused, SceneRecord("b", SceneStatus.DONE, layout="\udcff")])
    assert read_records(tmp_path)[1].layout == "?"
