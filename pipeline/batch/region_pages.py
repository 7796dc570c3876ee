"""A page for each of many regions, made side by side or on a cluster, and one page that lists them all."""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from pipeline.atlas.collect import collect
from pipeline.atlas.cutting import cut
from pipeline.atlas.index_page import write_index
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.batch.executors import Executor
from pipeline.batch.work import explained
from pipeline.errors import OutputError, TileTableError
from pipeline.outlines import Outline
from pipeline.results.layout import ITEM, PAGE, TABLE, scene_folders
from pipeline.results.table import read_legend
from pipeline.scenes.safety.guard import printable

_log = logging.getLogger(__name__)

# Degrees that a scene's tiles may reach beyond its footprint.
_BEYOND = 0.02
_EVERYWHERE = (-360.0, -90.0, 360.0, 90.0)
_LONGEST = 80


class RegionPages(NamedTuple):
    """What was written."""

    listing: Path
    """The page that lists the others."""
    pages: tuple[Path, ...]
    """Those of the regions."""
    empty: tuple[str, ...]
    """Regions that no tile touches."""


class _Order(NamedTuple):
    """One region's page, to be made anywhere."""

    results: Path
    scenes: tuple[str, ...]
    region: Outline
    page: Path
    options: AtlasOptions


class _Made(NamedTuple):
    """What became of an order: a page, a reason why there is none, or neither where no tile touches the region."""

    page: Path | None = None
    reason: str | None = None


def write_region_pages(
    results: Path, regions: Sequence[Outline], maps: Path, executor: Executor, options: AtlasOptions = AtlasOptions()
) -> RegionPages:
    """Writes `maps/<region>/atlas.html` for every region that a tile of `results` touches, and `maps/index.html`.

    Outlines of one name are one region. A page that cannot be made costs itself alone, with a warning.

    Raises:
        OutputError: there are no results, no page could be made, or the index cannot be written.
        TileTableError: no region touches a tile.
    """
    folders = scene_folders(results)
    if not folders:
        raise OutputError(f"{results}: holds no {TABLE}; run the pipeline on a folder of scenes first")
    named = _by_name(regions)
    places = np.array([_reach(folder / ITEM) for folder in folders])
    orders = [
        _Order(results, tuple(folders[at].name for at in near), region, maps / name / PAGE, _titled(options, region))
        for name, region in named.items()
        if len(near := _near(region.shape, places))
    ]
    made = {
        order.region.name: answer or _Made(reason="the worker was lost")
        for order, answer in zip(orders, executor.each(make_page, orders), strict=True)
    }
    for name, answer in made.items():
        if answer.reason is not None:
            _log.warning("%s: no page: %s", printable(name), answer.reason)
    pages = tuple(answer.page for answer in made.values() if answer.page is not None)
    empty = tuple(one.name for one in named.values() if made.get(one.name, _Made()) == _Made())
    if len(empty) == len(named):
        raise TileTableError(f"{results}: no region touches a tile; check the coordinates of the outlines")
    if not pages:
        raise OutputError(f"{maps}: no region's page could be made; the warnings say why")
    listing, _ = write_index(maps)
    return RegionPages(listing, pages, empty)


def make_page(order: _Order) -> _Made:
    """The page of a region; one that cannot be made can never cost the others."""
    try:
        found = cut(collect(order.results, only=order.scenes), order.region.shape)
        if found is None:
            return _Made()
        order.page.parent.mkdir(parents=True, exist_ok=True)
        legend = read_legend(order.results / order.scenes[0] / TABLE)
        return _Made(render_atlas(found, legend, order.page, order.options))
    except Exception as error:
        return _Made(reason=printable(explained(order.region.name, error).reason))


def _titled(options: AtlasOptions, region: Outline) -> AtlasOptions:
    return replace(options, title=f"Land cover {region.name}")


def _by_name(regions: Sequence[Outline]) -> dict[str, Outline]:
    """Regions by the names of their folders, which are their own without what no file system takes."""
    shapes: dict[str, list[shapely.Geometry]] = {}
    for region in regions:
        shapes.setdefault(region.name, []).append(region.shape)
    found: dict[str, Outline] = {}
    for name, parts in shapes.items():
        plain = re.sub(r"\W+", "-", name).strip("-_")[:_LONGEST].casefold() or "region"
        folder = next(one for one in (plain, *(f"{plain}-{n}" for n in range(2, len(shapes) + 2))) if one not in found)
        found[folder] = Outline(name, shapely.union_all(parts))
    return found


def _reach(item: Path) -> tuple[float, float, float, float]:
    """A scene's west, south, east, north in degrees; everywhere, where its Item does not tell."""
    try:
        west, south, east, north = json.loads(item.read_text(encoding="utf-8"))["bbox"]
        return float(west), float(south), float(east) + 360.0 * (east < west), float(north)
    except (OSError, ValueError, KeyError, TypeError):
        return _EVERYWHERE


def _near(shape: shapely.Geometry, places: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Which places (n, 4) a shape may touch; the same ground is also named a turn of 360 degrees away."""
    west, south, east, north = shape.bounds
    level = (places[:, 1] - _BEYOND <= north) & (places[:, 3] + _BEYOND >= south)
    meets = [
        (places[:, 0] + turn - _BEYOND <= east) & (places[:, 2] + turn + _BEYOND >= west) for turn in (-360, 0, 360)
    ]
    return np.flatnonzero(level & np.any(meets, axis=0))
