"""The atlases as a STAC API: catalogue, collections, items, search; what is stored, with addresses of this server."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pystac.utils import str_to_datetime

from pipeline.web.library import FILES, Atlas, Library, ShownScene, item
from pipeline.web.problems import Problem

CONFORMS: Final = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
)
MOST_ITEMS: Final = 1000
_JSON, _GEOJSON = "application/json", "application/geo+json"
Json = dict[str, Any]
Bbox = tuple[float, float, float, float]


def link(rel: str, href: str, kind: str = _JSON, **more: Any) -> Json:  # noqa: ANN401 - any JSON
    """A link of a STAC document."""
    return {"rel": rel, "href": href, "type": kind, **more}


def landing(library: Library, base: str) -> Json:
    """The catalogue; `base` is the address of this server, without a slash at its end."""
    stac = f"{base}/stac"
    return {
        "type": "Catalog",
        "id": "land-cover-atlas",
        "stac_version": "1.1.0",
        "title": "Land-cover atlas",
        "description": "Scenes classified into land cover by tiles of 640 m.",
        "conformsTo": list(CONFORMS),
        "links": [
            link("self", stac),
            link("root", stac),
            link("conformance", f"{stac}/conformance"),
            link("data", f"{stac}/collections"),
            link("search", f"{stac}/search", _GEOJSON, method="GET"),
            link("search", f"{stac}/search", _GEOJSON, method="POST"),
            link("service-desc", f"{base}/openapi.json", "application/vnd.oai.openapi+json;version=3.1"),
            link("service-doc", f"{base}/docs", "text/html"),
            *(link("child", f"{stac}/collections/{atlas.id}", title=atlas.title) for atlas in library.atlases()),
        ],
    }


def collection(atlas: Atlas, base: str) -> Json:
    """An atlas as a Collection."""
    stac = f"{base}/stac"
    items = [item(scene) for scene in atlas.scenes]
    boxes = [entry["bbox"] for entry in items]
    around = [min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)]
    dates = sorted(entry["properties"]["datetime"] for entry in items)
    here = f"{stac}/collections/{atlas.id}"
    return {
        "type": "Collection",
        "id": atlas.id,
        "stac_version": "1.1.0",
        "title": atlas.title,
        "description": f"Land cover of {len(items)} scenes.",
        "license": "other",
        "extent": {
            "spatial": {"bbox": [around, *(boxes if len(boxes) > 1 else ())]},
            "temporal": {"interval": [[dates[0], dates[-1]]]},
        },
        "links": [
            link("self", here),
            link("root", stac),
            link("parent", stac),
            link("items", f"{here}/items", _GEOJSON),
            *(link("item", f"{here}/items/{entry['id']}", _GEOJSON) for entry in items),
        ],
    }


def served_item(scene: ShownScene, base: str) -> Json:
    """A scene's Item whose links and files are addresses of this server."""
    stored = item(scene)
    parent = f"{base}/stac/collections/{scene.atlas}"
    files = f"{base}/scenes/{scene.id}/files"
    assets = {
        key: {**asset, "href": f"{files}/{name}?atlas={scene.atlas}"}
        for key, asset in stored["assets"].items()
        if (name := str(asset["href"]).rpartition("/")[2]) in FILES
    }
    maps = f"{base}/map/{scene.id}/landcover/tilejson.json?atlas={scene.atlas}"
    links = [
        link("self", f"{parent}/items/{scene.id}", _GEOJSON),
        link("root", f"{base}/stac"),
        link("parent", parent),
        link("collection", parent),
        link("tilejson", maps, title="Land cover as map tiles"),
    ]
    return {**stored, "collection": scene.atlas, "links": links, "assets": assets}


def matching(
    scenes: Sequence[ShownScene],
    bbox: Bbox | None = None,
    interval: str | None = None,
    ids: Sequence[str] = (),
) -> list[ShownScene]:
    """The scenes that touch a bbox, were acquired in an interval (RFC 3339) and carry one of the ids."""
    start, end = times(interval)
    found = []
    for scene in scenes:
        stored = item(scene)
        moment = str_to_datetime(stored["properties"]["datetime"])
        if ids and scene.id not in ids:
            continue
        if bbox is not None and not touches(stored["bbox"], bbox):
            continue
        if (start is not None and moment < start) or (end is not None and moment > end):
            continue
        found.append(scene)
    return found


def items(scenes: Sequence[ShownScene], base: str, limit: int, offset: int, here: str) -> Json:
    """A page of Items; `here` is the address that asks for it, to which `offset` is added for the next."""
    page = scenes[offset : offset + limit]
    links = [link("self", here, _GEOJSON), link("root", f"{base}/stac")]
    if offset + limit < len(scenes):
        mark = "&" if "?" in here else "?"
        links.append(link("next", f"{here}{mark}offset={offset + limit}", _GEOJSON))
    return {
        "type": "FeatureCollection",
        "features": [served_item(scene, base) for scene in page],
        "links": links,
        "numberMatched": len(scenes),
        "numberReturned": len(page),
    }


def searched(library: Library, asked: Mapping[str, Any]) -> list[ShownScene]:
    """The scenes that a search names: bbox, datetime, ids, collections.

    Raises:
        Problem: a part of the question is none (400).
    """
    collections, ids = strings(asked, "collections"), strings(asked, "ids")
    interval = asked.get("datetime")
    if interval is not None and not isinstance(interval, str):
        raise Problem(400, "datetime: give one moment or an interval such as 2021-01-01T00:00:00Z/..")
    known = {atlas.id for atlas in library.atlases()}
    chosen = [name for name in collections if name in known] if collections else [None]
    scenes = [scene for name in chosen for scene in library.scenes(name)]
    return matching(scenes, box_of(asked.get("bbox")), interval, ids)


def strings(asked: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts in a search, also as one text with commas."""
    told = asked.get(name) or []
    listed = told.split(",") if isinstance(told, str) else told
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise Problem(400, f"{name}: give a list of names")
    return listed


def box_of(told: Any) -> Bbox | None:  # noqa: ANN401 - what a request says
    """A bbox from text with commas or a list of four or six numbers.

    Raises:
        Problem: it is none (400).
    """
    if told is None or told == "":
        return None
    parts = told.split(",") if isinstance(told, str) else told
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == 6:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if len(numbers) != 4 or not all(-360 <= number <= 360 for number in numbers) or numbers[1] > numbers[3]:
        raise Problem(400, "bbox: give west,south,east,north in degrees")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def touches(box: Sequence[float], wanted: Bbox) -> bool:
    """Whether two boxes in degrees meet; a `wanted` whose west is beyond its east goes across longitude 180."""
    west, south, east, north = wanted
    if box[3] < south or box[1] > north:
        return False
    if west > east:
        return box[2] >= west or box[0] <= east
    return bool(box[2] >= west and box[0] <= east)


def times(interval: str | None) -> tuple[datetime | None, datetime | None]:
    """Start and end of a moment or an interval, None where it is open.

    Raises:
        Problem: it is none (400).
    """
    if not interval:
        return None, None
    parts = interval.split("/")
    try:
        moments = [None if part in ("", "..") else str_to_datetime(part) for part in parts]
        if len(moments) > 2:
            raise ValueError("more than two moments")
    except (ValueError, OverflowError) as error:
        raise Problem(400, "datetime: give one moment or an interval such as 2021-01-01T00:00:00Z/..") from error
    aware = [moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC) for moment in moments]
    return aware[0], aware[-1]
