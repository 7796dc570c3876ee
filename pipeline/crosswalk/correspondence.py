"""The tables: which class becomes which class of another legend, read from CSV and checked."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import CrosswalkError, ModelError
from pipeline.legend import LandCoverClass, Legend, Role, make_legend
from pipeline.palette import distinct, ink

SHIPPED = Path(__file__).with_name("shipped")
_COLUMNS = ("legend", "from", "label", "title", "colour", "roles", "code", "note")
_NEEDED = ("from", "label")
# `# title: ...` and `# source: ...` above the table.
_TOLD = re.compile(r"#\s*(title|source)\s*:\s*(.+)", re.IGNORECASE)
_COLOUR = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
_CODES = re.compile(r"(-?\d{1,9})(?:-(\d{1,9}))?", re.ASCII)
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Correspondence:
    """One class that becomes another."""

    legend: str
    """The legend that the class is of, empty where its label is enough."""
    origin: str
    """The class's label."""
    label: str
    """The label that it gets."""
    note: str
    """What a reader must know: what is among it, what cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Crosswalk:
    """A table of correspondences into one legend."""

    name: str
    """What it is called on the command line."""
    title: str
    """The legend's name for people."""
    source: str
    """Where the table's decisions come from."""
    rows: tuple[Correspondence, ...]
    """Every class that becomes one of `legend`."""
    legend: Legend
    """All classes of the other legend, those that nothing becomes among them."""
    codes: Mapping[int, str]
    """What the codes of that legend's own rasters mean; an empty label is no data."""

    def notes(self, labels: Sequence[str]) -> tuple[str, ...]:
        """What must be known of these classes, each with the class before it."""
        return tuple(f"{row.origin}: {row.note}" for row in self.rows if row.note and row.origin in labels)


def shipped() -> dict[str, Path]:
    """The tables that come along, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.csv"))}


def find_crosswalk(wanted: str) -> Crosswalk:
    """The shipped table of this name, or a user's file.

    Raises:
        CrosswalkError: there is no such table, or it is not whole.
    """
    known = shipped()
    if wanted in known:
        return read_crosswalk(known[wanted])
    if not (path := Path(wanted)).is_file():
        raise CrosswalkError(f"{wanted}: no legend of this name and no such file; give {', '.join(known)} or a CSV")
    return read_crosswalk(path)


def read_crosswalk(path: Path) -> Crosswalk:
    """The table in a CSV file; docs/legends.md tells its columns.

    Raises:
        CrosswalkError: the file is no such table, names a class twice, or has a colour, role or code that is none.
    """
    told, lines = _lines(path)
    rows: list[Correspondence] = []
    stated: dict[str, dict[str, str]] = {}
    codes: dict[int, str] = {}
    for number, line in lines:
        where = f"{path}, line {number}"
        origin, label, legend = line["from"], line["label"], line["legend"]
        if strange := next((text for text in (origin, label, line["title"]) if not _is_name(text)), None):
            raise CrosswalkError(f"{where}: {strange[:_LONGEST]!r} is no name; use at most {_LONGEST} printable signs")
        if origin and not label:
            raise CrosswalkError(f"{where}: {origin} becomes nothing; fill in the column label")
        if origin and (twin := next((row for row in rows if _same(row, legend, origin)), None)):
            raise CrosswalkError(
                f"{where}: {origin} stands twice, it becomes {twin.label} already; a class can become one only"
            )
        for code in _parsed_codes(line["code"], where):
            if codes.setdefault(code, label) != label:
                raise CrosswalkError(f"{where}: the code {code} is {codes[code] or 'no data'} already; keep one")
        if origin:
            rows.append(Correspondence(legend, origin, label, line["note"]))
        if label:
            _state(stated.setdefault(label, {}), line, where)
    if not rows:
        raise CrosswalkError(f"{path}: no class becomes another; fill in the columns from and label")
    name = path.stem
    return Crosswalk(
        name, told.get("title", name), told.get("source", str(path)), tuple(rows), _legend(name, stated, path), codes
    )


def read_codes(path: Path) -> dict[int, str]:
    """What the codes of a reference raster mean, from a CSV with the columns code and label.

    Several codes may stand on a line (`111-142 1`); an empty label is no data.

    Raises:
        CrosswalkError: the file is no such table, or a code has two labels.
    """
    _, lines = _lines(path, ("code", "label"))
    codes: dict[int, str] = {}
    for number, line in lines:
        where = f"{path}, line {number}"
        for code in _parsed_codes(line["code"], where):
            if codes.setdefault(code, line["label"]) != line["label"]:
                raise CrosswalkError(f"{where}: the code {code} is {codes[code] or 'no data'} already; keep one")
    if not any(codes.values()):
        raise CrosswalkError(f"{path}: no code has a label; fill in the columns code and label")
    return codes


def _lines(path: Path, needed: Sequence[str] = _NEEDED) -> tuple[dict[str, str], list[tuple[int, dict[str, str]]]]:
    """What comments above the table tell, and its rows with the numbers of their lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise CrosswalkError(f"{path}: cannot be read ({error}); give a CSV in UTF-8") from error
    told: dict[str, str] = {}
    kept: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TOLD.fullmatch(line.strip()):
            told[found[1].lower()] = found[2].strip()
        elif line.strip() and not line.lstrip().startswith("#"):
            kept.append((number, line))
    separator = ";" if kept and ";" in kept[0][1] else ","
    reader = csv.reader((line for _, line in kept), delimiter=separator)
    header = [name.strip().lower() for name in next(reader, [])]
    if missing := [name for name in needed if name not in header]:
        raise CrosswalkError(f"{path}: lacks the column {', '.join(missing)}; its columns may be {', '.join(_COLUMNS)}")
    rows = []
    for (number, _), cells in zip(kept[1:], reader, strict=False):
        if len(cells) > len(header):
            raise CrosswalkError(f"{path}, line {number}: has more cells than columns; put texts with commas in quotes")
        given = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        rows.append((number, {name: given.get(name, "") for name in _COLUMNS}))
    return told, rows


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST and text.isprintable()


def _same(row: Correspondence, legend: str, origin: str) -> bool:
    return row.origin == origin and (not row.legend or not legend or row.legend == legend)


def _parsed_codes(text: str, where: str) -> Iterator[int]:
    for part in text.replace(";", " ").split():
        found = _CODES.fullmatch(part)
        if found is None:
            raise CrosswalkError(f"{where}: {part!r} is no code; give whole numbers such as 10 or 111-142")
        first, last = int(found[1]), int(found[2] or found[1])
        if not 0 <= last - first < 10_000:
            raise CrosswalkError(f"{where}: {part!r} is no range of codes; give the lower one first")
        yield from range(first, last + 1)


def _state(known: dict[str, str], line: Mapping[str, str], where: str) -> None:
    """Keeps what a row states of its target class; refuses what contradicts an earlier row."""
    if line["colour"] and not _COLOUR.fullmatch(line["colour"]):
        raise CrosswalkError(f"{where}: {line['colour']!r} is no colour; write it like #e9d33f")
    try:
        for role in line["roles"].replace(";", " ").split():
            Role(role)
    except ValueError as error:
        raise CrosswalkError(f"{where}: {error}; roles are {', '.join(Role)}") from error
    for name in ("title", "colour", "roles"):
        value = line[name].lower() if name == "colour" else line[name]
        if value and known.setdefault(name, value) != value:
            raise CrosswalkError(f"{where}: {line['label']} has the {name} {known[name]!r} already; keep one of both")


def _legend(name: str, stated: Mapping[str, Mapping[str, str]], path: Path) -> Legend:
    """The classes in the order of the table, in the colours that it states; the others get colours of their own."""
    given = {label: facts["colour"] for label, facts in stated.items() if "colour" in facts}
    by_colour: dict[str, str] = {}
    for label, colour in given.items():
        if (other := by_colour.setdefault(colour, label)) != label:
            raise CrosswalkError(f"{path}: {other} and {label} have the same colour {colour}; give each its own")
    free = (colour for colour in distinct(len(stated) + len(given)) if colour not in by_colour)
    colours = {label: given.get(label) or next(free) for label in stated}
    roles = {
        label: [Role(role) for role in facts.get("roles", "").replace(";", " ").split()]
        for label, facts in stated.items()
    }
    titles = {label: facts["title"] for label, facts in stated.items() if "title" in facts}
    try:
        made = make_legend(name, tuple(stated), roles, titles)
    except ModelError as error:
        raise CrosswalkError(f"{path}: {error}") from error
    return Legend(name, tuple(_coloured(entry, colours[entry.label]) for entry in made.classes))


def _coloured(entry: LandCoverClass, colour: str) -> LandCoverClass:
    return replace(entry, colour=colour, ink=ink(colour))
