"""Hectares of the cover: its pixels counted by class, date and region, each place once; a sample of them; two dates.

A place's pixels are those of the scene that speaks for its tile: the clearest look at it on that day, as for tiles. A
pixel is a tile of one pixel (`TileGrid(epsg, 10, 1)`), so samples and their assessment are those of tiles.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
import shapely
from rasterio.errors import RasterioError
from rasterio.windows import Window

from pipeline.areas import ELSEWHERE, placed_regions, places
from pipeline.assessment import Assessment, WholeMap, assess, shared_out, to_label
from pipeline.errors import TileTableError
from pipeline.files import digest
from pipeline.grid import TileGrid, TileIndex
from pipeline.legend import COVER_STATE_LABELS, CoverState, TileState
from pipeline.results.class_raster import read_class_names
from pipeline.results.layout import COVER, TABLE, scene_folders
from pipeline.results.table import read_table, tiles_by_grid

Codes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.signedinteger]

_CODES = 256
# Rows of tiles that are read at once: the raster's own blocks are as high.
_ROWS = 8
# A tile lies inside a region when no more than this part of it, which rounding explains, is missing.
WHOLE = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class CoverMap:
    """The cover of one model's results at every date: which scene speaks for which tile."""

    folder: Path
    """The model's folder of results."""
    tiles: pd.DataFrame
    """One row a tile and date: tile_id, date, scene; numbered from 0."""
    labels: Mapping[str, Mapping[int, str]]
    """Names of the codes of every scene's raster."""

    @classmethod
    def of(cls, folder: Path, folders: Sequence[Path] | None = None) -> "CoverMap":
        """The cover of all scenes of a model that have one, or of the scenes in `folders` alone.

        Raises:
            TileTableError: no scene has one, or a raster is damaged.
        """
        scenes = [scene for scene in folders or scene_folders(folder) if (scene / COVER).is_file()]
        if not scenes:
            raise TileTableError(
                f"{folder}: holds no {COVER}; run the pipeline on scenes with the bands of the cover's network"
            )
        # A tile of which too little was measured for a class of its own has pixels all the same.
        tables = [
            table.assign(code=np.where(table["valid_fraction"] > 0, 0, TileState.NO_DATA))
            for table in (read_table(scene / TABLE) for scene in scenes)
        ]
        found = places(tables)[["tile_id", "date", "scene"]]
        return cls(folder, found, {scene.name: _names(scene / COVER) for scene in scenes})

    def days(self) -> list[str]:
        """Every date, in order."""
        return sorted({str(day) for day in self.tiles["date"]})

    def classes(self) -> tuple[str, ...]:
        """The labels of all classes, in order of codes."""
        told = {code: label for names in self.labels.values() for code, label in names.items()}
        return tuple(label for code, label in sorted(told.items()) if code not in COVER_STATE_LABELS)

    def at(self, date: str) -> "CoverMap":
        """The same of one date.

        Raises:
            TileTableError: there is no such date.
        """
        if date not in self.days():
            raise TileTableError(f"{self.folder}: has no cover of {date}; choose one of {', '.join(self.days())}")
        tiles = self.tiles[self.tiles["date"].astype(str) == date].reset_index(drop=True)
        return CoverMap(self.folder, tiles, self.labels)

    def pixels(self, scene: str, tile_ids: pd.Series) -> Iterator[tuple[npt.NDArray[np.intp], Codes]]:
        """Positions among `tile_ids` with the codes (n, size, size) of these tiles, some rows of tiles at a time.

        Raises:
            TileTableError: the raster is damaged, or is not that of the tiles.
        """
        path = self.folder / scene / COVER
        for grid, at, index in tiles_by_grid(tile_ids.to_numpy()):
            for group in _strips(index):
                yield at[group], _read(path, grid, index[group])

    def mark(self) -> str:
        """Twelve digits that tell this map from another."""
        told = [f"{scene}/{digest(self.folder / scene / COVER)}" for scene in sorted(set(self.tiles["scene"]))]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]

    def counts(self) -> Counts:
        """Pixels (tiles, codes) of every row of `tiles`."""
        found = np.zeros((len(self.tiles), _CODES), np.int32)
        for scene, rows in self.tiles.groupby("scene", sort=True):
            for at, pixels in self.pixels(str(scene), rows["tile_id"]):
                found[rows.index[at]] = _counted(pixels)
        return found


def mapped_cover(cover: CoverMap, regions: pd.DataFrame | None = None) -> pd.DataFrame:
    """Hectares of every label of the cover: date, region, label, pixels, hectares, share (of the region at the date).

    Clouds and the unfamiliar are listed too; what was not measured is no part of the map, as for tiles. A pixel counts
    in every region that holds its centre, in `ELSEWHERE` where none does; without `regions` all is one region "all".

    Raises:
        TileTableError: a raster is damaged.
    """
    counts = cover.counts()
    parts = {"all": counts} if regions is None else _by_region(cover, counts, regions)
    rows = [
        (date, region, label, pixels, hectares)
        for region, held in parts.items()
        for date, label, pixels, hectares in _totals(cover, held)
    ]
    told = pd.DataFrame(rows, columns=["date", "region", "label", "pixels", "hectares"])
    told = told.groupby(["date", "region", "label"], sort=True)[["pixels", "hectares"]].sum().reset_index()
    told["share"] = told["hectares"] / told.groupby(["date", "region"])["hectares"].transform("sum")
    return told


def sample_cover(cover: CoverMap, size: int, seed: int = 0, least: int = 20) -> pd.DataFrame:
    """A stratified random sample of one date's pixels for a person to label, as `pipeline.assessment.sample` draws.

    Raises:
        TileTableError: no pixel carries a class, or a raster is damaged.
    """
    held = _by_label(cover, cover.counts())
    if not held:
        raise TileTableError(f"{cover.folder}: no pixel carries a class; run the pipeline on a scene with fewer clouds")
    sizes = np.array([counted.sum() for counted in held.values()], np.int64)
    generator = np.random.default_rng(seed)
    # Drawn by their rank among all pixels of a class, which the tiles' counts lead to.
    wanted = [
        (np.cumsum(counted), label, np.sort(generator.choice(int(total), int(quota), replace=False)))
        for (label, counted), total, quota in zip(held.items(), sizes, shared_out(sizes, size, least), strict=True)
    ]
    drawn: list[str] = []
    for ends, label, ranks in wanted:
        rows = np.searchsorted(ends, ranks, side="right")
        for row in np.unique(rows):
            inside = ranks[rows == row] - (ends[row - 1] if row else 0)
            drawn += _pixel_ids(cover, int(row), label, inside)
    ids = np.array(drawn, dtype=object)[generator.permutation(len(drawn))]
    return to_label(ids, np.full(len(ids), cover.days()[0], dtype=object), cover.mark())


def assess_cover(labelled: pd.DataFrame, cover: CoverMap) -> Assessment:
    """What a person's labels of sampled pixels (tile_id, label) say about the cover of one date.

    Raises:
        TileTableError: the labels are not those of pixels of this map, or see `pipeline.assessment.assess`.
    """
    if missing := {"tile_id", "label"} - set(labelled.columns):
        raise TileTableError(f"labels: lack the column {', '.join(sorted(missing))}; take the file that `sample` wrote")
    table = _looked_up(cover, labelled["tile_id"].dropna().astype(str).drop_duplicates())
    counted = _by_label(cover, cover.counts())
    area = _hectares(cover)
    hectares = pd.Series({label: float((pixels * area).sum()) for label, pixels in counted.items()})
    return assess(labelled, table, whole=WholeMap(cover.mark(), hectares))


def cover_matrix(before: CoverMap, after: CoverMap) -> pd.DataFrame:
    """Hectares by the label before and after: from_label, to_label, hectares, of what was measured at both dates.

    Raises:
        TileTableError: the two share no tile, or a raster is damaged.
    """
    both = before.tiles.merge(after.tiles, on="tile_id", suffixes=("_before", "_after"))
    if both.empty:
        raise TileTableError(f"{before.folder}: the two dates share no tile; choose dates of the same ground")
    moved: dict[tuple[str, str], float] = {}
    for (first, second), rows in both.groupby(["scene_before", "scene_after"], sort=True):
        names = before.labels[str(first)], after.labels[str(second)]
        grids = {grid.epsg: grid for grid, _, _ in tiles_by_grid(rows["tile_id"].to_numpy())}
        area = next(iter(grids.values())).hectares / next(iter(grids.values())).tile_size ** 2
        strips = zip(
            before.pixels(str(first), rows["tile_id"]), after.pixels(str(second), rows["tile_id"]), strict=True
        )
        counted = np.zeros(_CODES * _CODES, np.int64)
        for (_, one), (_, other) in strips:
            counted += np.bincount(one.ravel().astype(np.int32) * _CODES + other.ravel(), minlength=len(counted))
        for move in np.flatnonzero(counted).tolist():
            codes = divmod(move, _CODES)
            if CoverState.NO_DATA in codes:
                continue
            key = names[0].get(codes[0], str(codes[0])), names[1].get(codes[1], str(codes[1]))
            moved[key] = moved.get(key, 0.0) + float(counted[move]) * area
    rows_of = [(start, end, hectares) for (start, end), hectares in sorted(moved.items())]
    return pd.DataFrame(rows_of, columns=["from_label", "to_label", "hectares"])


def _by_region(cover: CoverMap, counts: Counts, regions: pd.DataFrame) -> dict[str, Counts]:
    """Pixels (tiles, codes) of every region; a tile on a border pixel by pixel."""
    ids = cover.tiles["tile_id"]
    found: dict[str, Counts] = {}
    inside_one = np.zeros(len(ids), np.bool_)
    # Pixels of tiles on borders that no region held so far.
    rest: dict[int, npt.NDArray[np.bool_]] = {}
    for region in placed_regions(ids, regions):
        held = found.setdefault(region.name, np.zeros_like(counts))
        whole = region.rows[region.part >= WHOLE]
        held[whole] += counts[whole]
        inside_one[whole] = True
        shapely.prepare(region.shape)
        for row in region.rows[region.part < WHOLE].tolist():
            grid, index = TileGrid.parse_id(ids[row])
            mask = inside_tile(region.shape, grid, index)
            held[row] += _counted(_tile(cover, row)[mask][None])[0]
            rest[row] = rest.get(row, np.ones_like(mask)) & ~mask
    beyond = np.where(inside_one[:, None], 0, counts)
    for row, mask in rest.items():
        beyond[row] = 0 if inside_one[row] else _counted(_tile(cover, row)[mask][None])[0]
    found[ELSEWHERE] = found.get(ELSEWHERE, 0) + beyond
    return found


def inside_tile(shape: shapely.Geometry, grid: TileGrid, index: TileIndex) -> npt.NDArray[np.bool_]:
    """Which pixels (y, x) of a tile have their centre in a shape on the zone's plane."""
    left, _, _, top = grid.bounds(index)
    steps = (np.arange(grid.tile_size) + 0.5) * grid.gsd
    x, y = np.meshgrid(left + steps, top - steps)
    return np.asarray(shapely.contains_xy(shape, x, y))


def _totals(cover: CoverMap, held: Counts) -> Iterator[tuple[object, str, int, float]]:
    """Date, label, pixels and hectares of counts (tiles, codes)."""
    area = _hectares(cover)
    for (date, scene), rows in cover.tiles.groupby(["date", "scene"], sort=True):
        at = rows.index.to_numpy()
        for code, label in cover.labels[str(scene)].items():
            pixels = held[at, code]
            if code != CoverState.NO_DATA and pixels.any():
                yield date, label, int(pixels.sum()), float((pixels * area[at]).sum())


def _by_label(cover: CoverMap, counts: Counts) -> dict[str, Counts]:
    """Pixels (tiles,) of every class by its label, in order of labels."""
    found: dict[str, Counts] = {}
    scenes = cover.tiles["scene"].to_numpy()
    for scene in sorted(set(scenes)):
        here = scenes == scene
        for code, label in cover.labels[str(scene)].items():
            if code not in COVER_STATE_LABELS and counts[here, code].any():
                found.setdefault(label, np.zeros(len(counts), np.int64))[here] += counts[here, code]
    return dict(sorted(found.items()))


def _hectares(cover: CoverMap) -> npt.NDArray[np.float64]:
    """Area (tiles,) of one pixel of each tile on the map plane."""
    area = np.empty(len(cover.tiles))
    for grid, at, _ in tiles_by_grid(cover.tiles["tile_id"].to_numpy()):
        area[at] = grid.hectares / grid.tile_size**2
    return area


def _pixel_ids(cover: CoverMap, row: int, label: str, ranks: Sequence[int] | Counts) -> list[str]:
    """Ids of the pixels of a tile that stand at these places among those of one label, counted row by row."""
    names = cover.labels[cover.tiles["scene"].iloc[row]]
    pixels = _tile(cover, row)
    at = np.argwhere(np.isin(pixels, [code for code, name in names.items() if name == label]))[ranks]
    grid, index = TileGrid.parse_id(cover.tiles["tile_id"].iloc[row])
    size = grid.tile_size
    fine = TileGrid(grid.epsg, grid.gsd, 1)
    return [fine.tile_id(TileIndex(index.col * size + int(x), (index.row + 1) * size - 1 - int(y))) for y, x in at]


def _looked_up(cover: CoverMap, pixel_ids: pd.Series) -> pd.DataFrame:
    """Label of every one of these pixels that carries a class on this map: tile_id, label."""
    rows = {tile: row for row, tile in enumerate(cover.tiles["tile_id"])}
    sizes = {(grid.epsg, grid.gsd): grid for grid, _, _ in tiles_by_grid(cover.tiles["tile_id"].to_numpy())}
    found: list[tuple[str, str]] = []
    for name in pixel_ids:
        try:
            fine, pixel = TileGrid.parse_id(name)
        except ValueError:
            continue
        grid = sizes.get((fine.epsg, fine.gsd))
        if grid is None or fine.tile_size != 1:
            continue
        size = grid.tile_size
        row = rows.get(grid.tile_id(TileIndex(pixel.col // size, pixel.row // size)))
        if row is None:
            continue
        code = int(_tile(cover, row)[size - 1 - pixel.row % size, pixel.col % size])
        if code not in COVER_STATE_LABELS:
            found.append((name, cover.labels[cover.tiles["scene"].iloc[row]].get(code, str(code))))
    return pd.DataFrame(found, columns=["tile_id", "label"], dtype=object)


def _tile(cover: CoverMap, row: int) -> Codes:
    """The codes (size, size) of one tile."""
    one = cover.tiles.iloc[[row]]
    _, pixels = next(cover.pixels(str(one["scene"].iloc[0]), one["tile_id"]))
    found: Codes = pixels[0]
    return found


def _counted(pixels: Codes) -> Counts:
    """How often each code stands in each of n tiles (n, codes)."""
    flat = pixels.reshape(len(pixels), -1).astype(np.int64) + np.arange(len(pixels))[:, None] * _CODES
    return np.bincount(flat.ravel(), minlength=len(pixels) * _CODES).reshape(-1, _CODES)


def _strips(index: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.intp]]:
    """Positions of tiles (n, 2: column, row) that are read together."""
    strip = index[:, 1] // _ROWS
    for number in np.unique(strip)[::-1]:
        yield np.flatnonzero(strip == number)


def _read(path: Path, grid: TileGrid, index: npt.NDArray[np.int64]) -> Codes:
    """Codes (n, size, size) of tiles of a few rows."""
    size = grid.tile_size
    (left, low), (right, high) = index.min(axis=0), index.max(axis=0)
    try:
        with rasterio.open(path) as raster:
            place = ~raster.transform * grid.transform(TileIndex(int(left), int(high))).column_vectors[2]
            window = Window(round(place[0]), round(place[1]), (right - left + 1) * size, (high - low + 1) * size)
            fits = raster.crs.to_epsg() == grid.epsg and raster.res == (grid.gsd, grid.gsd)
            if not fits or window.col_off < 0 or window.row_off < 0:
                raise TileTableError(f"{path}: is not the cover of its tiles; run the pipeline on its scene again")
            pixels: Codes = raster.read(1, window=window, boundless=False)
    except RasterioError as error:
        raise _damaged(path, error) from error
    if pixels.shape != (window.height, window.width):
        raise TileTableError(f"{path}: is smaller than its tiles; run the pipeline on its scene again")
    tiled = pixels.reshape(high - low + 1, size, right - left + 1, size).swapaxes(1, 2)
    found: Codes = tiled[high - index[:, 1], index[:, 0] - left]
    return found


def _names(path: Path) -> dict[int, str]:
    """The label of every code, as the raster tells it."""
    return read_class_names(path) | {int(state): label for state, label in COVER_STATE_LABELS.items()}


def _damaged(path: Path, error: Exception) -> TileTableError:
    return TileTableError(f"{path}: cannot be read ({error}); run the pipeline on its scene again")
