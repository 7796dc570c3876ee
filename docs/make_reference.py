"""Writes docs/reference.md from the code: verbs and options, classes, networks, errors.

`make docs` calls it, a test compares.

python docs/make_reference.py
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline import errors, legend  # noqa: E402 - the checkout must be on the path first
from pipeline.cli import main  # noqa: E402

TARGET = ROOT / "docs" / "reference.md"
NETWORKS = next((ROOT / "pipeline" / "models").glob("*/resnet50.py")).parent


def reference() -> str:
    """The page as Markdown."""
    lines = ["# Reference", "", "Made from the code by `make docs`; do not edit.", "", "## Verbs", ""]
    context = click.Context(main, info_name="python -m pipeline")
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        lines += [f"### {name}", "", *_verb(command, context, name)]
    lines += ["## Legends", ""]
    for one in (legend.EUROSAT, legend.COVER, legend.UC_MERCED):
        lines += [f"### {one.name}", "", "| code | label | title | colour | roles |", "|---|---|---|---|---|"]
        lines += [
            f"| {code} | {entry.label} | {entry.title} | `{entry.colour}` | {', '.join(entry.roles)} |"
            for code, entry in enumerate(one.classes)
        ]
        lines.append("")
    lines += ["## Networks", "", "| `train --arch` | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {_flat(told)} |" for name, told in networks()]
    lines += ["", "## Errors", "", "| error | when |", "|---|---|"]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    lines += [f"| `{kind.__name__}` | {_flat(kind.__doc__)} |" for kind in kinds]
    return "\n".join(lines) + "\n"


def networks() -> list[tuple[str, str]]:
    """Every network's name and the first line of its module, which is read and not imported."""
    files = [path for path in sorted(NETWORKS.glob("*.py")) if not path.stem.startswith("_")]
    told = [(path, ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "") for path in files]
    return [(path.stem.replace("_", "-"), text.partition("\n")[0]) for path, text in told]


def _verb(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=name)
    yield f"    {' '.join(['python -m pipeline', name, *command.collect_usage_pieces(context)])}"
    yield ""
    yield _flat(command.help)
    yield ""
    rows = [param.get_help_record(context) for param in command.params]
    if told := [row for row in rows if row is not None]:
        yield "| option | what it does |"
        yield "|---|---|"
        yield from (f"| `{_cell(option)}` | {_cell(text)} |" for option, text in told)
        yield ""


def _flat(text: str | None) -> str:
    return _cell(" ".join((text or "").split()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8", newline="\n")
