"""The same season of several years, the clearest look in each, and what bringing them home would take."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from pipeline.catalogue.items import wanted
from pipeline.catalogue.query import cloud_cover
from pipeline.errors import PipelineError

_SEASON = re.compile(r"(\d{2}-\d{2}):(\d{2}-\d{2})")


def seasons(years: Sequence[int], season: str) -> list[str]:
    """Ranges of dates, one a year, for a season such as `06-01:08-31`; one over the turn of the year ends in the next.

    Raises:
        ValueError: the season is not two days of a year.
    """
    found = _SEASON.fullmatch(season.strip())
    if found is None:
        raise ValueError(f"{season!r} is not a season such as 06-01:08-31")
    first, last = found.groups()
    ranges = []
    for year in sorted(set(years)):
        begins, ends = date.fromisoformat(f"{year}-{first}"), date.fromisoformat(f"{year + (last < first)}-{last}")
        ranges.append(f"{begins}/{ends}")
    return ranges


def clearest(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of every granule the Item with the least cloud, then the earliest; Items that tell no cloud come last."""
    best: dict[str, tuple[float, str, Mapping[str, Any]]] = {}
    for item in items:
        cloud = cloud_cover(item)
        told = item.get("properties")
        properties: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
        granule = str(properties.get("grid:code") or properties.get("s2:mgrs_tile") or "")
        rank = (101.0 if cloud is None else cloud, str(properties.get("datetime")), item)
        if granule not in best or rank[:2] < best[granule][:2]:
            best[granule] = rank
    return [best[granule][2] for granule in sorted(best)]


def size_of(item: Mapping[str, Any], bands: Sequence[str], welcome: Sequence[str] = ()) -> int | None:
    """Bytes of the files that the bands need; None where the catalogue does not tell them all."""
    try:
        keys = wanted(item, bands, welcome)
    except PipelineError:
        return None
    sizes = [item["assets"][key].get("file:size") for key in keys]
    known = [size for size in sizes if isinstance(size, int) and size >= 0]
    return sum(known) if len(known) == len(sizes) else None
