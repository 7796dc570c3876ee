import pytest

from pipeline.errors import OutputError
from pipeline.files import digest, whole_file, write_text


def test_text_appears_whole(tmp_path):
    write_text(tmp_path / "new" / "a.json", "{}")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]
    assert digest(tmp_path / "new" / "a.json").startswith("44136fa355b3678a")


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first")
    with pytest.raises(ValueError, match="broken"), whole_file(path) as part:
        part.write_text("half")
        raise ValueError("broken")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a.txt", "first")]


def test_what_cannot_be_written_is_an_output_error_with_its_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"a.json: cannot be written \(.*\); choose well"),
        whole_file(tmp_path / "file" / "a.json", "choose well"),
    ):
        pass
