"""Figures of an area: hectares of every class and date with intervals, and what changed between two dates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from pipeline.atlas.collect import CHANGE_STATES
from pipeline.atlas.part import World
from pipeline.atlas.payload import COUNTED_ELSEWHERE, MAX_CLASSES, Layer, Payload
from pipeline.errors import TileTableError
from pipeline.outlines import Outline, on_grid, shares_of
from pipeline.scenes.scene import UNKNOWN_DATE

Array = npt.NDArray[np.float64]

Z95 = 1.96
# Errors of neighbours go together; within blocks of this many tiles they are taken as one error.
BLOCK = 3
_CHANGED = CHANGE_STATES.index("changed")


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Hectares (class,) at one date."""

    day: date
    """The date."""
    mapped: Array
    """Counted by label."""
    expected: Array
    """From the calibrated probabilities."""
    interval: Array
    """Half width of its 95 % interval."""
    unclassed: float
    """Hectares of cloud, no data and places left unclassified."""


@dataclass(frozen=True, slots=True)
class ChangeFigures:
    """Hectares by move (from, to) between two dates."""

    before: date
    """The earlier date."""
    after: date
    """The later date."""
    moves: Array
    """Claimed (from, to)."""
    doubt: Array
    """Those of them that are expected to be false (from, to)."""
    undecided: float
    """Between the rules of evidence."""
    stable: float
    """Without a change."""
    differ: float
    """Hectares whose labels differ, which is no change."""
    sure: float
    """Hectares of change that are expected to be real."""
    interval: float
    """Half width of its 95 % interval."""
    measured: bool
    """False where no table of changes holds the pair; then only `differ` is known."""


@dataclass(frozen=True, slots=True)
class AreaFigures:
    """What is known of an area."""

    name: str
    """What people call it."""
    hectares: float
    """Its size."""
    weights: Mapping[int, Array]
    """Its tiles' parts inside, by number of the plane."""
    dates: tuple[ClassFigures, ...]
    """Figures of all its dates."""
    change: ChangeFigures | None
    """Figures of one change; None with fewer than two dates."""


def area_weights(payload: Payload, planes: Sequence[int], outline: Outline | None) -> dict[int, Array]:
    """How much of every tile (row, column) of the planes counts: its part inside the outline, all without one."""
    weights: dict[int, Array] = {}
    for number in planes:
        plane = payload.planes[number]
        if outline is None:
            weights[number] = np.ones((plane.rows, plane.cols))
            continue
        rows, cols = np.indices((plane.rows, plane.cols))
        index = np.stack([plane.first_col + cols.ravel(), plane.top_row - rows.ravel()], axis=1)
        placed = on_grid(outline.shape, plane.epsg)
        weights[number] = shares_of(placed, index, plane.grid.edge).reshape(rows.shape)
    return {number: weight for number, weight in weights.items() if weight.any()}


def describe_area(name: str, world: World, weights: Mapping[int, Array]) -> AreaFigures:
    """Figures of every date of an area, without a change.

    Raises:
        TileTableError: no tile of the map lies in the area.
    """
    payload = world.payload
    layers = [layer for layer in payload.layers if layer.plane in weights]
    if not layers:
        raise TileTableError(f"{name}: no tile of this map lies there; check the outline's coordinates")
    found = []
    for number in sorted({layer.date for layer in layers}):
        here = [layer for layer in layers if layer.date == number]
        found.append(_class_figures(payload.dates[number], here, world, weights))
    total = float(sum(weight.sum() for weight in weights.values())) * payload.planes[0].grid.hectares
    return AreaFigures(name, total, weights, tuple(one for one in found if one.mapped.sum() + one.unclassed > 0), None)


def _class_figures(day: date, layers: Sequence[Layer], world: World, weights: Mapping[int, Array]) -> ClassFigures:
    count, hectares = len(world.legend.classes), world.payload.planes[0].grid.hectares
    mapped, expected, variance, unclassed = np.zeros(count), np.zeros(count), np.zeros(count), 0.0
    for layer in layers:
        weight = weights[layer.plane] * (layer.confidence < COUNTED_ELSEWHERE)
        known = layer.classes < MAX_CLASSES
        mapped += np.bincount(layer.classes[known], weight[known], count)[:count]
        unclassed += float(weight[(layer.classes >= MAX_CLASSES) & (layer.classes < 255)].sum())
        shares = _probabilities(layer, world)
        for k in range(count):
            p = np.where(known, shares[k], 0.0)
            expected[k] += float((weight * p).sum())
            variance[k] += float((_blocks(weight * np.sqrt(p * (1 - p))) ** 2).sum())
    return ClassFigures(
        day, mapped * hectares, expected * hectares, Z95 * np.sqrt(variance) * hectares, unclassed * hectares
    )


def _probabilities(layer: Layer, world: World) -> Array:
    """Probabilities (class, row, column) of a layer, each tile from the scene that owns it, adding up to 1."""
    out = np.zeros((len(world.legend.classes), *layer.classes.shape))
    for position, member in enumerate(layer.scenes):
        scene = world.collected.scenes[member]
        rows, cols = world.payload.planes[layer.plane].window(scene)
        owned = layer.scene[rows, cols] == position
        if scene.shares is not None:
            out[:, rows, cols][:, owned] = scene.shares[:, owned]
    total = out.sum(axis=0)
    return np.asarray(np.divide(out, total, out=out, where=total > 0))


def _blocks(values: Array) -> Array:
    """Sums over blocks of `BLOCK` x `BLOCK` tiles."""
    rows, cols = (-(-size // BLOCK) for size in values.shape)
    padded = np.zeros((rows * BLOCK, cols * BLOCK))
    padded[: values.shape[0], : values.shape[1]] = values
    return np.asarray(padded.reshape(rows, BLOCK, cols, BLOCK).sum(axis=(1, 3)))


def choose_dates(days: Sequence[date], between: Sequence[str]) -> tuple[date, date]:
    """The two days that two texts mean, each a year or YYYY-MM-DD; of years, the pair nearest in season.

    Raises:
        TileTableError: the map holds no such day.
    """
    dated = [day for day in days if day != UNKNOWN_DATE.date()]
    choices = [[day for day in dated if day.isoformat().startswith(text.strip())] for text in between]
    pairs = [(one, two) for one in choices[0] for two in choices[-1] if one < two]
    if len(between) != 2 or not pairs:
        known = ", ".join(day.isoformat() for day in dated) or "none"
        raise TileTableError(f"--between {','.join(between)}: no two dates of this area; it was seen on {known}")

    def season(pair: tuple[date, date]) -> int:
        apart = abs(pair[0].timetuple().tm_yday - pair[1].timetuple().tm_yday)
        return min(apart, 365 - apart)

    return min(pairs, key=lambda pair: (season(pair), pair))


def describe_change(world: World, weights: Mapping[int, Array], before: date, after: date) -> ChangeFigures:
    """What changed in an area between two of its days.

    Raises:
        TileTableError: the two days show no ground of the area together.
    """
    payload, count = world.payload, len(world.legend.classes)
    hectares = payload.planes[0].grid.hectares
    first, last = payload.dates.index(before), payload.dates.index(after)
    layers = {(layer.date, layer.plane): layer for layer in payload.layers}
    pairs = {pair.plane: pair for pair in payload.pairs if (pair.before, pair.after) == (first, last)}
    moves, doubt = np.zeros((count, count)), np.zeros((count, count))
    undecided = stable = differ = sure = variance = shared = 0.0
    for number, weight in weights.items():
        if (first, number) not in layers or (last, number) not in layers:
            continue
        one, two = layers[first, number], layers[last, number]
        both = (one.classes < MAX_CLASSES) & (two.classes < MAX_CLASSES)
        both &= (one.confidence & two.confidence & COUNTED_ELSEWHERE) == 0
        shared += float(weight[both].sum())
        differ += float(weight[both & (one.classes != two.classes)].sum())
        if number not in pairs:
            continue
        pair = pairs[number]
        p = np.where(pair.p_change <= 100, pair.p_change / 100.0, 0.0)
        changed = both & (pair.state == _CHANGED)
        at = one.classes[changed], two.classes[changed]
        np.add.at(moves, at, weight[changed])
        np.add.at(doubt, at, (weight * (1 - p))[changed])
        stable += float(weight[both & (pair.state == CHANGE_STATES.index("stable"))].sum())
        undecided += float(weight[both & (pair.state == CHANGE_STATES.index("undecided"))].sum())
        sure += float((weight * p)[changed].sum())
        variance += float((_blocks(np.where(changed, weight * np.sqrt(p * (1 - p)), 0.0)) ** 2).sum())
    if not shared:
        raise TileTableError(f"{before} and {after} show no common ground of this area; choose two other dates")
    return ChangeFigures(
        before,
        after,
        moves=moves * hectares,
        doubt=doubt * hectares,
        undecided=undecided * hectares,
        stable=stable * hectares,
        differ=differ * hectares,
        sure=sure * hectares,
        interval=Z95 * variance**0.5 * hectares,
        measured=bool(pairs),
    )
