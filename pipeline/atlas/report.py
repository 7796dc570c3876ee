"""A report of an area: map, hectares with intervals, change, chart, method and licence, as one HTML or PDF file."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.atlas.collect import AtlasInput
from pipeline.atlas.drawing import draw_chart, draw_map
from pipeline.atlas.figures import (
    AreaFigures,
    ChangeFigures,
    ClassFigures,
    area_weights,
    choose_dates,
    describe_area,
    describe_change,
)
from pipeline.atlas.part import AtlasOptions, World
from pipeline.atlas.payload import Payload, build_payload
from pipeline.atlas.places import describe_places
from pipeline.atlas.rights import class_notes, classes_after, sensor_of
from pipeline.atlas.spans import spans
from pipeline.errors import OutputError, TileTableError
from pipeline.files import whole_file
from pipeline.legend import Legend
from pipeline.outlines import Outline
from pipeline.results.layout import ChangeState
from pipeline.scenes.scene import UNKNOWN_DATE

FEW_TILES = 100
LARGEST_FLOWS = 15


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a head."""

    title: str
    """What it is about."""
    head: tuple[str, ...]
    """A heading a column."""
    rows: tuple[tuple[str, ...], ...]
    """Text by column."""
    words: int = 1
    """The first columns that are no figures."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the report says, before it is a page."""

    title: str
    """Its heading."""
    subtitle: str
    """Place and dates."""
    pictures: tuple[tuple[str, bytes], ...]
    """Captions and PNGs."""
    tables: tuple[Table, ...]
    """Hectares and change."""
    texts: tuple[tuple[str, str], ...]
    """Headings and paragraphs."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What a report is asked to be about."""

    outline: Outline | None = None
    """The area; a whole place without one."""
    place: str | None = None
    """A text in the place's name or its scenes' ids, where the map holds several places."""
    between: tuple[str, ...] = ()
    """Two years or days to compare."""


def make_report(collected: AtlasInput, legend: Legend, request: ReportRequest, out: Path) -> Path:
    """Writes a report of an area or a place of a map.

    Raises:
        TileTableError: the area or the dates are not in this map, or the place is not told.
        OutputError: the report cannot be written.
    """
    payload = build_payload(collected.scenes, collected.changes)
    world = World(collected, legend, payload, AtlasOptions())
    name, planes = (
        (request.outline.name, range(len(payload.planes)))
        if request.outline is not None
        else _place(payload, [scene.id for scene in collected.scenes], request.place)
    )
    figures = describe_area(name, world, area_weights(payload, planes, request.outline))
    if request.between:
        days = choose_dates([one.day for one in figures.dates], request.between)
        figures = replace(figures, change=describe_change(world, figures.weights, *days))
    return write_report(build_report(world, figures, request.outline), out)


def _place(payload: Payload, scene_ids: list[str], wanted: str | None) -> tuple[str, list[int]]:
    """Name and planes of the only place, or the one that a text tells."""
    places = describe_places(payload, scene_ids)
    chosen = [
        place
        for place in places
        if wanted is None or any(wanted.lower() in text.lower() for text in (place["name"], *place["ids"]))
    ]
    if len(chosen) != 1:
        known = "; ".join(str(place["name"]) for place in chosen or places)
        raise TileTableError(f"the map holds {len(chosen)} such places ({known}); choose with --area or --place")
    return chosen[0]["name"], chosen[0]["planes"]


def build_report(world: World, figures: AreaFigures, outline: Outline | None) -> Report:
    """The report of an area's figures."""
    change, legend = figures.change, world.legend
    shown = [one for one in figures.dates if change is None or one.day in (change.before, change.after)]
    last = figures.dates[-1] if change is None else next(one for one in shown if one.day == change.after)
    when = _day(last.day) if change is None else f"{_day(change.before)} to {_day(change.after)}"
    pictures = [(f"Land cover, {_day(one.day)}", draw_map(world, figures, one.day, outline)) for one in shown[-2:]]
    if change is not None and change.measured:
        caption = f"What changed, {when}; coloured by the later class"
        pictures.append((caption, draw_map(world, figures, change.after, outline, since=change.before)))
    if len(figures.dates) > 1:
        pictures.append(("Hectares of every class over the dates, with 95 % intervals", draw_chart(world, figures)))
    tables = [_class_table(one, legend.classes) for one in shown]
    if change is not None:
        tables += _change_tables(change, [entry.title for entry in legend.classes])
    return Report(
        f"Land cover of {figures.name}",
        f"{when} · {figures.hectares:,.0f} ha".replace(",", "\u202f"),
        tuple(pictures),
        tuple(tables),
        tuple(_texts(world, figures)),
    )


def _class_table(one: ClassFigures, classes: Sequence[Any]) -> Table:
    order = np.argsort(-one.mapped, kind="stable")
    total = float(one.mapped.sum()) or 1.0
    rows = [
        (
            classes[k].title,
            _ha(one.mapped[k]),
            f"{100 * one.mapped[k] / total:.1f} %",
            f"{_ha(one.expected[k])} ± {_ha(one.interval[k])}",
        )
        for k in order
        if one.mapped[k] > 0 or one.expected[k] >= 1
    ]
    rows.append(("without a class", _ha(one.unclassed), "", ""))
    return Table(f"Classes, {_day(one.day)}", ("Class", "mapped ha", "share", "expected ha (95 %)"), tuple(rows))


def _change_tables(change: ChangeFigures, titles: list[str]) -> list[Table]:
    heading = f"{_day(change.before)} to {_day(change.after)}"
    if not change.measured:
        row = ("labels differ (not a figure of change)", _ha(change.differ))
        return [Table(f"Change, {heading}: not in the table of changes", ("", "ha"), (row,))]
    claimed = float(change.moves.sum())
    summary = Table(
        f"Change, {heading}",
        ("", "ha"),
        (
            ("claimed as changed", _ha(claimed)),
            ("of these expected to be real (95 %)", f"{_ha(change.sure)} ± {_ha(change.interval)}"),
            ("of these expected to be false", _ha(float(change.doubt.sum()))),
            (str(ChangeState.UNDECIDED), _ha(change.undecided)),
            (str(ChangeState.STABLE), _ha(change.stable)),
            ("labels differ (not a figure of change)", _ha(change.differ)),
        ),
    )
    moves = change.moves * (1 - np.eye(len(titles)))
    flows = [divmod(int(at), len(titles)) for at in np.argsort(-moves, axis=None, kind="stable")[:LARGEST_FLOWS]]
    flow = Table(
        "From, to",
        ("From", "to", "ha", "expected false"),
        tuple((titles[a], titles[b], _ha(moves[a, b]), _ha(change.doubt[a, b])) for a, b in flows if moves[a, b] > 0),
        words=2,
    )
    lost, gained = moves.sum(axis=1), moves.sum(axis=0)
    balance = Table(
        "Lost, gained, net",
        ("Class", "lost ha", "gained ha", "net ha"),
        tuple(
            (titles[k], _ha(lost[k]), _ha(gained[k]), f"{gained[k] - lost[k]:+,.0f}".replace(",", "\u202f"))
            for k in np.argsort(-(lost + gained), kind="stable")
            if lost[k] or gained[k]
        ),
    )
    return [summary, *(table for table in (flow, balance) if table.rows)]


def _texts(world: World, figures: AreaFigures) -> list[tuple[str, str]]:
    model, found = world.collected.model, world.collected.assessment
    grid = world.payload.planes[0].grid
    sensor = sensor_of(model)
    pictures = f"{sensor.attribution}; their use is free with this note" if sensor.attribution else ""
    rights = "".join(f"{told}. " for told in (pictures, classes_after(world.legend, world.collected.scenes)) if told)
    tiles = figures.hectares / grid.hectares
    size = f"The area holds about {tiles:,.0f} tiles. ".replace(",", "\u202f")
    if tiles < FEW_TILES:
        size += "That is few: shares of single classes say little here. "
    accuracy = _accuracy(model.get("metrics", {}))
    texts = [
        (
            "Method",
            f"{size}Each tile of {grid.edge:g} m x {grid.edge:g} m ({sensor.title}) carries the one class that the "
            f"model {model.get('name', '')} finds likeliest for all of it. Mapped hectares count tiles, those on the "
            f"outline by their part inside; they are not surveyed areas.",
        ),
        (
            "Uncertainty",
            "Expected hectares add up the calibrated probabilities of all tiles with a class. Their 95 % interval "
            "takes errors of tiles within 3 x 3 as one; it knows nothing of errors that go one way, such as those on "
            "land unlike the training data. Change counts only tiles that the table of changes calls changed; how many "
            "of them are expected to be false stands beside them.",
        ),
        ("Accuracy", accuracy or "The model's card tells no accuracy."),
    ]
    if notes := class_notes(world.collected.scenes):
        texts.append(("What these classes cannot tell apart", " ".join(notes)))
    if found:
        texts.append(
            (
                "Checked on a sample",
                f"A random sample of the whole map was labelled: accuracy {100 * found['accuracy']:.1f} % ± "
                f"{100 * found['accuracy_ci']:.1f} % (95 %, Olofsson et al. 2014). It speaks for the map, not for this "
                f"area alone.",
            )
        )
    else:
        texts.append(
            (
                "Not checked here",
                "No random sample of this map was labelled. For intervals that can be quoted, draw one with `sample`, "
                "label it, and run `assess`.",
            )
        )
    software = next(
        (str(s.metadata["software"]) for s in world.collected.scenes if "software" in s.metadata), "landcover-atlas"
    )
    scenes = [scene.id for scene in world.collected.scenes if scene.day in {one.day for one in figures.dates}]
    if stood := [f"{_day(day)} stands for {span.days}" for day, span in spans(world.collected.scenes).items()]:
        texts.append(("Periods", f"{'; '.join(stood)}: all clear looks of the period as one answer."))
    texts += [
        ("Scenes", ", ".join(scenes)),
        (
            "Citation and licence",
            f"Made with {software}. {rights}Towns and outlines: Natural Earth, public domain.",
        ),
    ]
    return texts


def _accuracy(metrics: Any, path: tuple[str, ...] = ()) -> str:  # noqa: ANN401  (a card's nested figures)
    if not isinstance(metrics, dict):
        return ""
    parts = [
        f"{name.replace('_', ' ')} ({', '.join(path).replace('_', ' ')}): {100 * value:.1f} %"
        if path
        else f"{name.replace('_', ' ')}: {100 * value:.1f} %"
        for name, value in metrics.items()
        if name in ("accuracy", "balanced_accuracy", "ece") and isinstance(value, int | float)
    ]
    parts += [text for name, value in metrics.items() if (text := _accuracy(value, (*path, str(name))))]
    return "; ".join(parts)


def _ha(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f")


def _day(day: date) -> str:
    return "date unknown" if day == UNKNOWN_DATE.date() else f"{day.day} {day:%b %Y}"


def write_report(report: Report, out: Path) -> Path:
    """Writes the report as HTML or PDF, by the name's ending.

    Raises:
        OutputError: the name ends otherwise, or the file cannot be written.
    """
    kinds = {".html": _html, ".pdf": _pdf}
    if out.suffix.lower() not in kinds:
        raise OutputError(f"{out}: a report is an .html or a .pdf; name it so")
    content = kinds[out.suffix.lower()](report)
    with whole_file(out, "free space or choose another folder") as part:
        part.write_bytes(content)
    return out


def _html(report: Report) -> bytes:
    def table(one: Table) -> str:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in one.head)
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td{'' if k < one.words else ' class=figure'}>{escape(cell)}</td>" for k, cell in enumerate(row)
            )
            + "</tr>"
            for row in one.rows
        )
        return f"<section><h2>{escape(one.title)}</h2><table><thead><tr>{head}</tr></thead>{rows}</table></section>"

    pictures = "".join(
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, png in report.pictures
    )
    texts = "".join(f"<section><h2>{escape(head)}</h2><p>{escape(text)}</p></section>" for head, text in report.texts)
    style = resources.files("pipeline.atlas").joinpath("static", "report.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(report.title)}</title>'
        f'<meta name=viewport content="width=device-width"><meta http-equiv=Content-Security-Policy content="'
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"><style>{style}</style></head><body>"
        f"<h1>{escape(report.title)}</h1><p class=subtitle>{escape(report.subtitle)}</p>{pictures}"
        f"<div class=tables>{''.join(table(one) for one in report.tables)}</div>{texts}</body></html>\n"
    ).encode()


def _pdf(report: Report) -> bytes:
    import matplotlib
    from fpdf import FPDF
    from fpdf.enums import TableBordersLayout

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # DejaVu knows the letters of all towns
    pdf = FPDF(format="A4")
    pdf.set_auto_page_break(True, margin=15)
    pdf.add_font("DejaVu", "", str(fonts / "DejaVuSans.ttf"))
    pdf.add_font("DejaVu", "B", str(fonts / "DejaVuSans-Bold.ttf"))
    pdf.set_title(report.title)
    pdf.add_page()

    def paragraph(text: str, size: int, style: str = "", after: float = 2) -> None:
        pdf.set_font("DejaVu", style, size)
        pdf.multi_cell(0, size * 0.5, text, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(after)

    paragraph(report.title, 18, "B", 0)
    paragraph(report.subtitle, 10)
    for caption, png in report.pictures:
        image = io.BytesIO(png)
        with Image.open(image) as opened:
            height = pdf.epw * opened.height / opened.width
        if pdf.will_page_break(height + 8):
            pdf.add_page()
        pdf.image(image, w=pdf.epw)
        paragraph(caption, 8, after=3)
    for table in report.tables:
        if pdf.will_page_break(40):
            pdf.add_page()
        paragraph(table.title, 12, "B", 1)
        pdf.set_font("DejaVu", "", 9)
        align = ("LEFT",) * table.words + ("RIGHT",) * (len(table.head) - table.words)
        with pdf.table(text_align=align, borders_layout=TableBordersLayout.HORIZONTAL_LINES, line_height=5.5) as rows:
            for cells in (table.head, *table.rows):
                row = rows.row()
                for cell in cells:
                    row.cell(cell)
        pdf.ln(4)
    for head, text in report.texts:
        paragraph(head, 11, "B", 0)
        paragraph(text, 9)
    return bytes(pdf.output())
