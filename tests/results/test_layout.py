"""Names and states of results stand in one place."""

import ast
import json
from pathlib import Path

import pytest

import pipeline
from pipeline.errors import OutputError
from pipeline.results import layout

HOUSE = Path(pipeline.__file__).parent
NAMES = {value for name, value in vars(layout).items() if name.isupper() and "." in str(value)} - {layout.PART}
STATES = {state.value for kind in (layout.SceneStatus, layout.ChangeState) for state in kind}
# Words that also mean something else: the page's way to choose chips, and the key of a measurement's JSON.
ELSEWHERE = {
    "atlas/chips.py": {"changed"},
    "atlas/page.py": {"changed"},
    "cli/console.py": {"changed"},
    "change/totals.py": {"changed", "stable", "undecided"},
    "change/score.py": {"changed"},
    "cli/train.py": {"refused"},
    "training/recipes/ucmerced_efficientnet_lite.py": {"cached"},
    # The app's own page.
    "web/routes/watching.py": {"index.html"},
    # What becomes of a job of the app.
    "web/answers.py": {"done"},
    "web/job_list.py": {"done", "changed"},
    "web/job_runner.py": {"refused"},
    "web/job_work.py": {"done", "refused"},
    "evaluation/report.py": {"refused"},
    "evaluation/metrics.py": {"refused"},
}


def literals(path):
    """Every text in a module that is no docstring, and no way to sort."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) or (isinstance(node, ast.keyword) and node.arg == "kind")
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    }


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: path.relative_to(HOUSE).as_posix())
def test_no_module_spells_a_name_or_a_state_of_results(path):
    name = path.relative_to(HOUSE).as_posix()
    if name == "results/layout.py":
        assert literals(path) >= NAMES | STATES and len(NAMES) > 8
        return
    found = literals(path)
    assert not (found & (NAMES | STATES)) - ELSEWHERE.get(name, set())
    assert not [text for text in found if any(text.endswith(f"/{one}") for one in NAMES)]


@pytest.mark.parametrize("name", ["", ".", "..", "../away", "a/b", "a\\b", ".hidden", "a+b"])
def test_a_scene_whose_id_is_no_plain_name_gets_no_folder(tmp_path, name):
    with pytest.raises(OutputError, match="no name for a folder of results"):
        layout.scene_folder(tmp_path, name)


def test_folders_are_found_by_what_lies_in_them(tmp_path):
    for place in ("b/one", "b/two", "b/.part-three", "a/four"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / layout.TABLE).touch()
    (tmp_path / "b" / "unfinished").mkdir()
    for model in ("a", "b"):
        (tmp_path / model / layout.RUN_REPORT).touch()
    assert [path.name for path in layout.model_folders(tmp_path)] == ["a", "b"]
    assert layout.model_folders(tmp_path / "b") == [tmp_path / "b"]
    assert [path.name for path in layout.scene_folders(tmp_path / "b")] == ["one", "two"]


def finished(folder, *looks):
    folder.mkdir(parents=True)
    (folder / layout.TABLE).touch()
    if looks:
        (folder / layout.PERIOD).write_text(json.dumps({"looks": looks}))


def test_a_period_speaks_in_place_of_its_looks_while_the_run_lists_it(tmp_path):
    for name in ("june", "july", "winter"):
        finished(tmp_path / name)
    finished(tmp_path / "summer", "june", "july")
    finished(tmp_path / "of-an-earlier-run", "winter")

    def speaking(listed):
        report = {"scenes": [{"id": name} for name in listed]}
        (tmp_path / layout.RUN_REPORT).write_text(json.dumps(report))
        return [path.name for path in layout.scene_folders(tmp_path)]

    assert speaking(["june", "july", "winter", "summer"]) == ["summer", "winter"]
    assert speaking(["june", "july", "winter"]) == ["july", "june", "winter"]
    assert layout.looks_of(tmp_path / "summer") == ("june", "july")
    assert layout.looks_of(tmp_path / "june") is None


def test_the_names_of_a_pair_come_apart_again(tmp_path):
    """Ids may hold two hyphens: with these between them a pair was read as another one."""
    for pair in (("x--y", "z"), ("x", "y--z"), ("S2A_1.5", "b.c")):
        path = layout.evidence_file(tmp_path, *pair, "0123")
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert layout.evidence_files(tmp_path)[path] == pair
    assert len(layout.evidence_files(tmp_path)) == 3


def test_every_file_and_state_is_documented():
    page = (HOUSE.parent / "docs" / "results.md").read_text(encoding="utf-8")
    hidden = {name for name in NAMES if name.startswith(".")} | {layout.PAGE, layout.MATRIX}
    assert not [name for name in NAMES - hidden if f"{name}`" not in page]
    assert not [state for state in STATES if f"`{state}`" not in page]
