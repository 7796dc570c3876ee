"""The only place that reads pixels: any scene's bands on its UTM zone's grid of 10 m, or of the pixels asked for."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.enums import MaskFlags, Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from pipeline.bands import SENTINEL_2, SceneClass
from pipeline.errors import CorruptScene, IncompleteScene
from pipeline.grid import Bounds
from pipeline.scenes.reading.header import aligned, crs_key, snap
from pipeline.scenes.reading.ranged import RangedRaster
from pipeline.scenes.safety import guard
from pipeline.scenes.safety.address import is_remote
from pipeline.scenes.safety.integrity import check_structure
from pipeline.scenes.scene import Asset, Level, Scene

# Layouts whose pixels are as ESA delivered them.
_UNTOUCHED = ("SAFE", "granule")
# No reflectance is below; such numbers in floats or signed integers are someone's mark of no data, such as -9999.
_LOWEST = -1.0

Pixels = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Layer:
    """A raster file on the grid: the file itself, or its warped view. `left`, `top` and `gsd` in metres.

    Each stored pixel stands for `zoom` x `zoom` pixels of the grid. `masked` files say themselves which they mean.
    """

    dataset: rasterio.DatasetReader | RangedRaster
    left: float
    top: float
    gsd: float
    zoom: int = 1
    masked: bool = False

    def read(self, indexes: list[int], bounds: Bounds, fill: float) -> tuple[Pixels, Mask]:
        """Bands (band, y, x) of a window of the grid, `fill` outside the file, and which pixels (y, x) are inside."""
        left, bottom, right, top = bounds
        width, height = round((right - left) / self.gsd), round((top - bottom) / self.gsd)
        col, row = round((left - self.left) / self.gsd), round((self.top - top) / self.gsd)
        pixels = np.full((len(indexes), height, width), fill, self.dataset.dtypes[indexes[0] - 1])
        inside = np.zeros((height, width), np.bool_)
        rows = slice(max(row, 0), min(row + height, self.dataset.height * self.zoom))
        cols = slice(max(col, 0), min(col + width, self.dataset.width * self.zoom))
        if rows.start < rows.stop and cols.start < cols.stop:
            place = slice(rows.start - row, rows.stop - row), slice(cols.start - col, cols.stop - col)
            pixels[(slice(None), *place)] = self._stored(indexes, rows, cols)
            inside[place] = True
            if self.masked and not isinstance(self.dataset, RangedRaster):
                inside[place] = (
                    self._repeated(self.dataset.read_masks([1], window=self._window(rows, cols)), rows, cols) > 0
                )
                pixels[:, ~inside] = fill
        return pixels, inside

    def _stored(self, indexes: list[int], rows: slice, cols: slice) -> Pixels:
        """Bands (band, y, x) of a window in grid pixels that lies within the file."""
        return self._repeated(self.dataset.read(indexes, window=self._window(rows, cols)), rows, cols)

    def _window(self, rows: slice, cols: slice) -> Window:
        """The file's pixels that hold a window in grid pixels."""
        zoom, top, left = self.zoom, rows.start // self.zoom, cols.start // self.zoom
        return Window(left, top, -(-cols.stop // zoom) - left, -(-rows.stop // zoom) - top)

    def _repeated(self, found: Pixels, rows: slice, cols: slice) -> Pixels:
        """Stored pixels as those of the grid that they stand for."""
        zoom, top, left = self.zoom, rows.start // self.zoom, cols.start // self.zoom
        if zoom == 1:
            return found
        repeated = found.repeat(zoom, axis=2).repeat(zoom, axis=1)
        return repeated[
            :, rows.start - top * zoom : rows.stop - top * zoom, cols.start - left * zoom : cols.stop - left * zoom
        ]


class SceneReader:
    """Reads one scene in pixels of `gsd` metres of its zone's grid, the scene's own without it.

    A context manager with datasets of its own, so each thread opens one for itself.
    """

    def __init__(self, scene: Scene, gsd: float | None = None) -> None:
        self.scene = scene
        self._gsd = scene.gsd if gsd is None else gsd
        self._stack = ExitStack()
        self._layers: dict[tuple[str, bool, float | None], _Layer] = {}
        self._overlays: list[SceneReader] = []

    def __enter__(self) -> Self:
        self._overlays = [self._stack.enter_context(SceneReader(overlay, self._gsd)) for overlay in self.scene.overlays]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._layers.clear()
        self._stack.close()

    def read(self, bounds: Bounds, bands: Sequence[str]) -> tuple[Pixels, Mask]:
        """Stored numbers (band, y, x) and which pixels (y, x) were measured in every band.

        `bounds` are metres in the scene's zone, multiples of the pixel size. What was not measured is 0.

        Raises:
            IncompleteScene: the scene lacks a band.
            CorruptScene: a file does not decode.
        """
        if missing := [band for band in bands if band not in self.scene.assets]:
            raise IncompleteScene(
                f"{self.scene.id}: lacks {', '.join(missing)}; add the files or choose a model that does without"
            )
        assets = [self.scene.assets[band] for band in bands]
        with guard.environment():
            pixels, valid = self._read(assets, bounds)
        if self.scene.level is Level.L2A and self.scene.quality is not None and not self._inside(valid, bounds).all():
            self._mend_saturated(pixels, valid, bounds)
        for overlay in self._overlays:
            holes = ~valid
            if holes.any():
                other, measured = overlay.read(bounds, bands)
                use = holes & measured
                for at, band in enumerate(bands):
                    pixels[at, use] = _restated(
                        other[at, use], overlay.scene.assets[band], self.scene.assets[band], pixels.dtype
                    )
                valid |= use
        return pixels, valid

    def _inside(self, valid: Mask, bounds: Bounds) -> Mask:
        """The part of a window's mask that lies within the scene's bounds."""
        left, bottom, right, top = self.scene.bounds
        gsd = self._gsd
        rows = slice(max(round((bounds[3] - top) / gsd), 0), max(round((bounds[3] - bottom) / gsd), 0))
        columns = slice(max(round((left - bounds[0]) / gsd), 0), max(round((right - bounds[0]) / gsd), 0))
        return valid[rows, columns]

    def _mend_saturated(self, pixels: Pixels, valid: Mask, bounds: Bounds) -> None:
        """Gives bright targets that a clipping defect of L2A stored as DN 0 the sensor's ceiling; they are no gaps.

        The scene classification tells them from the outside of the swath. In files that went through other hands,
        pixels without any number may have been masked on purpose, such as those outside an area of interest.
        """
        classes = self._classes(bounds)
        if classes is not None and pixels.dtype.kind in "iu":
            bright = ~valid & np.isin(classes, SENTINEL_2.bright)
            if self.scene.layout not in _UNTOUCHED:
                bright &= (pixels != 0).any(axis=0)
            pixels[:, bright] = np.where(pixels[:, bright] == 0, SENTINEL_2.ceiling[Level.L2A], pixels[:, bright])
            valid |= bright

    def read_quality(self, bounds: Bounds) -> npt.NDArray[np.uint8] | None:
        """The scene classification (y, x), 0 where it has no data; None where the product has none.

        Raises:
            CorruptScene: the file does not decode.
        """
        found = self._classes(bounds)
        for overlay in self._overlays:
            other = overlay.read_quality(bounds)
            if found is not None and other is not None:
                found = np.where(found == 0, other, found)
        return found

    def _classes(self, bounds: Bounds) -> npt.NDArray[np.uint8] | None:
        quality = self.scene.quality
        if quality is None:
            return None
        with guard.environment():
            indexes = list(range(1, len(quality.flags) + 1)) or [quality.index]
            classes, inside = self._decode(quality, indexes, bounds, nearest=True)
        if not quality.flags:
            return np.asarray(classes[0], np.uint8)
        found = np.where(inside, SceneClass.UNCLASSIFIED, 0).astype(np.uint8)
        for mask, code in zip(classes, quality.flags, strict=True):
            found[mask == 1] = code
        return found

    def _read(self, assets: Sequence[Asset], bounds: Bounds) -> tuple[Pixels, Mask]:
        files: dict[tuple[str, float | None], list[int]] = {}
        for at, asset in enumerate(assets):
            files.setdefault((asset.href, asset.nodata), []).append(at)
        pixels: Pixels | None = None
        valid: Mask | None = None
        for members in files.values():
            group = [assets[at] for at in members]
            alpha = [group[0].alpha] if group[0].alpha else []
            found, measured = self._decode(group[0], [asset.index for asset in group] + alpha, bounds, nearest=False)
            if alpha:
                measured &= found[-1] > 0
                found = found[:-1]
            good = _measured(found, group[0])
            if found.dtype.kind == "f" or group[0].nodata:
                found[~good] = 0
            measured &= good.all(axis=0)
            if len(files) == 1:
                return found, measured
            if pixels is None or valid is None:
                pixels, valid = np.empty((len(assets), *measured.shape), found.dtype), measured
            else:
                pixels, valid = pixels.astype(np.promote_types(pixels.dtype, found.dtype), copy=False), valid & measured
            pixels[members] = found
        if pixels is None or valid is None:
            raise IncompleteScene(f"{self.scene.id}: no band was asked for; name at least one")
        return pixels, valid

    def _decode(self, asset: Asset, indexes: list[int], bounds: Bounds, *, nearest: bool) -> tuple[Pixels, Mask]:
        try:
            return self._layer(asset, nearest).read(indexes, bounds, asset.nodata or 0.0)
        except (MemoryError, *guard.RASTER_ERRORS, *guard.READ_ERRORS) as error:
            name = guard.display_name(asset.href)
            raise CorruptScene(
                f"{name}: does not decode ({guard.one_line(error)}); {guard.remedy(asset.href)}"
            ) from error

    def _layer(self, asset: Asset, nearest: bool) -> _Layer:
        key = (asset.href, nearest, asset.nodata)
        if key not in self._layers:
            check_structure(asset.href)
            dataset = self._stack.enter_context(
                RangedRaster(asset.href) if is_remote(asset.href) else guard.open_raster(asset.href)
            )
            crs = asset.crs if asset.crs is not None else crs_key(dataset.crs)
            transform = Affine(*asset.transform) if asset.transform is not None else dataset.transform
            gsd, epsg = self._gsd, self.scene.epsg
            left, top, zoom = snap(transform.c, gsd), snap(transform.f, gsd), max(round(transform.a / gsd), 1)
            finer = transform @ Affine.scale(1 / zoom), dataset.width * zoom, dataset.height * zoom
            masked = _has_mask(dataset)
            if aligned(crs, transform, dataset.width, dataset.height, epsg, gsd):
                self._layers[key] = _Layer(dataset, left, top, gsd, masked=masked)
            elif nearest and aligned(crs, *finer, epsg, gsd):
                self._layers[key] = _Layer(dataset, left, top, gsd, zoom, masked)
            else:
                self._layers[key] = self._warped(dataset, asset, crs, transform, nearest)
        return self._layers[key]

    def _warped(
        self,
        dataset: rasterio.DatasetReader | RangedRaster,
        asset: Asset,
        crs: int | str | None,
        transform: Affine,
        nearest: bool,
    ) -> _Layer:
        left, bottom, right, top = self.scene.bounds
        if isinstance(dataset, RangedRaster):
            dataset = dataset.whole()
        nodata, kind = asset.nodata if asset.nodata is not None else 0.0, np.dtype(dataset.dtypes[asset.index - 1]).kind
        if _has_mask(dataset) or (nodata != 0 and kind != "f") or (nodata == 0 and kind in "fi" and not nearest):
            dataset, nodata = self._one_nodata(dataset, asset), 0.0
        view = WarpedVRT(
            dataset,
            src_crs=rasterio.CRS.from_user_input(crs),
            src_transform=transform,
            crs=f"EPSG:{self.scene.epsg}",
            transform=Affine(self._gsd, 0.0, left, 0.0, -self._gsd, top),
            width=round((right - left) / self._gsd),
            height=round((top - bottom) / self._gsd),
            resampling=Resampling.nearest if nearest else Resampling.cubic,
            src_nodata=nodata,
            nodata=nodata,
            warp_extras={"UNIFIED_SRC_NODATA": "YES" if asset.picture else "NO"},
        )
        return _Layer(self._stack.enter_context(view), left, top, self._gsd)

    def _one_nodata(self, dataset: rasterio.DatasetReader, asset: Asset) -> rasterio.DatasetReader:
        """A copy in memory whose only nodata is 0.

        Files with another tag, a mask or marks of their own hold 0 as well, and any of them would bleed when resampled.
        """
        profile = {
            "driver": "GTiff",
            "width": dataset.width,
            "height": dataset.height,
            "count": dataset.count,
            "dtype": dataset.dtypes[0],
        }
        place = {"crs": dataset.crs, "transform": dataset.transform}
        memory = self._stack.enter_context(rasterio.MemoryFile())
        with memory.open(**profile, **place, tiled=True, compress="deflate", zlevel=1) as copy:
            for _, window in copy.block_windows(1):
                pixels = dataset.read(window=window)
                good = _measured(pixels, replace(asset, picture=False))
                if _has_mask(dataset):
                    good = good & (dataset.read_masks([1], window=window) > 0)
                copy.write(np.where(good, pixels, 0).astype(pixels.dtype), window=window)
        return self._stack.enter_context(memory.open())


def _has_mask(dataset: rasterio.DatasetReader | RangedRaster) -> bool:
    """Whether a file holds a mask of its own beside its bands; one at an address never does (`ranged`)."""
    return not isinstance(dataset, RangedRaster) and dataset.mask_flag_enums[0] == [MaskFlags.per_dataset]


def _restated(stored: Pixels, asset: Asset, target: Asset, dtype: np.dtype[Any]) -> Pixels:
    """Stored numbers of one asset as those of another with the same reflectance."""
    if (asset.scale, asset.offset) == (target.scale, target.offset):
        return stored.astype(dtype)
    value = (stored.astype(np.float64) * asset.scale + asset.offset - target.offset) / target.scale
    if dtype.kind == "f":
        return value.astype(dtype)
    # 0 would mean no measurement.
    return np.clip(np.rint(value), 1, np.iinfo(dtype).max).astype(dtype)


def _measured(pixels: Pixels, asset: Asset) -> Mask:
    """Which numbers (band, y, x) of one file are measurements; DN 0 never is (ESA's special value)."""
    if asset.picture:
        return np.broadcast_to((pixels != 0).any(axis=0), pixels.shape)
    good = np.isfinite(pixels) if pixels.dtype.kind == "f" else pixels != 0
    if pixels.dtype.kind in "fi":
        good &= pixels >= (_LOWEST - asset.offset) / asset.scale
    if asset.nodata is not None and not np.isnan(asset.nodata):
        good &= pixels != asset.nodata
    return np.asarray(good)
