"""Pictures of a report: the map of an area with key, north arrow and scale, and hectares over dates."""

import io
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer

from pipeline.atlas.collect import CHANGE_STATES
from pipeline.atlas.figures import AreaFigures
from pipeline.atlas.part import World
from pipeline.atlas.payload import MAX_CLASSES, OUTSIDE_BYTE, Layer, Plane
from pipeline.atlas.places import towns
from pipeline.atlas.readable import rgb
from pipeline.grid import utm_epsg
from pipeline.outlines import Outline, on_grid
from pipeline.scenes.scene import UNKNOWN_DATE

PIXELS = 900
MARGIN = 0.06
VEIL = (0.93, 0.93, 0.92)
UNCLASSED = (0.72, 0.73, 0.75)
UNDECIDED = (0.78, 0.76, 0.72)
PAPER = (1.0, 1.0, 1.0)


def draw_map(
    world: World, figures: AreaFigures, day: date, outline: Outline | None, since: date | None = None
) -> bytes:
    """A PNG of the classes at a day, or with `since` of what changed until then."""
    figure, axes = _figure()
    epsg, extent = _frame(world, figures, outline)
    x = np.linspace(extent[0], extent[1], round(PIXELS * min(1.0, (extent[1] - extent[0]) / (extent[3] - extent[2]))))
    y = np.linspace(extent[3], extent[2], max(2, round(len(x) * (extent[3] - extent[2]) / (extent[1] - extent[0]))))
    picture, seen = _picture(world, figures, day, since, (epsg, x, y))
    axes.imshow(picture, extent=extent, interpolation="nearest")
    if outline is not None:
        for part in shapely.get_parts(on_grid(outline.shape, epsg)):
            for ring in (part.exterior, *part.interiors):
                axes.plot(*np.asarray(ring.coords).T, color="white", linewidth=3)
                axes.plot(*np.asarray(ring.coords).T, color="#0a5fb4", linewidth=1.5)
    _towns(axes, epsg, extent)
    _key(axes, world, seen, changes=since is not None)
    _north_and_scale(axes, extent)
    axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    return _png(figure)


def draw_chart(world: World, figures: AreaFigures) -> bytes:
    """A PNG of expected hectares by class over the dates that are known, with 95 % intervals."""
    figure, axes = _figure(4.2)
    dated = [one for one in figures.dates if one.day != UNKNOWN_DATE.date()]
    days = [np.datetime64(one.day) for one in dated]
    largest = np.argsort(-np.max([one.expected for one in dated], axis=0))
    for k in largest[:8]:
        entry = world.legend.classes[k]
        axes.errorbar(
            days,
            [one.expected[k] for one in dated],
            [one.interval[k] for one in dated],
            color=entry.colour,
            label=entry.title,
            marker="o",
            capsize=3,
        )
    axes.set(ylabel="hectares", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
    return _png(figure)


def _figure(height: float = 6.4) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _png(figure: Any) -> bytes:  # noqa: ANN401  (matplotlib ships no types)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _frame(
    world: World, figures: AreaFigures, outline: Outline | None
) -> tuple[int, tuple[float, float, float, float]]:
    """The zone of the area's middle, and (left, right, bottom, top) there with a margin."""
    if outline is not None:
        west, south, east, north = outline.shape.bounds
    else:
        boxes = [world.payload.planes[number].bounds() for number in figures.weights]
        (south, west), (north, east) = (
            (min(box[0][k] for box in boxes) for k in (0, 1)),
            (max(box[1][k] for box in boxes) for k in (0, 1)),
        )
    epsg = utm_epsg((west + east) / 2, min(83.9, max(-79.9, (south + north) / 2)))
    left, bottom, right, top = on_grid(shapely.box(west, south, east, north), epsg).bounds
    margin = MARGIN * max(right - left, top - bottom)
    return epsg, (left - margin, right + margin, bottom - margin, top + margin)


def _picture(
    world: World,
    figures: AreaFigures,
    day: date,
    since: date | None,
    view: tuple[int, npt.NDArray[Any], npt.NDArray[Any]],
) -> tuple[npt.NDArray[np.float64], set[int]]:
    """Colours (y, x, 3) of a view (zone, x, y), and the classes that show."""
    epsg, x, y = view
    out = np.ones((len(y), len(x), 3))
    seen: set[int] = set()
    colours = np.array([rgb(entry.colour) for entry in world.legend.classes])
    east, north = np.meshgrid(x, y)
    layers = {(layer.date, layer.plane): layer for layer in world.payload.layers}
    for number in figures.weights:
        plane = world.payload.planes[number]
        layer = layers.get((world.payload.dates.index(day), number))
        if layer is None:
            continue
        shown, painted = _painted(world, layer, since, colours)
        seen |= shown
        row, col, inside = _tiles_under(plane, epsg, east, north)
        known = inside.copy()
        known[inside] = layer.classes[row[inside], col[inside]] != OUTSIDE_BYTE
        out[known] = painted[row[known], col[known]]
    return out, seen


def _painted(
    world: World, layer: Layer, since: date | None, colours: npt.NDArray[np.float64]
) -> tuple[set[int], npt.NDArray[np.float64]]:
    """Classes that show and the colours (row, column, 3) of a layer's tiles."""
    known = layer.classes < MAX_CLASSES
    painted = np.full((*layer.classes.shape, 3), UNCLASSED)
    drawn = known
    if since is not None:
        dates = world.payload.dates.index(since), layer.date
        pair = next(
            (one for one in world.payload.pairs if (one.before, one.after) == dates and one.plane == layer.plane), None
        )
        state = np.zeros_like(layer.classes) if pair is None else pair.state
        painted[known] = VEIL
        painted[known & (state == CHANGE_STATES.index("undecided"))] = UNDECIDED
        drawn = known & (state == CHANGE_STATES.index("changed"))
    painted[drawn] = colours[layer.classes[drawn]]
    return set(np.unique(layer.classes[drawn]).tolist()), painted


def _tiles_under(
    plane: Plane, epsg: int, east: npt.NDArray[Any], north: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Row and column of the plane's tile under every place of a zone, and where there is one."""
    edge = plane.grid.edge
    if plane.epsg != epsg:
        east, north = Transformer.from_crs(epsg, plane.epsg, always_xy=True).transform(east, north)
    col = np.floor(east / edge).astype(np.int64) - plane.first_col
    row = plane.top_row - np.floor(north / edge).astype(np.int64)
    inside = (col >= 0) & (row >= 0) & (col < plane.cols) & (row < plane.rows)
    return row, col, inside


def _towns(axes: Any, epsg: int, extent: tuple[float, float, float, float]) -> None:  # noqa: ANN401
    from matplotlib import patheffects

    known = towns()
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform([t[3] for t in known], [t[2] for t in known])
    halo = [patheffects.withStroke(linewidth=3, foreground="white")]
    for (name, *_), east, north in zip(known, x, y, strict=True):
        if extent[0] < east < extent[1] and extent[2] < north < extent[3]:
            axes.plot(east, north, "o", color="black", markersize=3)
            axes.text(east, north, f" {name}", fontsize=8, path_effects=halo, clip_on=True)


def _key(axes: Any, world: World, seen: set[int], *, changes: bool) -> None:  # noqa: ANN401
    from matplotlib.patches import Patch

    classes = world.legend.classes
    rows = [
        Patch(color=classes[k].colour, label=("became " if changes else "") + classes[k].title) for k in sorted(seen)
    ]
    others = [(UNDECIDED, "undecided"), (VEIL, "stable")] if changes else []
    rows += [Patch(color=colour, label=name) for colour, name in (*others, (UNCLASSED, "without a class"))]
    axes.legend(handles=rows, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)


def _north_and_scale(axes: Any, extent: tuple[float, float, float, float]) -> None:  # noqa: ANN401
    left, right, bottom, top = extent
    wide = right - left
    wanted = wide / 5
    power = 10 ** np.floor(np.log10(wanted))
    length = power * (5 if wanted / power >= 5 else 2 if wanted / power >= 2 else 1)
    x, y = left + 0.04 * wide, bottom + 0.05 * (top - bottom)
    axes.plot([x, x + length], [y, y], color="white", linewidth=5, solid_capstyle="butt")
    axes.plot([x, x + length], [y, y], color="black", linewidth=2.5, solid_capstyle="butt")
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.text(x, y + 0.015 * (top - bottom), text, fontsize=8, bbox=box, va="bottom")
    arrow = {"arrowstyle": "-|>", "linewidth": 2, "color": "black"}
    tip, tail = (0.95, 0.96), (0.95, 0.87)
    axes.annotate("", tip, tail, xycoords="axes fraction", textcoords="axes fraction", arrowprops=arrow)
    axes.text(0.95, 0.86, "N", transform=axes.transAxes, ha="center", va="top", fontsize=11, weight="bold", bbox=box)
