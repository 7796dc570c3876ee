"""One page that lists many atlases and shows where they lie: a continent by regions, each with a page of its own."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.atlas.part import static
from pipeline.errors import OutputError
from pipeline.files import write_text
from pipeline.results.layout import INDEX_PAGE, PAGE

log = logging.getLogger(__name__)

# What an atlas starts its script with, the figures of the page after it.
_START = "Atlas.start("
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 70rem; padding: 0 1rem; }
body { color: #1b1f24; background: #fff; }
svg { width: 100%; height: auto; max-height: 65vh; background: #eef2f5; border: 1px solid #c9d1d9; }
svg path { fill: #fff; stroke: #c9d1d9; } svg a rect { fill: #0b5410; fill-opacity: .35; stroke: #0b5410; }
svg path, svg a rect { stroke-width: 1px; vector-effect: non-scaling-stroke; }
svg a:hover rect, svg a:focus rect { fill-opacity: .8; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .6rem; }
td { border-bottom: 1px solid #d8dee4; }
@media (prefers-color-scheme: dark) { body { background: #12161b; color: #e6e9ec; } a { color: #7fb3ff; } }
"""


@dataclass(frozen=True, slots=True)
class AtlasEntry:
    """What an index tells of an atlas."""

    page: Path
    """The page."""
    title: str
    """Its heading."""
    subtitle: str
    """Sensor, dates and tiles."""
    bounds: tuple[float, float, float, float]
    """West, south, east, north in degrees."""


def write_index(folder: Path) -> tuple[Path, int]:
    """Writes `index.html` over all atlases below a folder; returns it with their number.

    A page that is none of an atlas, or a damaged one, is left out with a warning.

    Raises:
        OutputError: there is no atlas, or the page cannot be written.
    """
    entries = sorted(_entries(folder), key=lambda entry: (entry.title.casefold(), entry.page))
    if not entries:
        raise OutputError(
            f"{folder}: no {PAGE} lies in it or below; run the pipeline with --maps {folder}/REGION first"
        )
    write_text(folder / INDEX_PAGE, _page(folder, entries))
    return folder / INDEX_PAGE, len(entries)


def _entries(folder: Path) -> Iterator[AtlasEntry]:
    for path in sorted(folder.rglob(PAGE)):
        try:
            told = read_facts(path)
            (south, west), (north, east) = told["bounds"]
            yield AtlasEntry(path, str(told["title"]), str(told["subtitle"]), (west, south, east, north))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s: left out, not an atlas that can be read (%s); build it again", path, error)


def read_facts(path: Path) -> Mapping[str, Any]:
    """What the page of an atlas tells its script.

    Raises:
        ValueError: the file is no atlas.
    """
    text = path.read_text(encoding="utf-8")
    at = text.rfind(_START)
    begin = text.find("{", at)
    if at < 0 or begin < 0:
        raise ValueError("it starts no atlas")
    found, _ = json.JSONDecoder().raw_decode(text, begin)
    if not isinstance(found, dict):
        raise ValueError("it tells nothing")
    return found


def _page(folder: Path, entries: Sequence[AtlasEntry]) -> str:
    rows = "".join(
        f'<tr><td><a href="{_link(folder, entry)}">{escape(entry.title)}</a></td><td>{escape(entry.subtitle)}</td>'
        f"<td>{escape(entry.page.parent.relative_to(folder).as_posix())}</td></tr>\n"
        for entry in entries
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width"><title>Land-cover atlases</title>\n'
        f"<style>{_STYLE}</style></head><body>\n<h1>{len(entries)} land-cover atlases</h1>\n{_map(folder, entries)}\n"
        f"<table><thead><tr><th>Atlas</th><th>What it shows</th><th>Folder</th></tr></thead>\n<tbody>\n{rows}</tbody>"
        "</table>\n</body></html>\n"
    )


def _link(folder: Path, entry: AtlasEntry) -> str:
    return escape(quote(entry.page.relative_to(folder).as_posix()))


def _map(folder: Path, entries: Sequence[AtlasEntry]) -> str:
    """Where the atlases lie, degrees as they are, north up; each leads to its page."""
    west, south, east, north = (
        pick(entry.bounds[at] for entry in entries) for at, pick in enumerate((min, min, max, max))
    )
    margin = max(0.05 * max(east - west, north - south), 0.5)
    left, top = west - margin, -(north + margin)
    boxes = "".join(
        f'<a href="{_link(folder, entry)}"><title>{escape(entry.title)}</title>'
        f'<rect x="{w:.4f}" y="{-n:.4f}" width="{e - w:.4f}" height="{n - s:.4f}"/></a>\n'
        for entry in entries
        for w, s, e, n in (entry.bounds,)
    )
    size = f"{left:.3f} {top:.3f} {east - west + 2 * margin:.3f} {north - south + 2 * margin:.3f}"
    return f'<svg viewBox="{size}" role="img" aria-label="Where the atlases lie">\n{_land()}{boxes}</svg>'


def _land() -> str:
    """Natural Earth's land, stored as steps from point to point."""
    told = json.loads(static("outlines.json"))
    step: float = told["step"]
    lines = []
    for ring in told["land"]:
        moves = [f"{x * step:g},{-y * step:g}" for x, y in zip(ring[::2], ring[1::2], strict=True)]
        lines.append(f"M{moves[0]}l{' '.join(moves[1:])}z")
    return f'<path d="{"".join(lines)}"/>\n'
