"""Both maps laid over each other: hectares by both labels, by region, and how every tile agrees."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.agreement.reference_map import NOTHING, UNKNOWN, Numbers, ReferenceMap
from pipeline.areas import ELSEWHERE, placed_regions, region_parts
from pipeline.cover_areas import WHOLE, CoverMap, inside_tile
from pipeline.errors import ReferenceMapError
from pipeline.grid import TileGrid
from pipeline.legend import STATE_LABELS, TileState
from pipeline.results.class_raster import NO_CLASS
from pipeline.results.table import tile_hectares, tiles_by_grid

# A tile is compared where the reference knows at least this part of it.
LEAST_KNOWN = 0.5
ALL = "all"
_NO_REFERENCE = "no class in the reference"
# Rows of tiles that are looked at together.
_ROWS = 8

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two maps have in common."""

    unit: str
    """What was compared: tiles or pixels."""
    matrices: Mapping[str, pd.DataFrame]
    """By region, all of it first: hectares by the map's label (rows) and the reference's (columns)."""
    left_out: Mapping[str, float]
    """Hectares that were not compared, by reason."""
    tiles: gpd.GeoDataFrame
    """How every compared tile agrees, in longitude and latitude: tile_id, label and reference (of tiles), agreement
    (0..1), compared (the part of it that was), reference_share (of tiles: the part of it that the reference calls so).
    """


def compare_tiles(
    tiles: pd.DataFrame, labels: Sequence[str], reference: ReferenceMap, regions: gpd.GeoDataFrame | None = None
) -> Agreement:
    """Every tile of one date (see `pipeline.areas.places`) against the reference's commonest class inside it.

    Raises:
        ReferenceMapError: the reference holds codes that nothing explains, or shares no ground with the tiles.
    """
    names = all_labels(labels, reference)
    table = tiles.reset_index(drop=True)
    counts = np.zeros((len(table), len(names)), np.int64)
    strange: dict[int, int] = {}
    sizes = np.empty(len(table))
    for strip in _strips(table["tile_id"]):
        told, codes = strip.of(reference, names)
        _count_strange(strange, told, codes)
        counts[strip.at] = _counted(told, len(names))
        sizes[strip.at] = strip.grid.tile_size**2
    _refuse_strange(strange, reference, names)
    known = counts.sum(axis=1)
    theirs = np.where(known >= LEAST_KNOWN * sizes, counts.argmax(axis=1), NOTHING)
    codes = table["code"].to_numpy(np.int64)
    ours = np.array(
        [names.index(str(label)) if code >= 0 else NOTHING for label, code in zip(table["label"], codes, strict=True)],
        np.int64,
    )
    area = tile_hectares(table["tile_id"].to_numpy())
    compared = (ours >= 0) & (theirs >= 0)
    _refuse_apart(compared, known, tiles, reference)
    joint = np.where(compared, ours * len(names) + theirs, 0)

    def matrix(at: npt.NDArray[np.intp], part: Matrix) -> Matrix:
        weight = np.where(compared[at], area[at] * part, 0.0)
        return np.bincount(joint[at], weights=weight, minlength=len(names) ** 2).astype(np.float64)

    whole = {ALL: matrix(np.arange(len(table)), np.ones(len(table)))}
    if regions is not None:
        for name, at, part in region_parts(table["tile_id"], regions):
            whole[name] = whole.get(name, 0.0) + matrix(at, part)
    left_out = {STATE_LABELS[state]: float(area[codes == state].sum()) for state in TileState}
    left_out[_NO_REFERENCE] = float(area[(ours >= 0) & (theirs < 0)].sum())
    told = table.loc[compared, ["tile_id", "label"]].assign(
        reference=np.array(names, dtype=object)[theirs[compared]],
        agreement=(ours == theirs)[compared].astype(float),
        compared=1.0,
        reference_share=(counts.max(axis=1) / np.maximum(known, 1))[compared].round(4),
    )
    return Agreement("tiles", _framed(whole, names), _without_zeros(left_out), _located(told))


def compare_cover(
    cover: CoverMap, labels: Sequence[str], reference: ReferenceMap, regions: gpd.GeoDataFrame | None = None
) -> Agreement:
    """Every pixel of the cover of one date against the reference's nearest pixel.

    A pixel belongs to the regions that hold its centre.

    Raises:
        ReferenceMapError: as `compare_tiles`.
        TileTableError: a raster is damaged.
    """
    names = all_labels(labels, reference)
    count, overlay = len(names), Overlay(cover, reference, names)
    ids = cover.tiles["tile_id"]
    joint = np.zeros((len(ids), count * count), np.int64)
    hidden: dict[str, float] = {}
    strange: dict[int, int] = {}
    area = np.empty(len(ids))
    for strip in _strips(ids):
        area[strip.at] = strip.grid.hectares / strip.grid.tile_size**2
        told, codes = strip.of(reference, names)
        _count_strange(strange, told, codes)
        ours = _numbered(overlay, strip.at, hidden, area)
        both = np.where((ours >= 0) & (told >= 0), ours * count + told, NOTHING)
        lacking = (ours >= 0) & (told == NOTHING)
        hidden[_NO_REFERENCE] = hidden.get(_NO_REFERENCE, 0.0) + float(
            (lacking.sum(axis=(1, 2)) * area[strip.at]).sum()
        )
        joint[strip.at] = _counted(both, count * count)
    _refuse_strange(strange, reference, names)
    pixels = joint.sum(axis=1)
    _refuse_apart(pixels > 0, pixels, cover.tiles, reference)
    whole = {ALL: (joint * area[:, None]).sum(axis=0)}
    if regions is not None:
        parts = overlay.by_region(joint, regions)
        whole |= {name: (part * area[:, None]).sum(axis=0) for name, part in parts.items()}
    same = joint[:, np.arange(count) * (count + 1)].sum(axis=1)
    seen = pixels > 0
    sizes = np.array([TileGrid.parse_id(tile)[0].tile_size ** 2 for tile in ids])
    located = pd.DataFrame(
        {
            "tile_id": ids[seen],
            "agreement": (same[seen] / pixels[seen]).round(4),
            "compared": (pixels[seen] / sizes[seen]).round(4),
        }
    )
    return Agreement("pixels", _framed(whole, names), _without_zeros(hidden), _located(located))


@dataclass(frozen=True, slots=True)
class Overlay:
    """The cover of one date with a reference laid over it."""

    cover: CoverMap
    """The cover."""
    reference: ReferenceMap
    """The other map."""
    names: tuple[str, ...]
    """The labels of both."""

    def codes_of(self, scene: str) -> Numbers:
        """The place among `names` of every code of a scene's raster (256,), `NOTHING` for states."""
        table = np.full(256, NOTHING, np.int32)
        for code, label in self.cover.labels[scene].items():
            if label in self.names:
                table[code] = self.names.index(label)
        return table

    def agreeing(self, scene: str, grid: TileGrid, cols: range, rows: range) -> npt.NDArray[np.uint8]:
        """Pixels (y, x) of a rectangle of tiles: 1 where both say the same, 0 where not, 255 where one says nothing."""
        told, _ = self.reference.numbered(grid, cols, rows, self.names)
        size = grid.tile_size
        ids = pd.Series(grid.tile_ids([(col, row) for row in reversed(rows) for col in cols]))
        pixels = np.empty((len(ids), size, size), np.uint8)
        for at, read in self.cover.pixels(scene, ids):
            pixels[at] = read
        ours = np.take(self.codes_of(scene), pixels)
        plane = ours.reshape(len(rows), len(cols), size, size).swapaxes(1, 2).reshape(told.shape)
        return np.where((plane >= 0) & (told >= 0), plane == told, NO_CLASS).astype(np.uint8)

    def pairs(self, row: int, mask: npt.NDArray[np.bool_]) -> Numbers:
        """Pixels by both labels (pairs,) of the part of one tile."""
        one = self.cover.tiles.iloc[[row]]
        scene = str(one["scene"].iloc[0])
        _, pixels = next(self.cover.pixels(scene, one["tile_id"]))
        grid, index = TileGrid.parse_id(str(one["tile_id"].iloc[0]))
        cols, rows = range(index.col, index.col + 1), range(index.row, index.row + 1)
        told, _ = self.reference.numbered(grid, cols, rows, self.names)
        ours = np.take(self.codes_of(scene), pixels[0])
        both = np.where(mask & (ours >= 0) & (told >= 0), ours * len(self.names) + told, NOTHING)
        found: Numbers = _counted(both[None], len(self.names) ** 2)[0]
        return found

    def by_region(self, joint: Numbers, regions: gpd.GeoDataFrame) -> dict[str, Numbers]:
        """Pixels by both labels (tiles, pairs) of every region; tiles on a border pixel by pixel."""
        ids = self.cover.tiles["tile_id"]
        found: dict[str, Numbers] = {}
        beyond = joint.copy()
        rest: dict[int, npt.NDArray[np.bool_]] = {}
        for region in placed_regions(ids, regions):
            held = found.setdefault(region.name, np.zeros_like(joint))
            whole = region.rows[region.part >= WHOLE]
            held[whole] += joint[whole]
            beyond[whole] = 0
            for row in region.rows[region.part < WHOLE].tolist():
                mask = inside_tile(region.shape, *TileGrid.parse_id(ids.iloc[row]))
                held[row] += self.pairs(row, mask)
                rest[row] = rest.get(row, np.ones_like(mask)) & ~mask
        for row, mask in rest.items():
            if beyond[row].any():
                beyond[row] = self.pairs(row, mask)
        found[ELSEWHERE] = found.get(ELSEWHERE, 0) + beyond
        return found


@dataclass(frozen=True, slots=True)
class _Strip:
    """Some rows of tiles of one grid."""

    grid: TileGrid
    at: npt.NDArray[np.intp]
    index: npt.NDArray[np.int64]

    def of(self, reference: ReferenceMap, names: Sequence[str]) -> tuple[Numbers, Numbers]:
        """The reference on each of the tiles (n, size, size): numbers of labels, and codes."""
        (left, low), (right, high) = self.index.min(axis=0).tolist(), self.index.max(axis=0).tolist()
        cols, rows = range(left, right + 1), range(low, high + 1)
        size = self.grid.tile_size
        y, x = high - self.index[:, 1], self.index[:, 0] - left
        told, codes = (
            plane.reshape(len(rows), size, len(cols), size).swapaxes(1, 2)[y, x]
            for plane in reference.numbered(self.grid, cols, rows, names)
        )
        return told, codes


def _strips(tile_ids: pd.Series) -> Iterator[_Strip]:
    for grid, at, index in tiles_by_grid(tile_ids.to_numpy()):
        number = index[:, 1] // _ROWS
        for each in np.unique(number)[::-1]:
            here = np.flatnonzero(number == each)
            yield _Strip(grid, at[here], index[here])


def all_labels(labels: Sequence[str], reference: ReferenceMap) -> tuple[str, ...]:
    """The map's labels, then those that the reference alone has.

    Raises:
        ReferenceMapError: they have none in common.
    """
    if not set(labels) & set(reference.labels()):
        raise ReferenceMapError(
            f"{reference.path}: its classes ({', '.join(reference.labels())}) are none of this map's "
            f"({', '.join(labels)}); give --legend, or --reference-legend FILE.csv with this map's labels"
        )
    return tuple(dict.fromkeys((*labels, *reference.labels())))


def _counted(numbers: Numbers, count: int) -> Numbers:
    """How often each number stands in each of n tiles (n, count); negative ones do not count."""
    found = np.empty((len(numbers), count), np.int64)
    for at, tile in enumerate(numbers.reshape(len(numbers), -1)):
        found[at] = np.bincount(tile[tile >= 0], minlength=count)
    return found


def _numbered(overlay: Overlay, at: npt.NDArray[np.intp], hidden: dict[str, float], area: Matrix) -> Numbers:
    """The cover's labels as places among all (n, size, size); hectares without a class are added to `hidden`."""
    cover, rows = overlay.cover, overlay.cover.tiles.iloc[at]
    found: Numbers | None = None
    for scene, part in rows.groupby("scene", sort=True):
        where = np.flatnonzero(rows.index.isin(part.index))
        table = overlay.codes_of(str(scene))
        for some, pixels in cover.pixels(str(scene), part["tile_id"]):
            if found is None:
                found = np.full((len(rows), *pixels.shape[1:]), NOTHING, np.int32)
            found[where[some]] = np.take(table, pixels)
            per = area[at[where[some]]]
            for code, label in cover.labels[str(scene)].items():
                if table[code] < 0:
                    hidden[label] = hidden.get(label, 0.0) + float(((pixels == code).sum(axis=(1, 2)) * per).sum())
    assert found is not None
    return found


def _count_strange(strange: dict[int, int], told: Numbers, codes: Numbers) -> None:
    for code, number in zip(*np.unique(codes[told == UNKNOWN], return_counts=True), strict=True):
        strange[int(code)] = strange.get(int(code), 0) + int(number)


def _refuse_strange(strange: Mapping[int, int], reference: ReferenceMap, names: Sequence[str]) -> None:
    if strange:
        most = sorted(strange, key=lambda code: -strange[code])
        raise ReferenceMapError(
            f"{reference.path}: nothing tells what its code{'s' if len(most) > 1 else ''} "
            f"{', '.join(map(str, most[:12]))}{' ...' if len(most) > 12 else ''} mean; give --reference-legend "
            f"FILE.csv with the columns code and label: one of {', '.join(names)}, or an empty label for what shall "
            f"not be compared"
        )


def _refuse_apart(
    compared: npt.NDArray[np.bool_], known: Numbers, tiles: pd.DataFrame, reference: ReferenceMap
) -> None:
    if compared.any():
        return
    if known.any():
        raise ReferenceMapError(
            f"{reference.path}: no tile has a class in both maps; choose another --date, or a reference with a finer "
            f"legend"
        )
    bounds = _located(tiles[["tile_id"]]).total_bounds
    raise ReferenceMapError(
        f"{reference.path}: shares no ground with the tiles; it spans {reference.degrees()}, the tiles "
        f"{bounds[0]:.3f} to {bounds[2]:.3f} degrees east and {bounds[1]:.3f} to {bounds[3]:.3f} north"
    )


def _framed(whole: Mapping[str, Matrix], names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Matrices as tables; regions without a compared hectare are left out."""
    return {
        name: pd.DataFrame(np.asarray(cells, np.float64).reshape(len(names), -1), index=names, columns=names)
        for name, cells in whole.items()
        if np.any(cells)
    }


def _without_zeros(left_out: Mapping[str, float]) -> dict[str, float]:
    return {reason: hectares for reason, hectares in left_out.items() if hectares > 0}


def _located(table: pd.DataFrame) -> gpd.GeoDataFrame:
    """The tiles with their squares in longitudes and latitudes."""
    geometry = np.empty(len(table), dtype=object)
    for grid, at, index in tiles_by_grid(table["tile_id"].to_numpy()):
        geometry[at] = gpd.GeoSeries(grid.polygons(index), crs=grid.epsg).to_crs(4326).to_numpy()
    return gpd.GeoDataFrame(table.reset_index(drop=True), geometry=geometry, crs=4326)


def tiles_of(cover: CoverMap) -> Iterator[tuple[str, TileGrid, npt.NDArray[np.int64]]]:
    """Scenes with the grid and the places of the tiles that they speak for."""
    for scene, rows in cover.tiles.groupby("scene", sort=True):
        for grid, _, index in tiles_by_grid(rows["tile_id"].to_numpy()):
            yield str(scene), grid, index
