import subprocess
import sys

import pytest

from pipeline.errors import OutputError
from pipeline.results.staging import only_run, staged_folder, sweep


def test_a_failure_leaves_the_earlier_folder(tmp_path):
    final = tmp_path / "scene"
    with staged_folder(final) as staging:
        (staging / "a").write_text("first")
    with pytest.raises(ValueError, match="broken"), staged_folder(final) as staging:
        (staging / "a").write_text("second")
        raise ValueError("broken")
    assert (final / "a").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


def test_a_finished_folder_replaces_the_earlier_one(tmp_path):
    final = tmp_path / "scene"
    for text, name in (("first", "old-file"), ("second", "a")):
        with staged_folder(final) as staging:
            (staging / name).write_text(text)
    assert [path.name for path in final.iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


def test_sweeping_returns_what_a_kill_set_aside(tmp_path):
    (tmp_path / ".old-lost").mkdir()
    (tmp_path / ".old-kept").mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / ".part-half").mkdir()
    (tmp_path / ".part-page.html").write_text("half")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "lost"]


def test_a_second_run_ends_at_once(tmp_path):
    with only_run(tmp_path), pytest.raises(OutputError, match="another run is writing here"), only_run(tmp_path):
        pass
    with only_run(tmp_path):
        pass


def test_a_killed_run_leaves_no_lock(tmp_path):
    code = (
        "import os, sys, pathlib\nfrom pipeline.results.staging import only_run\nwith "
        "only_run(pathlib.Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    with only_run(tmp_path):
        pass


def test_an_output_that_is_a_file_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), only_run(tmp_path / "file" / "tiles"):
        pass
    with pytest.raises(OutputError, match="cannot be written"), staged_folder(tmp_path / "file" / "scene"):
        pass
