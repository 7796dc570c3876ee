"""Polygons of OpenStreetMap for the extent of scenes, from an Overpass address, kept as GeoJSON with their licence.

The service and its language: https://wiki.openstreetmap.org/wiki/Overpass_API.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from math import ceil
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import numpy as np
import shapely
from rasterio.warp import transform_bounds

from pipeline.datasets.masks import tag_classes
from pipeline.errors import ModelError
from pipeline.files import write_text
from pipeline.grid import Bounds
from pipeline.scenes.safety.address import RemoteError, ask, explained, is_remote, redacted
from pipeline.scenes.safety.guard import printable
from pipeline.scenes.scene import Scene

log = logging.getLogger(__name__)

LICENCE, RIGHTS = "ODbL-1.0", "© OpenStreetMap contributors"
# Degrees along a question's side: a service answers so much of a dense country in seconds. And questions a scene.
_PIECE, _MOST_PIECES = 0.25, 100
_MOST_BYTES = 200 << 20
# Seconds that the service may work on a question, below those that we wait for it.
_SECONDS = 50
_TRIES = 4
_LONGEST_WAIT = 120.0
# Too many questions, or too much to do: asked again later.
_BUSY = (429, 503, 504)

Element = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overpass:
    """A service that answers questions about OpenStreetMap."""

    address: str
    """Such as https://overpass-api.de/api/interpreter."""
    wait: Callable[[float], None] = time.sleep
    """Waits for so many seconds."""

    def elements(self, box: Bounds) -> list[Element]:
        """Ways and relations that carry a tag of the table in a bbox (west, south, east, north in degrees).

        Raises:
            ModelError: there is no usable answer.
        """
        answer = self._asked(urlencode({"data": question(box)}).encode())
        where = redacted(self.address)
        try:
            told = json.loads(answer)
            elements: list[Element] = told["elements"]
            remark = told.get("remark")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{where}: its answer is none of an Overpass service; check the address") from error
        # What ran out of time or memory comes with what was found until then.
        if remark or not isinstance(elements, list):
            said = printable(str(remark))[:120]
            raise ModelError(f"{where}: gave up ({said}); try later, or give smaller scenes or an extract as --truth")
        return elements

    def _asked(self, data: bytes) -> bytes:
        where = redacted(self.address)
        for attempt in range(_TRIES):
            try:
                with ask(self.address, {"Content-Type": "application/x-www-form-urlencoded"}, data) as answer:
                    found: bytes = answer.read(_MOST_BYTES + 1)
                if len(found) > _MOST_BYTES:
                    raise ModelError(f"{where}: answers more than {_MOST_BYTES >> 20} MB; give an extract as --truth")
                return found
            except HTTPError as error:
                if error.code not in _BUSY or attempt == _TRIES - 1:
                    later = "; it is busy, try again later" if error.code in _BUSY else "; check the address"
                    raise ModelError(f"{where}: {explained(error)}{later}") from error
                seconds = _seconds(error.headers.get("Retry-After"), attempt)
                log.info("%s: busy (%d), asked again in %.0f s", where, error.code, seconds)
                self.wait(seconds)
            except (RemoteError, HTTPException, OSError, ValueError) as error:
                raise ModelError(f"{where}: gives no answer ({explained(error)}); check address and network") from error
        raise AssertionError("the last try returns or raises")


def fetch_polygons(service: Overpass, scenes: Iterable[Scene], folder: Path) -> list[Path]:
    """A GeoJSON of polygons for each scene, named after it; what lies there for the same extent is not asked again.

    Raises:
        ModelError: the address is none, gives no usable answer, or knows no polygon of the table on any scene.
        OutputError: the folder cannot be written.
    """
    if not is_remote(service.address) or service.address.startswith("s3:"):
        shown = redacted(service.address)
        raise ModelError(f"{shown}: no address of an Overpass service, such as https://overpass-api.de/api/interpreter")
    paths, counts = [], []
    for scene in scenes:
        if Path(scene.id).name != scene.id:
            raise ModelError(f"{printable(scene.id)}: no name for a file; rename the scene's file or Item")
        path, box = folder / f"{scene.id}.geojson", _degrees(scene)
        known = _kept(path, box)
        if known is None:
            known = _polygons(service, box, scene.id)
            write_text(path, json.dumps(_collection(known, box), ensure_ascii=False))
        counts.append(len(known))
        if not known:
            log.warning("%s: OpenStreetMap has no polygon of the tags that stand for a cover there", scene.id)
        paths.append(path)
    if paths and not any(counts):
        raise ModelError(
            f"{redacted(service.address)}: knows no polygon of the tags that stand for a cover on {len(paths)} scenes; "
            f"give drawn polygons as --truth"
        )
    return paths


def question(box: Bounds) -> str:
    """What an Overpass service is asked for a bbox (west, south, east, north)."""
    west, south, east, north = box
    where = f"({south:.6f},{west:.6f},{north:.6f},{east:.6f})"
    values: dict[str, list[str]] = {}
    for key, value in tag_classes():
        values.setdefault(key, []).append(value)
    lines = [
        line
        for key, listed in values.items()
        for line in (
            f'way["{key}"~"^({"|".join(listed)})$"]{where};',
            f'relation["type"="multipolygon"]["{key}"~"^({"|".join(listed)})$"]{where};',
        )
    ]
    return f"[out:json][timeout:{_SECONDS}];({''.join(lines)});out geom;"


def outline_of(element: Element) -> shapely.Geometry | None:
    """The polygon of a closed way or of a multipolygon's relation; None where its rings do not close.

    Members of a relation are pieces of rings in any order and direction.
    """
    try:
        if element["type"] == "way":
            line = _line(element)
            return shapely.Polygon(line) if len(line) >= 4 and (line[0] == line[-1]).all() else None
        outer, inner = (
            [_line(member) for member in element["members"] if member["type"] == "way" and member["role"] in roles]
            for roles in (("outer", ""), ("inner",))
        )
        rings, holes = _rings(outer), _rings(inner)
    except (KeyError, TypeError, ValueError, shapely.errors.ShapelyError):
        return None
    if rings is None or holes is None or rings.is_empty:
        return None
    return shapely.difference(rings, holes)


def _line(part: Element) -> Any:  # noqa: ANN401 - an array (n, 2)
    """Longitude and latitude of a way's nodes; those outside what a service gave are missing."""
    return np.array([(node["lon"], node["lat"]) for node in part["geometry"]], np.float64)


def _rings(lines: list[Any]) -> shapely.Geometry | None:
    """The ground inside rings that are made of these lines; None where a line is left over."""
    if not lines:
        return shapely.Polygon()
    made, cut, dangling, invalid = shapely.polygonize_full([shapely.LineString(line) for line in lines])
    if not (cut.is_empty and dangling.is_empty and invalid.is_empty):
        return None
    return shapely.union_all(list(made.geoms))


def _polygons(service: Overpass, box: Bounds, name: str) -> list[dict[str, Any]]:
    """Features of all polygons that reach into a bbox, each once."""
    keys = tuple(dict.fromkeys(key for key, _ in tag_classes()))
    seen: dict[str, dict[str, Any]] = {}
    broken = 0
    for piece in _pieces(box, name):
        for element in service.elements(piece):
            mark = f"{element.get('type')}/{element.get('id')}"
            if mark in seen:
                continue
            shape = outline_of(element)
            if shape is None or shape.is_empty:
                broken += 1
                continue
            tags = element.get("tags", {})
            told = {key: str(tags[key]) for key in keys if key in tags}
            seen[mark] = {
                "type": "Feature",
                "properties": {"element": mark, **told},
                "geometry": shape.__geo_interface__,
            }
    if broken:
        log.warning("%s: %d ways or relations of OpenStreetMap do not close, left out", name, broken)
    log.info("%s: %d polygons of OpenStreetMap", name, len(seen))
    return list(seen.values())


def _pieces(box: Bounds, name: str) -> Iterator[Bounds]:
    west, south, east, north = box
    columns, rows = (max(1, ceil(side / _PIECE - 1e-9)) for side in (east - west, north - south))
    if columns * rows > _MOST_PIECES:
        raise ModelError(f"{name}: is too large to ask for ({columns * rows} questions); give an extract as --truth")
    across, down = (east - west) / columns, (north - south) / rows
    for row in range(rows):
        for column in range(columns):
            left, low = west + column * across, south + row * down
            yield left, low, left + across, low + down


def _degrees(scene: Scene) -> Bounds:
    west, south, east, north = transform_bounds(f"EPSG:{scene.epsg}", "EPSG:4326", *scene.bounds)
    if west > east:
        raise ModelError(f"{scene.id}: lies across longitude 180; give an extract as --truth")
    return west, south, east, north


def _collection(features: list[dict[str, Any]], box: Bounds) -> dict[str, Any]:
    """A GeoJSON that tells its licence and for which extent and tags it was asked."""
    told = {"license": LICENCE, "attribution": RIGHTS, "bbox": list(box), "question": question(box)}
    return {"type": "FeatureCollection", **told, "features": features}


def _kept(path: Path, box: Bounds) -> list[dict[str, Any]] | None:
    """The features that were fetched for the same extent and tags earlier."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        features: list[dict[str, Any]] = told["features"]
        return features if told["question"] == question(box) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _seconds(told: str | None, attempt: int) -> float:
    """How long to wait, as the service says, else longer each time."""
    try:
        return min(max(float(told or ""), 0.0), _LONGEST_WAIT)
    except ValueError:
        return 5.0 * float(2**attempt)
