"""Places: scenes that can be looked at together, and what people call where they are."""

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from math import atan2, cos, degrees, radians
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.atlas.part import static
from pipeline.atlas.payload import LatLonBounds, Payload

EARTH_KM = 6371.0
# Beyond this a town tells nobody where a place is.
FARTHEST_TOWN_KM = 250.0
WINDS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")


@cache
def towns() -> tuple[tuple[str, str, float, float], ...]:
    """Name, country, latitude and longitude of Natural Earth's towns, the largest first."""
    stored = json.loads(static("towns.json"))
    return tuple((name, stored["countries"][country], lat, lon) for name, country, lat, lon, _ in stored["towns"])


def nearest_town(latitude: float, longitude: float) -> tuple[str, float, str] | None:
    """A town with its country, kilometres to the place and the wind that the place lies to; None where all are far."""
    away = _distances(latitude, longitude)
    at = int(away.argmin())
    if away[at] >= FARTHEST_TOWN_KM:
        return None
    name, country, lat, lon = towns()[at]
    north, east = latitude - lat, (longitude - lon) * cos(radians(lat))
    wind = WINDS[round(degrees(atan2(east, north)) / 45) % 8]
    return f"{name}, {country}" if name != country else name, float(away[at]), wind


def _distances(latitude: float, longitude: float) -> npt.NDArray[np.float64]:
    """Kilometres on the sphere to every town (haversine)."""
    lat, lon = _positions()
    here = radians(latitude)
    half = np.sin((here - lat) / 2) ** 2 + np.cos(lat) * cos(here) * np.sin((radians(longitude) - lon) / 2) ** 2
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(half)))


@cache
def _positions() -> npt.NDArray[np.float64]:
    """Latitudes and longitudes (2, n) of all towns in radians."""
    return np.asarray(np.radians(np.array([town[2:] for town in towns()]).T))


def describe_places(payload: Payload, scene_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Every place for the page: name, granules or scene ids, bounds, its dates and planes; by name."""
    found = []
    for planes in payload.places:
        layers = [layer for layer in payload.layers if layer.plane in planes]
        bounds = union_bounds([payload.planes[number].bounds() for number in planes])
        ids = sorted({scene_ids[scene] for layer in layers for scene in layer.scenes})
        found.append(
            {
                "ids": granules(ids) or ids,
                "bounds": bounds,
                "dates": sorted({layer.date for layer in layers}),
                "planes": list(planes),
            }
        )
    _name(found)
    return sorted(found, key=lambda place: str(place["name"]))


def _name(places: list[dict[str, Any]]) -> None:
    """Adds `name` to every place; where two would be called alike, distance and direction tell them apart."""
    known = []
    for place in places:
        (south, west), (north, east) = place["bounds"]
        known.append(nearest_town((south + north) / 2, ((west + east) / 2 + 180) % 360 - 180))
    plain = [f"near {town[0]}" if town else place["ids"][0] for town, place in zip(known, places, strict=True)]
    for place, town, name in zip(places, known, plain, strict=True):
        alike = plain.count(name) > 1 and town is not None
        place["name"] = f"{town[1]:.0f} km {town[2]} of {town[0]}" if alike and town else name
    names = [place["name"] for place in places]
    for place in places:
        if names.count(place["name"]) > 1:
            place["name"] += f" ({place['ids'][0]})"


def granules(ids: Iterable[str]) -> list[str]:
    """MGRS names in scenes' ids."""
    return sorted(
        {match.group(1) for one in ids if (match := re.search(r"(?<![A-Z0-9])(T\d{2}[A-Z]{3})(?![A-Z0-9])", one))}
    )


def union_bounds(boxes: Sequence[LatLonBounds]) -> LatLonBounds:
    """The box of boxes."""
    return [
        [min(box[0][0] for box in boxes), min(box[0][1] for box in boxes)],
        [max(box[1][0] for box in boxes), max(box[1][1] for box in boxes)],
    ]
