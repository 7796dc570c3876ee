"""Random fields and patterns that the surfaces are made of; everything counts in pixels of 10 m."""

from dataclasses import dataclass
from math import tau

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def hashed(salt: int, *keys: npt.NDArray[np.integer]) -> Floats:
    """Uniform numbers in 0..1 that depend only on the integer `keys` and `salt`."""
    state = np.uint32((salt * 0x9E3779B1 + 0x7F4A7C15) & 0xFFFFFFFF)
    mixed = np.full(np.broadcast_shapes(*(key.shape for key in keys)), state, dtype=np.uint32)
    for key in keys:
        mixed ^= key.astype(np.uint32)
        # The finaliser of MurmurHash3 (32 bit).
        mixed ^= mixed >> np.uint32(16)
        mixed *= np.uint32(0x85EBCA6B)
        mixed ^= mixed >> np.uint32(13)
        mixed *= np.uint32(0xC2B2AE35)
        mixed ^= mixed >> np.uint32(16)
    return (mixed >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def noise(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> Floats:
    """A smooth random field (y, x) of mean 0 and deviation 1 whose features measure about `scale` pixels."""
    shrink = max(1, int(scale // 4))
    coarse = (shape[0] // shrink + 8, shape[1] // shrink + 8)
    field = ndimage.gaussian_filter(rng.standard_normal(coarse, dtype=np.float32), scale / shrink, mode="wrap")
    if shrink > 1:
        field = ndimage.zoom(field, shrink, order=1)
    field = field[: shape[0], : shape[1]]
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Ground:
    """n pixels to be painted."""

    x: Floats
    """Columns (n,)."""
    y: Floats
    """Rows (n,)."""
    rough: dict[int, Floats]
    """The scene's noise fields (n,) by scale in pixels."""
    seed: int
    """From which all chance follows."""
    ripe: float = 0.0
    """Share of the fields that have another colour than at first in the season."""

    def warped(self, pixels: float, scale: int = 30) -> tuple[Floats, Floats]:
        """Coordinates pushed about by up to some `pixels`, so that straight patterns follow the land."""
        return self.x + np.float32(pixels) * self.rough[scale], self.y + np.float32(pixels) * self.rough[12]


@dataclass(frozen=True, slots=True)
class Cells:
    """Which irregular cell each pixel lies in."""

    col: Ints
    """The lattice's column (n,)."""
    row: Ints
    """The lattice's row (n,)."""
    border: Floats
    """Distance to the cell's border in pixels (n,)."""


def cells(x: Floats, y: Floats, size: float, salt: int, jitter: float = 0.8) -> Cells:
    """Voronoi cells of a jittered lattice, about `size` pixels wide."""
    u, v = x / np.float32(size), y / np.float32(size)
    base_col, base_row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    first = np.full(x.shape, np.inf, dtype=np.float32)
    second = first.copy()
    best = [np.zeros_like(base_col), np.zeros_like(base_row)]
    centre = [np.zeros_like(first), np.zeros_like(first)]
    runner = [np.zeros_like(first), np.zeros_like(first)]
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            col, row = base_col + right, base_row + down
            cx = col + np.float32(0.5) + np.float32(jitter) * (hashed(salt, col, row) - np.float32(0.5))
            cy = row + np.float32(0.5) + np.float32(jitter) * (hashed(salt + 1, col, row) - np.float32(0.5))
            distance = (u - cx) ** 2 + (v - cy) ** 2
            nearer = distance < first
            next_best = ~nearer & (distance < second)
            for old, new in zip(runner, centre, strict=True):
                old[nearer] = new[nearer]
            runner[0][next_best], runner[1][next_best] = cx[next_best], cy[next_best]
            second = np.where(nearer, first, np.where(next_best, distance, second))
            best[0][nearer], best[1][nearer] = col[nearer], row[nearer]
            centre[0][nearer], centre[1][nearer] = cx[nearer], cy[nearer]
            first = np.where(nearer, distance, first)
    apart = np.maximum(np.hypot(runner[0] - centre[0], runner[1] - centre[1]), 1e-3)
    border = (second - first) / (2 * apart) * np.float32(size)
    return Cells(best[0], best[1], border.astype(np.float32))


@dataclass(frozen=True, slots=True)
class Parcels:
    """Strips inside each irregular estate."""

    estate: Cells
    """The estate, with the distance to its border."""
    across: Floats
    """A pixel's coordinate across the strips of its estate (n,)."""
    along: Floats
    """Its coordinate along them (n,)."""
    strip: Ints
    """Number of its strip (n,)."""
    piece: Ints
    """Number of its piece of the strip (n,); estate, strip and piece identify the parcel."""
    edge: Floats
    """Distance to the nearest parcel edge in pixels (n,)."""

    def draw(self, salt: int) -> Floats:
        """One uniform number a parcel."""
        return hashed(salt, self.estate.col, self.estate.row, self.strip, self.piece)

    def draw_estate(self, salt: int) -> Floats:
        """One uniform number an estate."""
        return hashed(salt, self.estate.col, self.estate.row)


def parcels(
    x: Floats,
    y: Floats,
    salt: int,
    estate: float,
    width: tuple[float, float],
    length: tuple[float, float],
    lean: float = 1.0,
) -> Parcels:
    """Estates about `estate` pixels wide, each cut in strips of its own direction, `width` and `length` (ranges).

    `lean` 1 lets estates point anywhere, 0 makes all follow one direction.
    """
    home = cells(x, y, estate, salt)
    # Neighbours lie along or across one direction, more or less.
    turned = np.float32(tau / 4) * (hashed(salt + 6, home.col, home.row) < 0.5)
    angle = (
        np.float32(0.35)
        + turned
        + np.float32(lean * tau / 4) * (hashed(salt + 2, home.col, home.row) - np.float32(0.5))
    )
    across = x * np.cos(angle) + y * np.sin(angle)
    along = y * np.cos(angle) - x * np.sin(angle)
    wide = np.float32(width[0]) + np.float32(width[1] - width[0]) * hashed(salt + 3, home.col, home.row)
    strip = np.floor(across / wide).astype(np.int64)
    long = np.float32(length[0]) + np.float32(length[1] - length[0]) * hashed(salt + 4, home.col, home.row, strip)
    shifted = along / long + hashed(salt + 5, home.col, home.row, strip)
    piece = np.floor(shifted).astype(np.int64)
    from_side = np.abs(across / wide - np.round(across / wide)) * wide
    from_end = np.abs(shifted - np.round(shifted)) * long
    edge = np.minimum(np.minimum(from_side, from_end), home.border)
    return Parcels(home, across, along, strip, piece, edge.astype(np.float32))
