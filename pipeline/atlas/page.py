"""Composes the page with folium: inlined Leaflet, our scripts, the tiles' bytes and the pictures."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import folium
import numpy as np
from branca.element import Element, MacroElement
from folium.template import Template

from pipeline.atlas.collect import AtlasInput
from pipeline.atlas.part import AtlasOptions, World, contributions, part_files, slim, static
from pipeline.atlas.payload import COUNTED_ELSEWHERE, MAX_CLASSES, Payload, build_payload
from pipeline.atlas.places import describe_places, union_bounds
from pipeline.atlas.readable import ink_on
from pipeline.atlas.rights import classes_after, sensor_of
from pipeline.atlas.spans import Span, spans
from pipeline.change import ChangeOptions
from pipeline.errors import OutputError
from pipeline.files import whole_file
from pipeline.legend import Legend
from pipeline.scenes.scene import UNKNOWN_DATE

__all__ = ["AtlasOptions", "render_atlas"]

log = logging.getLogger(__name__)

# In the order in which they run: what needs no document, then the frame; parts follow (`pipeline.atlas.part`).
CORE = tuple(f"core/{name}" for name in ("projection", "grid", "data", "change", "coverage", "painter"))
FRAME = (*CORE, "canvas", "dom", "sankey", "painting", "sheet", "looking", "page")
# Asked only after the reader chooses one; the page's security policy names no other host.
BASEMAPS: tuple[dict[str, Any], ...] = (
    {
        "id": "light",
        "name": "Light map",
        "url": "https://a.basemaps.cartocdn.com/light_all/{z}/{x}/{y}.png",
        "attribution": "© OpenStreetMap contributors © CARTO",
        "maxZoom": 19,
        "host": "https://a.basemaps.cartocdn.com",
    },
    {
        "id": "imagery",
        "name": "Imagery",
        "url": "https://server.arcgisonline.com/ArcGIS/rest/services/World_Imagery/MapServer/tile/{z}/{y}/{x}",
        "attribution": "Esri, Maxar, Earthstar Geographics",
        "maxZoom": 18,
        "host": "https://server.arcgisonline.com",
    },
)


class _Inline(Element):
    """A script, style sheet or text whose content is a value, so that Jinja does not parse the braces in it."""

    _template = Template("<{{ this.tag }}>{{ this.content }}</{{ this.tag.split(' ')[0] }}>\n")

    def __init__(self, tag: str, content: str) -> None:
        super().__init__()
        self._name, self.tag, self.content = "Inline", tag, content


class LandCoverAtlas(MacroElement):
    """The atlas as a folium element.

    Adds scripts to the figure's head, data to its body, and one call to its script.
    """

    _template = Template("""{% macro script(this, kwargs) %}
        Atlas.start({{ this._parent.get_name() }}, {{ this.meta | tojson }});
    {% endmacro %}""")

    def __init__(self, meta: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name, self._id, self.meta, self.texts = "LandCoverAtlas", "land_cover_atlas", meta, texts

    def render(self, **kwargs: Any) -> str:  # noqa: ANN401  (branca's signature)
        """Adds the inlined assets and the data blobs, then the call."""
        figure: Any = self.get_root()
        for name in ("vendor/leaflet.css", "atlas.css", *part_files(".css")):
            figure.header.add_child(_Inline("style", _static(name)), name=name)
        for name in ("vendor/leaflet.js", *(f"{script}.js" for script in FRAME), *part_files(".js")):
            figure.header.add_child(_Inline("script", _static(name)), name=name)
        for name, text in self.texts.items():
            figure.html.add_child(_Inline(f'script type="text/plain" id="{name}"', text), name=name)
        super().render(**kwargs)  # type: ignore[no-untyped-call]
        return ""


def _static(name: str) -> str:
    # Only developer tools would ask for a source map; offline there is none.
    text = re.sub(r"\n//# sourceMappingURL=\S*", "", static(name))
    return text if name.startswith("vendor/") else slim(text)


def render_atlas(collected: AtlasInput, legend: Legend, out: Path, options: AtlasOptions | None = None) -> Path:
    """Writes the page to `out`, under a temporary name until it is whole.

    Raises:
        OutputError: the page cannot be written, or `legend` is not the one of the tables.
    """
    options = options or AtlasOptions()
    if legend.labels != collected.labels:
        raise OutputError(
            f"{out}: the legend {legend.name!r} does not name the tables' classes; use the card of the model that "
            f"made them"
        )
    if len(legend.classes) > MAX_CLASSES:
        raise OutputError(f"{out}: the page holds at most {MAX_CLASSES} classes, the legend has {len(legend.classes)}")
    payload = build_payload(collected.scenes, collected.changes)
    found = contributions(World(collected, legend, payload, options))
    texts = {"atlas-core": payload.core(), "atlas-details": payload.details(), **found.texts}
    meta = {**_meta(collected, legend, payload, options), **found.meta}
    html = _compose(meta, texts)
    with whole_file(out, "free space or choose another --maps folder") as part:
        part.write_text(html, encoding="utf-8", newline="\n")
        if part.stat().st_size != len(html.encode()) or not html.rstrip().endswith("</html>"):
            raise OutputError(f"{out}: does not read back as written; check the disk")
    log.info("%s: %d scenes, %d dates, %.2f MB", out, len(collected.scenes), len(payload.dates), len(html) / 1e6)
    return out


def _compose(meta: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    m = folium.Map(
        tiles=None,
        control_scale=False,
        font_size="12px",
        min_zoom=3,
        max_zoom=16,
        zoom_snap=0.25,
        wheel_px_per_zoom_level=90,
    )
    m.default_js, m.default_css = [], []
    figure: Any = m.get_root()
    # folium draws ids at random; fixed ones make equal inputs give equal pages.
    m._id, figure._id = "atlas", "figure"
    figure.title = _escaped(str(meta["title"]))
    images = " ".join(dict.fromkeys(entry["host"] for entry in meta["basemaps"]))
    # The policy is about the network; inline scripts run anyway, and browser drivers poll a page with eval.
    policy = (
        f"default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src "
        f"data: blob: {images}"
    )
    policy += "; base-uri 'none'; form-action 'none'"
    figure.header.add_child(Element(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'), name="policy")
    for number, child in enumerate(m._children.values()):
        child._id = f"part_{number}"
    LandCoverAtlas(meta, texts).add_to(m)
    html: str = figure.render()
    return html.replace("<html>", '<html lang="en">', 1)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _meta(collected: AtlasInput, legend: Legend, payload: Payload, options: AtlasOptions) -> dict[str, Any]:
    meta = payload.describe()
    places = describe_places(payload, [scene.id for scene in collected.scenes])
    dates = payload.dates
    periods = spans(collected.scenes)
    grid = payload.planes[0].grid
    sensor = sensor_of(collected.model)
    tiles = f"{_places_seen(payload):_}".replace("_", "\u202f")
    return meta | {
        "tile": grid.edge,
        "tilePixels": grid.tile_size,
        "tileMark": grid.mark,
        "sensor": sensor.title,
        "title": options.title or _title(places),
        "subtitle": f"{sensor.title}, {_span(dates, periods)} · {tiles} tiles of {grid.edge:g}\u00a0m",
        "bounds": union_bounds([place["bounds"] for place in places]),
        "classes": [
            {
                "label": c.label,
                "title": c.title,
                "short": c.short,
                "letters": c.letters,
                "colour": c.colour,
                "ink": ink_on(c.colour, c.ink),
            }
            for c in legend.classes
        ],
        "mode": options.mode if len(dates) > 1 else "map",
        "expected": _expected(collected.prior),
        "attribution": sensor.attribution or sensor.title,
        "classesAfter": classes_after(legend, collected.scenes),
        "basemaps": list(BASEMAPS) if options.online_basemaps else [],
        "places": places,
        "periods": {day.isoformat(): span._asdict() for day, span in periods.items()},
    }


def _expected(prior: float | None) -> dict[str, float]:
    """What is expected to change in a year, for dates that no table compares: the shares of land and of classes."""
    usual = ChangeOptions()
    options = usual if prior is None else replace(usual, prior=prior)
    return {"land": options.land_prior, "classShare": options.class_share}


def _day(day: date) -> str:
    return "date unknown" if day == UNKNOWN_DATE.date() else f"{day.day} {day:%b %Y}"


def _span(dates: Sequence[date], periods: Mapping[date, Span]) -> str:
    named = [periods[day].short if day in periods else _day(day) for day in dates]
    known = [name for name, day in zip(named, dates, strict=True) if day != UNKNOWN_DATE.date()]
    if len(dates) == 1 or not known:
        return named[0]
    told = known[0] if len(known) == 1 else f"{len(known)} dates from {known[0]} to {known[-1]}"
    return told if len(known) == len(dates) else f"{told}, and scenes of unknown date"


def _places_seen(payload: Payload) -> int:
    """How many tiles carry a class at any date, each place once."""
    seen = [np.zeros((plane.rows, plane.cols), bool) for plane in payload.planes]
    for layer in payload.layers:
        seen[layer.plane] |= (layer.classes < MAX_CLASSES) & (layer.confidence < COUNTED_ELSEWHERE)
    return sum(int(plane.sum()) for plane in seen)


def _title(places: Sequence[Mapping[str, Any]]) -> str:
    return f"Land cover {places[0]['name']}" if len(places) == 1 else f"Land cover of {len(places)} places"
