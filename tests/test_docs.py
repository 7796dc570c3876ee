"""What exists is documented: verbs, options, columns, networks; the reference is that of today's code."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

import pipeline
from pipeline.change import changes
from pipeline.cli import _VERBS, main
from pipeline.legend import EUROSAT
from tests.change.tables import table

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def text(*names):
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_reference_is_made_from_todays_code(script):
    assert (DOCS / "reference.md").read_text(encoding="utf-8") == script.reference(), "run `make docs` and commit it"


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_and_option_says_what_it_does(verb):
    command = main.get_command(click.Context(main), verb)
    assert command.help
    assert [param.name for param in command.params if isinstance(param, click.Option) and not param.help] == []


def test_every_column_is_told():
    told = text("docs/tables.md")
    tiles = table("a", 0)
    found = {*tiles.columns, *changes([tiles, table("b", 0, days=9)], legend=EUROSAT).columns}
    names = {"p_<class>" if name.startswith("p_") and name[2:] in EUROSAT.labels else name for name in found}
    assert sorted(name for name in names if f"`{name}`" not in told) == []


def test_every_network_is_told(script):
    assert "resnet50" in dict(script.networks())
    assert [name for name, told in script.networks() if len(told) < 20] == []


def test_docs_build_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "decisions" / "roles.html").is_file()


def test_a_wheel_holds_what_the_package_needs(tmp_path):
    """Built from what git knows; the model stays outside (docs/decisions/wheel-without-model.md)."""
    pytest.importorskip("setuptools", minversion="77", reason="the wheel is built by setuptools 77 or newer")
    copy = tmp_path / "copy"
    listed = subprocess.run(["git", "ls-files", "pipeline"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in (*listed.stdout.split(), "pyproject.toml", "README.md", "LICENSE"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path)], cwd=copy, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"landcover_atlas-{pipeline.__version__}-")
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if name.startswith("pipeline/")}
    wanted = {name for name in listed.stdout.split() if not name.endswith((".md", ".gitkeep"))}
    assert wanted - names == set()
    assert wheel.stat().st_size < 2_000_000
