"""Habits of the code that no other tool holds."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def modules(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path):
    """Full names of what a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_record(node):
    """A public frozen dataclass or NamedTuple."""
    if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
        return False
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    frozen = any("dataclass" in mark and "frozen=True" in mark for mark in marks)
    return frozen or any(ast.unparse(base).endswith("NamedTuple") for base in node.bases)


def untold(text):
    """Public fields of public records (record.field) without a sentence under them."""
    for record in filter(is_record, ast.walk(ast.parse(text))):
        for field, under in zip(record.body, [*record.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign) or field.target.id.startswith("_"):
                continue
            told = isinstance(under, ast.Expr) and isinstance(getattr(under.value, "value", None), str)
            if not told and "ClassVar" not in ast.unparse(field.annotation):
                yield f"{record.name}.{field.target.id}"


def test_a_sentence_stands_under_each_field_of_public_records():
    found = {path.relative_to(ROOT).as_posix(): list(untold(path.read_text("utf-8"))) for path in modules("pipeline")}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ('class A(NamedTuple):\n    x: int\n    """Told."""\n    y: int', ["A.y"]),
        (
            '@dataclass(frozen=True, slots=True)\nclass B:\n    x: int = 1\n\n    def f(self):\n        """F."""',
            ["B.x"],
        ),
        ('@dataclass(frozen=True)\nclass C:\n    x: int\n    """Told."""\n    _y: int\n    z: ClassVar[int] = 1', []),
        ("@dataclass\nclass D:\n    x: int", []),
        ("@dataclass(frozen=True)\nclass _E:\n    x: int", []),
    ],
)
def test_fields_without_a_sentence_are_seen(body, missing):
    assert list(untold(body)) == missing


def test_tests_share_by_fixtures_and_makers_only():
    """What a test module or a conftest defines stays its own; others ask for a fixture, or a module of makers."""
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in modules("tests")
        for name in imported(path)
        if name.startswith("tests.") and any(part.startswith(("test_", "conftest")) for part in name.split("."))
    }
    assert found == set()


def test_benchmarks_and_tests_do_not_import_each_other():
    wrong = {"benchmarks": "tests", "tests": "benchmarks"}
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for folder, other in wrong.items()
        for path in modules(folder)
        for name in imported(path)
        if name.split(".")[0] == other
    }
    assert found == set()
