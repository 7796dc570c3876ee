"""Composes the page with folium: inlined Leaflet, our scripts, the tiles' bytes and the pictures."""

import base64
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import folium
import numpy as np
from branca.element import Element, MacroElement
from folium.template import Template
from pyproj import Transformer

from pipeline.atlas.chips import chip_sheets
from pipeline.atlas.collect import OUTSIDE, AtlasInput, SceneTiles
from pipeline.atlas.imagery import affordable_gsd, sharper, within_budget
from pipeline.atlas.payload import COUNTED_ELSEWHERE, MAX_CLASSES, Payload, build_payload
from pipeline.bands import SENTINEL_2
from pipeline.errors import OutputError
from pipeline.files import whole_file
from pipeline.grid import TileGrid
from pipeline.legend import LandCoverClass, Legend
from pipeline.scenes.scene import UNKNOWN_DATE

log = logging.getLogger(__name__)

# In the order in which they run: each file adds to the global `Atlas`.
SCRIPTS = (
    "projection",
    "grid",
    "data",
    "canvas",
    "dom",
    "chips",
    "tile",
    "sankey",
    "change",
    "classes",
    "confidence",
    "places",
    "background",
    "about",
    "labelling",
    "timeline",
    "swipe",
    "outlines",
    "permalink",
    "exporting",
    "keyboard",
    "page",
)
MIN_CONTRAST = 4.5
# Planes nearer than about 50 km are one place.
NEAR_DEGREES = 0.5
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


@dataclass(frozen=True, slots=True)
class AtlasOptions:
    """What the page holds besides the tiles; budgets in bytes. `mode` is what it opens on: map, swipe or change."""

    title: str | None = None
    chips: str = "auto"
    chip_budget: int = 8_000_000
    quicklook_budget: int = 3_000_000
    change_prior: float = 0.02
    online_basemaps: bool = True
    mode: str = "map"


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
        for name in ("vendor/leaflet.css", "atlas.css"):
            figure.header.add_child(_Inline("style", _static(name)), name=name)
        for name in ("vendor/leaflet.js", *(f"{script}.js" for script in SCRIPTS)):
            figure.header.add_child(_Inline("script", _static(name)), name=name)
        for name, text in self.texts.items():
            figure.html.add_child(_Inline(f'script type="text/plain" id="{name}"', text), name=name)
        super().render(**kwargs)  # type: ignore[no-untyped-call]
        return ""


def _static(name: str) -> str:
    text = resources.files("pipeline.atlas").joinpath("static", name).read_text(encoding="utf-8")
    # Only developer tools would ask for a source map; offline there is none.
    return re.sub(r"\n//# sourceMappingURL=\S*", "", text)


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
    texts = {
        "atlas-core": payload.core(),
        "atlas-details": payload.details(),
        "atlas-outlines": _static("outlines.json").strip(),
    }
    meta = _meta(collected, legend, payload, options, texts)
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
    m.fit_bounds(meta["bounds"])
    for number, child in enumerate(m._children.values()):
        child._id = f"part_{number}"
    LandCoverAtlas(meta, texts).add_to(m)
    html: str = figure.render()
    return html.replace("<html>", '<html lang="en">', 1)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _meta(
    collected: AtlasInput, legend: Legend, payload: Payload, options: AtlasOptions, texts: dict[str, str]
) -> dict[str, Any]:
    meta = payload.describe()
    for plane, described in zip(payload.planes, meta["planes"], strict=True):
        described["bounds"] = _plane_bounds(plane.epsg, plane.describe())
    bounds = [plane["bounds"] for plane in meta["planes"]]
    tiles = _places_seen(payload)
    dates = [day.isoformat() for day in payload.dates]
    when = (
        _day(payload.dates[0])
        if len(dates) == 1
        else f"{len(dates)} dates from {_day(payload.dates[0])} to {_day(payload.dates[-1])}"
    )
    meta |= {
        "tile": TileGrid(payload.planes[0].epsg).edge,
        "title": options.title or _title(collected),
        "subtitle": f"Sentinel-2, {when} · {tiles:_} tiles of 640\u00a0m".replace("_", "\u202f"),
        "bounds": [
            [min(b[0][0] for b in bounds), min(b[0][1] for b in bounds)],
            [max(b[1][0] for b in bounds), max(b[1][1] for b in bounds)],
        ],
        "classes": [
            {
                "label": c.label,
                "title": c.title,
                "short": c.short,
                "letters": c.letters,
                "colour": c.colour,
                "ink": _ink(c),
            }
            for c in legend.classes
        ],
        "scenes": [_scene(scene, legend) for scene in collected.scenes],
        "refusals": [
            {"id": refusal.id, "error": refusal.error, "reason": refusal.reason} for refusal in collected.refusals
        ],
        "software": next(
            (str(scene.metadata["software"]) for scene in collected.scenes if "software" in scene.metadata), None
        ),
        "assessment": json.loads(json.dumps(collected.assessment)) if collected.assessment else None,
        "model": json.loads(json.dumps(collected.model, default=str)),
        "mode": options.mode if len(dates) > 1 else "map",
        "changePrior": options.change_prior,
        "attribution": SENTINEL_2.attribution,
        "basemaps": list(BASEMAPS) if options.online_basemaps else [],
        "places": _places(collected.scenes, payload, bounds),
    }
    # Both spend their time in decoders and encoders, which work side by side.
    with ThreadPoolExecutor(2, thread_name_prefix="pictures") as pool:
        pictures = {
            name: pool.submit(work, collected.scenes, payload, options)
            for name, work in (("quicklooks", _quicklooks), ("chips", _chips))
        }
    for name, found in pictures.items():
        meta[name], more = found.result()
        texts.update(more)
    return meta


def _day(day: date) -> str:
    return "date unknown" if day == UNKNOWN_DATE.date() else f"{day.day} {day:%b %Y}"


def _places_seen(payload: Payload) -> int:
    """How many tiles carry a class at any date, each place once."""
    seen = [np.zeros((plane.rows, plane.cols), bool) for plane in payload.planes]
    for layer in payload.layers:
        seen[layer.plane] |= (layer.classes < MAX_CLASSES) & (layer.confidence < COUNTED_ELSEWHERE)
    return sum(int(plane.sum()) for plane in seen)


def _plane_bounds(epsg: int, plane: Mapping[str, Any]) -> list[list[float]]:
    edge = TileGrid(epsg).edge
    right, bottom = plane["ulx"] + plane["cols"] * edge, plane["uly"] - plane["rows"] * edge
    west, south, east, north = Transformer.from_crs(epsg, 4326, always_xy=True).transform_bounds(
        plane["ulx"], bottom, right, plane["uly"]
    )
    if west > east:  # across longitude 180: count on from the zone's own side, as the page does
        west, east = (west - 360.0, east) if epsg % 100 <= 30 else (west, east + 360.0)
    return [[round(south, 6), round(west, 6)], [round(north, 6), round(east, 6)]]


def _ink(entry: LandCoverClass) -> str:
    """The legend's ink, or black or white where its contrast on the class colour is below WCAG 2's 4.5."""
    if _contrast(entry.ink, entry.colour) >= MIN_CONTRAST + 0.5:  # a little more, because tiles are translucent
        return entry.ink
    return max(("#000000", "#ffffff"), key=lambda ink: _contrast(ink, entry.colour))


def _contrast(one: str, two: str) -> float:
    """WCAG 2's contrast ratio of two #rrggbb colours."""
    dark, light = sorted(_luminance(colour) + 0.05 for colour in (one, two))
    return light / dark


def _luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _title(collected: AtlasInput) -> str:
    granules = _granules(collected.scenes)
    if len(granules) == 1:
        return f"Land cover, granule {granules[0]}"
    ids = {scene.id for scene in collected.scenes}
    return f"Land cover, {ids.pop()}" if len(ids) == 1 else "Land cover atlas"


def _scene(scene: SceneTiles, legend: Legend) -> dict[str, Any]:
    codes, numbers = np.unique(scene.codes[scene.codes != OUTSIDE], return_counts=True)
    counts = {legend.label(int(code)): int(number) for code, number in zip(codes, numbers, strict=True)}
    return {
        "id": scene.id,
        "acquired": scene.acquired.isoformat(),
        "counts": counts,
        "radiometry": json.loads(json.dumps(scene.metadata.get("radiometry", {}), default=str)),
        "platform": scene.properties.get("platform"),
        "level": scene.metadata.get("level") or scene.properties.get("processing:level"),
        "cloud": scene.properties.get("atlas:cloud_cover"),
        "warnings": list(scene.metadata.get("warnings", [])),
    }


def _quicklooks(
    scenes: tuple[SceneTiles, ...], payload: Payload, options: AtlasOptions
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    shown = [scene for scene in scenes if scene.quicklook is not None]
    gsd = affordable_gsd(
        [scene.codes.size * TileGrid(scene.epsg).edge ** 2 for scene in shown], options.quicklook_budget
    )
    pictures = [sharper(scene.truecolour, gsd) if scene.truecolour and gsd else scene.quicklook for scene in shown]
    fitted = within_budget([picture for picture in pictures if picture is not None], options.quicklook_budget)
    described, texts = [], {}
    for number, (scene, picture) in enumerate(zip(shown, fitted, strict=True)):
        element = f"atlas-quicklook-{number}"
        texts[element] = base64.b64encode(picture.webp).decode("ascii")
        described.append({"element": element, "bounds": picture.bounds, "date": payload.dates.index(scene.day)})
    return described, texts


def _chips(
    scenes: tuple[SceneTiles, ...], payload: Payload, options: AtlasOptions
) -> tuple[dict[str, Any], dict[str, str]]:
    sheets = chip_sheets(payload, scenes, options.chips, options.chip_budget)
    texts = {"atlas-chips": sheets.packed_keys()}
    elements = [f"atlas-chips-{number}" for number in range(len(sheets.sheets))]
    texts.update(
        {
            element: base64.b64encode(sheet).decode("ascii")
            for element, sheet in zip(elements, sheets.sheets, strict=True)
        }
    )
    return sheets.describe(elements), texts


def _places(scenes: tuple[SceneTiles, ...], payload: Payload, bounds: list[list[list[float]]]) -> list[dict[str, Any]]:
    """Planes that lie near each other are one place; its name comes from its scenes."""
    groups: list[set[int]] = []
    for number, box in enumerate(bounds):
        near = [group for group in groups if any(_near(box, bounds[other]) for other in group)]
        groups = [group for group in groups if group not in near] + [{number}.union(*near)]
    described = []
    for group in groups:
        members = [scene for scene in scenes if any(payload.planes[number].holds(scene) for number in group)]
        boxes = [bounds[number] for number in group]
        described.append(
            {
                "name": _place_name(members),
                "bounds": [
                    [min(b[0][0] for b in boxes), min(b[0][1] for b in boxes)],
                    [max(b[1][0] for b in boxes), max(b[1][1] for b in boxes)],
                ],
                "dates": sorted({payload.dates.index(scene.day) for scene in members}),
            }
        )
    return sorted(described, key=lambda place: str(place["name"]))


def _near(a: list[list[float]], b: list[list[float]]) -> bool:
    return all(a[0][k] <= b[1][k] + NEAR_DEGREES and b[0][k] <= a[1][k] + NEAR_DEGREES for k in (0, 1))


def _granules(scenes: Iterable[SceneTiles]) -> list[str]:
    """MGRS names in the scenes' ids."""
    return sorted(
        {
            match.group(1)
            for scene in scenes
            if (match := re.search(r"(?<![A-Z0-9])(T\d{2}[A-Z]{3})(?![A-Z0-9])", scene.id))
        }
    )


def _place_name(scenes: list[SceneTiles]) -> str:
    names = _granules(scenes) or sorted({scene.id for scene in scenes})
    # Dates of one place often share the start of their ids.
    common = os.path.commonprefix(names).rstrip("_- 0123456789") if len(names) > 1 else names[0]  # noqa: RUF071  (ids, not paths)
    if len(names) > 1 and len(common) >= 4 and not re.fullmatch(r"S2[A-D]_.*", common):
        return common
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
