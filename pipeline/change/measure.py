"""What the pixels of two scenes say about change, tile by tile, streamed in strips."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.bands import SENTINEL_2
from pipeline.change import score
from pipeline.change.clouds import clouds
from pipeline.change.heat import MEASURED, heat, heat_of_tiles
from pipeline.change.surprise import Expectation, expect, surprise, surroundings
from pipeline.grid import Bounds, TileGrid, TileIndex
from pipeline.scenes.radiometry import reflectance
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import Scene
from pipeline.tiling import Block, blocks, cut, tile_fraction, tile_indices

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

COLUMNS = ("magnitude", "surprise", "difference", "compared", *MEASURED)
_IS_CLOUD = np.isin(np.arange(256), SENTINEL_2.cloud)
# A tile counts as changed from 5 % of its ground on, so the 95th percentile decides; its class changes with most of it.
_PART, _MOST = 95.0, 50.0
# Surprise is not damped and so has a longer tail: a little higher tells changes apart better in cities left out.
_SURPRISING = 98.0
# Tile rows that are scored together, and those that are in memory at 10 m at a time: reading ahead in thin strips
# bounds it.
_SCORED, _READ = 4, 1
# Nearly two rows of 1024 px blocks in four bands of both dates: with less, JPEG 2000 blocks are decoded again for every
# thin strip.
_JPEG_2000_CACHE = 320 << 20
# The match is estimated in 3 x 3 windows of 2 x 2 tiles, a tenth of a granule's file blocks, or in all of a small
# scene.
_WINDOW, _WINDOWS, _SMALL = 2, 3, 16


class Strip(NamedTuple):
    """Both dates' reflectance on a 20 m grid."""

    origin: TileIndex
    """The north-west tile."""
    before: Floats
    """Of the earlier date (band, y, x)."""
    after: Floats
    """Of the later date (band, y, x)."""
    valid: Mask
    """Where both were measured (y, x)."""


def shared_bands(before: Scene, after: Scene) -> tuple[str, ...]:
    """The bands that both scenes have and the evidence uses."""
    return tuple(band for band in (*score.COMPARED, score.NIR) if band in before.assets and band in after.assets)


def evidence(before: Scene, after: Scene, grid: TileGrid, bands: Sequence[str] | None = None) -> pd.DataFrame:
    """The radiometric evidence of change in every tile that both scenes cover, by tile_id.

    `magnitude` is the 95th percentile of the damped score of `score.differences` over the tile's pixels (about 1 where
    nothing changed, 0 upward), `surprise` the 98th of `surprise.surprise`, NaN where too little was measured to know
    what to expect, `difference` the median of the plain difference; `compared` is the share of the tile (0..1)
    measured and free of cloud at both dates; `heat_part` and `heat_whole` say where in the tile
    (`heat.heat_of_tiles`). `bands` default to `shared_bands`; without any, or without common ground, the table is
    empty.

    Raises:
        PipelineError: a file is damaged.
    """
    bands = shared_bands(before, after) if bands is None else tuple(bands)
    common = common_bounds(before, after, grid)
    if common is None or not bands or before.epsg != after.epsg:
        return pd.DataFrame(
            {name: np.empty(0, object if name in MEASURED else np.float32) for name in COLUMNS},
            index=pd.Index([], name="tile_id", dtype=object),
        )
    left, right = replace(before, bounds=common), replace(after, bounds=common)
    with _cache(bands, left, right):
        matched = match_scenes(left, right, grid, bands)
        parts = [
            _measure(strip, bands, matched, grid) for strip in _with_surroundings(strips(left, right, grid, bands))
        ]
    return pd.concat(parts)


def _cache(bands: Sequence[str], *scenes: Scene) -> AbstractContextManager[None]:
    large = any(scene.assets[band].href.lower().endswith(".jp2") for scene in scenes for band in bands)
    return guard.block_cache(_JPEG_2000_CACHE) if large else nullcontext()


def common_bounds(before: Scene, after: Scene, grid: TileGrid) -> Bounds | None:
    """The bounds of the tiles that both scenes touch."""
    columns, rows = grid.covering(before.bounds)
    others, lines = grid.covering(after.bounds)
    west, east = max(columns.start, others.start), min(columns.stop, others.stop)
    south, north = max(rows.start, lines.start), min(rows.stop, lines.stop)
    if west >= east or south >= north:
        return None
    return west * grid.edge, south * grid.edge, east * grid.edge, north * grid.edge


def strips(before: Scene, after: Scene, grid: TileGrid, bands: Sequence[str]) -> Iterator[Strip]:
    """Strips of both dates from north to south."""
    pairs = zip(blocks(before, grid, bands, _READ), blocks(after, grid, bands, _READ), strict=True)
    thin = (_strip(one, two, (before, after), bands) for one, two in pairs)
    while group := list(islice(thin, _SCORED // _READ)):
        yield _joined(group)


def _strip(one: Block, two: Block, scenes: tuple[Scene, Scene], bands: Sequence[str]) -> Strip:
    first, seen = _halved(one, scenes[0], bands)
    second, too = _halved(two, scenes[1], bands)
    return Strip(one.origin, first, second, seen & too)


def _joined(group: Sequence[Strip]) -> Strip:
    """Strips from north to south as one."""
    if len(group) == 1:
        return group[0]
    before, after = (
        np.concatenate(parts, axis=1) for parts in ([strip.before for strip in group], [strip.after for strip in group])
    )
    return Strip(group[0].origin, before, after, np.concatenate([strip.valid for strip in group]))


def _halved(block: Block, scene: Scene, bands: Sequence[str]) -> tuple[Floats, Mask]:
    """A block's reflectance on a 20 m grid, and which of its pixels are measured and not cloud; 0 elsewhere."""
    valid = block.valid if block.quality is None else block.valid & ~_IS_CLOUD[block.quality]
    return _at_20_m(block.pixels, valid, scene, bands)


def _at_20_m(pixels: npt.NDArray[np.generic], valid: Mask, scene: Scene, bands: Sequence[str]) -> tuple[Floats, Mask]:
    whole = valid[0::2, 0::2] & valid[1::2, 0::2] & valid[0::2, 1::2] & valid[1::2, 1::2]
    out = np.empty((len(bands), *whole.shape), np.float32)
    for row, plane in enumerate(pixels):
        out[row] = plane[0::2, 0::2].astype(np.float32) + plane[1::2, 0::2] + plane[0::2, 1::2] + plane[1::2, 1::2]
    out = reflectance(out / np.float32(4.0), [scene.assets[band] for band in bands])
    out[:, ~whole] = 0.0
    return out, whole


class Comparison(NamedTuple):
    """What makes two scenes comparable."""

    match: score.Match
    """Of their colours, over dry land."""
    expected: Expectation | None
    """What each lets expect of the other; None where that could not be learnt."""
    unmasked: tuple[int, ...] = ()
    """Numbers of the dates whose clouds no mask tells of."""


def match_scenes(before: Scene, after: Scene, grid: TileGrid, bands: Sequence[str]) -> Comparison:
    """What makes two scenes of common bounds comparable, from windows spread evenly over them."""
    earlier: list[Floats] = []
    later: list[Floats] = []
    dry: list[Mask] = []
    for bounds in _windows(before.bounds, grid):
        for strip in strips(replace(before, bounds=bounds), replace(after, bounds=bounds), grid, bands):
            earlier.append(strip.before[:, strip.valid])
            later.append(strip.after[:, strip.valid])
            dry.append(score.dry_land(strip.before, strip.after, strip.valid, bands)[strip.valid])
    first, second, land = np.concatenate(earlier, axis=1), np.concatenate(later, axis=1), np.concatenate(dry)
    unmasked = tuple(at for at, scene in enumerate((before, after)) if scene.quality is None)
    return Comparison(score.match(first[:, land], second[:, land], bands), expect(first, second, bands), unmasked)


def _windows(bounds: Bounds, grid: TileGrid) -> list[Bounds]:
    """Windows of whole tiles spread over bounds; all of them where the bounds are small."""
    columns, rows = grid.covering(bounds)
    places = []
    for line in (columns, rows):
        if len(line) <= _SMALL:
            places.append([(line.start, line.stop)])
        else:
            starts = np.linspace(line.start, line.stop - _WINDOW, 2 * _WINDOWS + 1)[1::2].astype(int)
            places.append([(int(at), int(at) + _WINDOW) for at in starts])
    return [
        (west * grid.edge, south * grid.edge, east * grid.edge, north * grid.edge)
        for south, north in places[1]
        for west, east in places[0]
    ]


def _with_surroundings(bare: Iterator[Strip]) -> Iterator[tuple[Strip, int, int]]:
    """Every strip with the rows around it that its scores reach into, and how many those are above and below."""
    above: Strip | None = None
    strip = next(bare)
    for below in chain(bare, (None,)):
        parts = [above, strip, _edge(below, slice(0, score.REACH))]
        joined = _joined([part for part in parts if part is not None])._replace(origin=strip.origin)
        yield joined, 0 if above is None else score.REACH, 0 if below is None else score.REACH
        if below is None:
            return
        above, strip = _edge(strip, slice(-score.REACH, None)), below


def _edge(strip: Strip | None, rows: slice) -> Strip | None:
    return (
        None
        if strip is None
        else Strip(strip.origin, strip.before[:, rows].copy(), strip.after[:, rows].copy(), strip.valid[rows].copy())
    )


class Scored(NamedTuple):
    """What the pixels (y, x) of a strip say; NaN where they were not compared."""

    found: score.Differences
    """The damped and the plain difference."""
    surprise: Floats
    """How surprising they are, NaN also where nothing is known to expect."""
    compared: Mask
    """Which were measured and free of cloud at both dates."""


def scored(strip: Strip, bands: Sequence[str], matched: Comparison) -> Scored:
    """Scores a strip's pixels."""
    found = score.differences(strip.before, strip.after, strip.valid, bands, matched.match)
    surprise = _surprises(strip, bands, matched.expected)
    dates, clear = (strip.before, strip.after), strip.valid.copy()
    for cloudy in matched.unmasked:
        clear &= ~clouds(dates, cloudy, strip.valid, bands, matched.match)
    for plane in (*found, surprise):
        plane[~clear] = np.nan
    return Scored(found, surprise, clear)


def _surprises(strip: Strip, bands: Sequence[str], expected: Expectation | None) -> Floats:
    """How surprising a strip's pixels (y, x) are; NaN where they were not measured or nothing is known to expect."""
    found = np.full(strip.valid.shape, np.nan, np.float32)
    if expected is not None:
        found[:] = 0.0
        found[strip.valid] = surprise(strip.before[:, strip.valid], strip.after[:, strip.valid], bands, expected)
        found = np.where(strip.valid, surroundings(found), np.float32(np.nan))
    return found


def _measure(around: tuple[Strip, int, int], bands: Sequence[str], matched: Comparison, grid: TileGrid) -> pd.DataFrame:
    """The evidence of a strip's tiles."""
    strip, above, below = around
    told = scored(strip, bands, matched)
    inner = slice(above, len(strip.valid) - below)
    size = grid.tile_size // 2
    index = tile_indices(strip.origin, strip.valid[inner].shape, size)
    compared = tile_fraction(told.compared[inner], size)
    columns = {
        "magnitude": _percentile(told.found.score[inner], size, compared, _PART),
        "surprise": _percentile(told.surprise[inner], size, compared, _SURPRISING),
        "difference": _percentile(told.found.plain[inner], size, compared, _MOST),
        "compared": compared,
    }
    heats = zip(MEASURED, heat(told.found, told.surprise), strict=True)
    table = pd.DataFrame(
        columns | {name: heat_of_tiles(steps[inner], size) for name, steps in heats},
        index=pd.Index(grid.tile_ids(index.tolist()), name="tile_id"),
    )
    return table[compared > 0]


def _percentile(plane: Floats, size: int, compared: Floats, percent: float) -> Floats:
    """A percentile (n,) of every tile's measured pixels, NaN where it has none."""
    pixels = cut(plane, size).reshape(len(compared), -1)
    found = np.full(len(compared), np.nan, np.float32)
    whole, part = compared == 1, (compared > 0) & (compared < 1) & np.isfinite(pixels).any(axis=1)
    found[whole] = np.percentile(pixels[whole], percent, axis=1)
    found[part] = np.nanpercentile(pixels[part], percent, axis=1)
    return found
