"""Searching a STAC API, page by page."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from pipeline.catalogue.download import json_at, links_of, shown
from pipeline.errors import NotAScene

_PAGE = 100
# Where an API's pages do not end by themselves: so many in all, so many without an Item in a row.
_MOST_PAGES, _MOST_EMPTY = 1000, 20


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for."""

    bbox: tuple[float, float, float, float]
    """Degrees: west, south, east, north."""
    dates: str
    """As `2024-06-01/2024-08-31`."""
    collection: str = "sentinel-2-l2a"
    """The catalogue's name of a collection."""
    max_cloud: float | None = None
    """Percent of the scene; None takes all."""
    limit: int = 100
    """How many Items at most."""


def search(api: str, query: Query) -> Iterator[Mapping[str, Any]]:
    """Items of a STAC API, page by page; clouded ones are left out here, since not every API filters.

    Raises:
        NotAScene: the API does not answer, or not with Items.
    """
    first, _, last = query.dates.partition("/")
    body: dict[str, Any] | None = {
        "bbox": list(query.bbox),
        "datetime": f"{_moment(first, 'T00:00:00Z')}/{_moment(last or first, 'T23:59:59Z')}",
        "collections": [query.collection],
        "limit": min(query.limit, _PAGE),
    }
    url, left = f"{api.rstrip('/')}/search", query.limit
    read: set[str] = set()
    empty = 0
    while left > 0:
        mark = json.dumps([url, body], sort_keys=True)
        if mark in read or len(read) >= _MOST_PAGES or empty >= _MOST_EMPTY:
            raise NotAScene(f"{shown(url)}: its pages do not end; narrow --bbox or --dates, or lower --limit")
        read.add(mark)
        page = json_at(url, body)
        items = [item for item in _listed(page, "features") if isinstance(item, dict)]
        empty = 0 if items else empty + 1
        for item in items:
            cloud = cloud_cover(item)
            if query.max_cloud is not None and (cloud is None or cloud > query.max_cloud):
                continue
            yield item
            left -= 1
            if not left:
                return
        follow = next((link for link in links_of(page) if link.get("rel") == "next"), None)
        if follow is None or not isinstance(follow.get("href"), str):
            return
        again = follow.get("body") or {}
        url = urljoin(url, follow["href"])
        body = (
            None
            if str(follow.get("method", "GET")).upper() == "GET"
            else {**(body or {}), **again}
            if follow.get("merge")
            else again
        )


def cloud_cover(item: Mapping[str, Any]) -> float | None:
    """An Item's share of cloud in percent; None where it tells none.

    >>> cloud_cover({"properties": {"eo:cloud_cover": 12}}), cloud_cover({"properties": None})
    (12.0, None)
    """
    properties = item.get("properties")
    told = properties.get("eo:cloud_cover") if isinstance(properties, dict) else None
    known = isinstance(told, int | float) and math.isfinite(told)
    return float(told) if known and told is not None else None


def _listed(page: Mapping[str, Any], field: str) -> list[Any]:
    told = page.get(field)
    return told if isinstance(told, list) else []


def _moment(date: str, clock: str) -> str:
    return date if "T" in date or date in ("", "..") else date + clock
