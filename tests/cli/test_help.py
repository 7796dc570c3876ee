import subprocess
import sys

import pytest
from click.testing import CliRunner

from pipeline.cli import _VERBS, main

HEAVY = (
    *("tensorflow", "keras", "torch", "jax", "openvino", "sklearn", "matplotlib", "geopandas", "distributed", "folium"),
    *("fastapi", "uvicorn", "starlette", "rio_tiler", "scipy"),
)


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_explains_itself(verb):
    answer = CliRunner().invoke(main, [verb, "--help"])
    assert answer.exit_code == 0 and answer.output.startswith(f"Usage: main {verb}")


def test_the_command_line_is_there_before_anything_heavy():
    code = f"import sys, pipeline.cli; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", [None, *_VERBS])
def test_help_imports_nothing_heavy(verb):
    code = (
        "import sys\nfrom pipeline.cli import main\n"
        f"try:\n    main({[verb, '--help'] if verb else ['--help']!r})\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give a folder of SCENES, or --demo"),
        (["x", "--demo"], 2, "give a folder of SCENES, or --demo"),
        (["absent"], 2, "absent: there is no such folder"),
        (["empty"], 1, "no Sentinel-2 scene in it"),
        (["empty", "--model", "unheard-of"], 1, "unheard-of: no such model"),
    ],
)
def test_wrong_use_is_told_and_writes_nothing(tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    answer = CliRunner().invoke(main, ["run", *arguments])
    assert answer.exit_code == code
    assert words in answer.output
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
