"""The page's numbers as bytes: one plane of tiles per region of a zone, one layer per plane and date."""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from pipeline.atlas.collect import OUTSIDE, PERCENT_UNKNOWN, SceneTiles, TileChanges
from pipeline.grid import TileGrid
from pipeline.legend import TileState

FORMAT_VERSION = 1
# Bytes above the classes: tile states, then tiles that no table speaks of.
STATE_BYTES = {TileState.UNCLASSIFIED: 252, TileState.CLOUD: 253, TileState.NO_DATA: 254}
OUTSIDE_BYTE = 255
MAX_CLASSES = min(STATE_BYTES.values())
# Set in the confidence byte where another zone's plane already counts the place.
COUNTED_ELSEWHERE = 0x80

# Scenes of one day nearer than about 50 km are one place.
NEAR_DEGREES = 0.5

Bytes = npt.NDArray[np.uint8]
LatLonBounds = list[list[float]]


@dataclass(frozen=True, slots=True)
class Plane:
    """A rectangle of one zone's grid that holds scenes which overlap or touch."""

    grid: TileGrid
    """The grid that its tiles are of."""
    first_col: int
    """The western column."""
    top_row: int
    """The northern row; rows run from there southward."""
    rows: int
    """How many."""
    cols: int
    """How many."""

    @property
    def epsg(self) -> int:
        """The zone of its grid."""
        return self.grid.epsg

    def window(self, scene: SceneTiles) -> tuple[slice, slice]:
        """Where a scene's planes lie in this plane."""
        row, col = self.top_row - scene.top_row, scene.first_col - self.first_col
        return slice(row, row + scene.codes.shape[0]), slice(col, col + scene.codes.shape[1])

    def holds(self, scene: SceneTiles) -> bool:
        """Whether the scene lies within."""
        row, col = self.top_row - scene.top_row, scene.first_col - self.first_col
        height, width = scene.codes.shape
        return self.epsg == scene.epsg and 0 <= row <= self.rows - height and 0 <= col <= self.cols - width

    def overlaps(self, other: "Plane") -> bool:
        """Whether two planes of one zone share a tile."""
        return (
            self.epsg == other.epsg
            and self.first_col < other.first_col + other.cols
            and other.first_col < self.first_col + self.cols
            and self.top_row > other.top_row - other.rows
            and other.top_row > self.top_row - self.rows
        )

    def bounds(self) -> LatLonBounds:
        """[[south, west], [north, east]] in degrees; across longitude 180 they count on from the zone's own side."""
        edge = self.grid.edge
        left, top = self.first_col * edge, (self.top_row + 1) * edge
        west, south, east, north = Transformer.from_crs(self.epsg, 4326, always_xy=True).transform_bounds(
            left, top - self.rows * edge, left + self.cols * edge, top
        )
        if west > east:
            west, east = (west - 360.0, east) if self.epsg % 100 <= 30 else (west, east + 360.0)
        return [[round(south, 6), round(west, 6)], [round(north, 6), round(east, 6)]]

    def describe(self) -> dict[str, Any]:
        """The plane as the page reads it: `ulx`, `uly` in metres."""
        edge = self.grid.edge
        return {
            "epsg": self.epsg,
            "ulx": self.first_col * edge,
            "uly": (self.top_row + 1) * edge,
            "rows": self.rows,
            "cols": self.cols,
            "bounds": self.bounds(),
        }


@dataclass(frozen=True, slots=True)
class Layer:
    """One plane at one date; bytes are (row, column)."""

    date: int
    """Number of the date."""
    plane: int
    """Number of the plane."""
    scenes: tuple[int, ...]
    """Positions in the input of those that it is made of."""
    classes: Bytes
    """Class indices and states."""
    confidence: Bytes
    """Percent of the first class."""
    runner_up: Bytes
    """The second class."""
    runner_up_confidence: Bytes
    """Percent of the second class."""
    valid: Bytes
    """Percent of measured pixels."""
    cloud: Bytes
    """Percent under cloud."""
    scene: Bytes
    """Which of `scenes` owns each tile."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Evidence of change between two dates on one plane."""

    before: int
    """Number of the earlier date."""
    after: int
    """Number of the later date."""
    plane: int
    """Number of the plane."""
    p_change: Bytes
    """Percent."""
    state: Bytes
    """Index into CHANGE_STATES, 255 unknown."""
    vector: Bytes | None
    """Percent that the land looks different, where known."""
    label: Bytes | None
    """Percent that its class changed, where known."""


@dataclass(frozen=True, slots=True)
class Payload:
    """All that the page's script draws."""

    dates: tuple[date, ...]
    """In order."""
    places: tuple[tuple[int, ...], ...]
    """Numbers of planes that can be looked at together."""
    planes: tuple[Plane, ...]
    """Apart from each other within a zone."""
    layers: tuple[Layer, ...]
    """In order of date and plane."""
    pairs: tuple[Pair, ...]
    """Evidence of change."""

    @property
    def offsets(self) -> list[int]:
        """Where each plane's tiles begin when all tiles are numbered through."""
        return [sum(plane.rows * plane.cols for plane in self.planes[:number]) for number in range(len(self.planes))]

    @property
    def size(self) -> int:
        """Number of tiles of all planes."""
        return sum(plane.rows * plane.cols for plane in self.planes)

    def core(self) -> str:
        """Classes of every layer, then confidences, as base64 of zlib: what the map needs to open."""
        return _packed([layer.classes for layer in self.layers] + [layer.confidence for layer in self.layers])

    def details(self) -> str:
        """What only the tile card and the changes need: runner-up, its percent, valid, cloud.

        Owners where scenes share a layer; pairs.
        """
        parts: list[Bytes] = []
        for name in ("runner_up", "runner_up_confidence", "valid", "cloud"):
            parts += [getattr(layer, name) for layer in self.layers]
        parts += [layer.scene for layer in self.layers if len(layer.scenes) > 1]
        for pair in self.pairs:
            parts += [plane for plane in (pair.p_change, pair.state, pair.vector, pair.label) if plane is not None]
        return _packed(parts)

    def describe(self) -> dict[str, Any]:
        """Sizes and order of the bytes, for the page."""
        return {
            "version": FORMAT_VERSION,
            "dates": [day.isoformat() for day in self.dates],
            "planes": [plane.describe() for plane in self.planes],
            "layers": [
                {"date": layer.date, "plane": layer.plane, "scenes": list(layer.scenes)} for layer in self.layers
            ],
            "pairs": [
                {
                    "before": pair.before,
                    "after": pair.after,
                    "plane": pair.plane,
                    "vector": pair.vector is not None,
                    "label": pair.label is not None,
                }
                for pair in self.pairs
            ],
        }


def _packed(parts: list[Bytes]) -> str:
    # Level 9 takes three times as long and saves 1.5 %.
    return base64.b64encode(zlib.compress(b"".join(part.tobytes() for part in parts), 6)).decode("ascii")


def build_payload(scenes: Sequence[SceneTiles], changes: Sequence[TileChanges]) -> Payload:
    """Lays scenes onto planes; of the scenes of one date that share a tile, one owns it.

    The owner is the one with the highest valid share, then the least cloud, then the first id. Where two zones meet, a
    tile whose centre lies in a tile that an earlier plane owns is marked as counted elsewhere.
    """
    dates = tuple(sorted({scene.day for scene in scenes}))
    groups = find_places(scenes)
    found_planes = [find_planes([scenes[k] for k in group]) for group in groups]
    planes = tuple(plane for found in found_planes for plane in found)
    group_of = [number for number, found in enumerate(found_planes) for _ in found]
    places = tuple(tuple(n for n, own in enumerate(group_of) if own == group) for group in range(len(groups)))
    overlaps = [
        _overlap(planes[a], planes[b], a, b)
        for a, b in combinations(range(len(planes)), 2)
        if planes[a].epsg != planes[b].epsg
    ]
    layers: list[Layer] = []
    for at, day in enumerate(dates):
        shown: dict[int, Layer] = {}
        for number, plane in enumerate(planes):
            members = [k for k in groups[group_of[number]] if scenes[k].day == day and plane.holds(scenes[k])]
            if members:
                shown[number] = _merged(at, number, plane, members, scenes)
        _mark_shared(shown, [overlap for overlap in overlaps if overlap is not None])
        layers += shown.values()
    pairs = [
        pair
        for change in changes
        for number, plane in enumerate(planes)
        if (pair := _pair(change, number, plane, dates)) is not None
    ]
    return Payload(dates, places, planes, tuple(layers), tuple(pairs))


def find_places(scenes: Sequence[SceneTiles]) -> list[list[int]]:
    """Positions of scenes that can be looked at together: they share ground, or lie near each other on one day.

    Neighbours of other days that share no tile stay apart, because no date would show both.
    """
    boxes = [Plane(s.grid, s.first_col, s.top_row, *s.codes.shape) for s in scenes]
    bounds = [box.bounds() for box in boxes]
    group = list(range(len(scenes)))

    def first(one: int) -> int:
        while group[one] != one:
            one = group[one]
        return one

    for a, b in combinations(range(len(scenes)), 2):
        if (scenes[a].day == scenes[b].day and _near(bounds[a], bounds[b])) or boxes[a].overlaps(boxes[b]):
            low, high = sorted((first(a), first(b)))
            group[high] = low
    found: dict[int, list[int]] = {}
    for one in sorted(range(len(scenes)), key=lambda k: (boxes[k].epsg, boxes[k].first_col, -boxes[k].top_row, k)):
        found.setdefault(first(one), []).append(one)
    return [sorted(members) for members in found.values()]


def _near(a: LatLonBounds, b: LatLonBounds) -> bool:
    return all(a[0][k] <= b[1][k] + NEAR_DEGREES and b[0][k] <= a[1][k] + NEAR_DEGREES for k in (0, 1))


def find_planes(scenes: Sequence[SceneTiles]) -> tuple[Plane, ...]:
    """The fewest rectangles, apart from each other within a zone, that hold all scenes."""
    boxes = sorted(
        {
            (s.epsg, s.first_col, s.top_row - s.codes.shape[0] + 1, s.first_col + s.codes.shape[1], s.top_row + 1)
            for s in scenes
        }
    )
    grids = {s.epsg: s.grid for s in scenes}
    merged = True
    while merged:
        merged = False
        for a, b in combinations(boxes, 2):
            if a[0] == b[0] and a[1] <= b[3] and b[1] <= a[3] and a[2] <= b[4] and b[2] <= a[4]:
                union = (a[0], min(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3]), max(a[4], b[4]))
                boxes = sorted((set(boxes) - {a, b}) | {union})
                merged = True
                break
    return tuple(
        Plane(grids[epsg], left, top - 1, top - bottom, right - left) for epsg, left, bottom, right, top in boxes
    )


def _merged(at: int, number: int, plane: Plane, members: list[int], scenes: Sequence[SceneTiles]) -> Layer:
    shape = (plane.rows, plane.cols)
    out = {
        name: np.zeros(shape, np.uint8) for name in ("confidence", "runner_up_confidence", "valid", "cloud", "scene")
    }
    classes, runner_up = np.full(shape, OUTSIDE_BYTE, np.uint8), np.full(shape, OUTSIDE_BYTE, np.uint8)
    for position, member in enumerate(members):
        scene = scenes[member]
        window = plane.window(scene)
        valid, cloud = out["valid"][window], out["cloud"][window]
        better = (
            (classes[window] == OUTSIDE_BYTE) | (scene.valid > valid) | ((scene.valid == valid) & (scene.cloud < cloud))
        )
        wins = (scene.codes != OUTSIDE) & better
        classes[window][wins] = class_bytes(scene.codes)[wins]
        runner_up[window][wins] = class_bytes(scene.runner_up)[wins]
        for name in ("confidence", "runner_up_confidence", "valid", "cloud"):
            out[name][window][wins] = getattr(scene, name)[wins]
        out["scene"][window][wins] = position
    stated = classes >= MAX_CLASSES
    out["confidence"][stated] = 0
    out["runner_up_confidence"][stated] = 0
    runner_up[stated] = OUTSIDE_BYTE
    return Layer(at, number, tuple(members), classes=classes, runner_up=runner_up, **out)


def class_bytes(codes: npt.NDArray[np.int8]) -> Bytes:
    """Class indices and tile states as the page's bytes."""
    table = np.full(256, OUTSIDE_BYTE, np.uint8)
    table[:MAX_CLASSES] = np.arange(MAX_CLASSES)
    table[128:] = OUTSIDE_BYTE
    for state, byte in STATE_BYTES.items():
        table[np.uint8(int(state) & 0xFF)] = byte
    return table[codes.view(np.uint8)]


@dataclass(frozen=True, slots=True)
class _Overlap:
    """For tiles of the later plane whose centre lies in the earlier one: flat positions in both."""

    earlier: int
    later: int
    in_earlier: npt.NDArray[np.int64]
    in_later: npt.NDArray[np.int64]


def _overlap(earlier: Plane, later: Plane, a: int, b: int) -> _Overlap | None:
    edge = later.grid.edge
    x = (later.first_col + np.arange(later.cols) + 0.5) * edge
    y = (later.top_row + 0.5 - np.arange(later.rows)) * edge
    east, north = np.meshgrid(x, y)
    to_earlier = Transformer.from_crs(later.epsg, earlier.epsg, always_xy=True)
    # The rim tells whether the planes meet at all, long before every tile is transformed.
    rim_east, rim_north = (np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]]) for plane in (east, north))
    rim_x, rim_y = to_earlier.transform(rim_east, rim_north)
    left, right = earlier.first_col * edge, (earlier.first_col + earlier.cols) * edge
    top, bottom = (earlier.top_row + 1) * edge, (earlier.top_row + 1 - earlier.rows) * edge
    finite = np.isfinite(rim_x) & np.isfinite(rim_y)
    if (
        not finite.any()
        or rim_x[finite].min() > right
        or rim_x[finite].max() < left
        or rim_y[finite].min() > top
        or rim_y[finite].max() < bottom
    ):
        return None
    into_x, into_y = to_earlier.transform(east.ravel(), north.ravel())
    inside = np.isfinite(into_x) & (into_x >= left) & (into_x < right) & (into_y > bottom) & (into_y <= top)
    if not inside.any():
        return None
    col = np.floor((into_x[inside] - left) / edge).astype(np.int64)
    row = np.minimum(np.floor((top - into_y[inside]) / edge).astype(np.int64), earlier.rows - 1)
    return _Overlap(a, b, row * earlier.cols + col, np.flatnonzero(inside))


def _mark_shared(layers: dict[int, Layer], overlaps: list[_Overlap]) -> None:
    for overlap in sorted(overlaps, key=lambda o: (o.later, o.earlier)):
        if overlap.earlier in layers and overlap.later in layers:
            earlier, later = layers[overlap.earlier], layers[overlap.later]
            owned = (earlier.classes.ravel() != OUTSIDE_BYTE) & (earlier.confidence.ravel() < COUNTED_ELSEWHERE)
            present = later.classes.ravel()[overlap.in_later] != OUTSIDE_BYTE
            shared = overlap.in_later[owned[overlap.in_earlier] & present]
            later.confidence.reshape(-1)[shared] |= COUNTED_ELSEWHERE


def _pair(change: TileChanges, number: int, plane: Plane, dates: tuple[date, ...]) -> Pair | None:
    if change.epsg != plane.epsg or change.before not in dates or change.after not in dates:
        return None
    row, col = plane.top_row - change.index[:, 1], change.index[:, 0] - plane.first_col
    inside = (row >= 0) & (row < plane.rows) & (col >= 0) & (col < plane.cols)
    if not inside.any():
        return None

    def spread(values: Bytes) -> Bytes:
        out = np.full((plane.rows, plane.cols), PERCENT_UNKNOWN, np.uint8)
        out[row[inside], col[inside]] = values[inside]
        return out

    kinds = [None if values is None else spread(values) for values in (change.vector, change.label)]
    p_change, state = spread(change.p_change), spread(change.state)
    state[p_change == PERCENT_UNKNOWN] = PERCENT_UNKNOWN
    return Pair(dates.index(change.before), dates.index(change.after), number, p_change, state, *kinds)
