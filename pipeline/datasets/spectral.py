"""Pictures of many bands: GeoTIFFs and npz files as reflectance, their bands told by name."""

import io
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from pipeline.bands import BY_NAME, EUROSAT_TIF
from pipeline.errors import ModelError

SUFFIXES = (".tif", ".tiff", ".npz")
REFLECTANCE_TO_DN = 10_000.0
# B10 lies where water vapour swallows the light: its mean is about 12 of EuroSAT's numbers, the next darkest band's
# (B09) some 60 times that.
DARK = 200.0


@dataclass(frozen=True, slots=True)
class Planes:
    """One picture's bands as stored."""

    numbers: npt.NDArray[Any]
    """(band, y, x)."""
    bands: tuple[str, ...]
    """Their names, in that order."""
    told: bool
    """Whether the file itself names them; EuroSAT's order is taken otherwise."""


def planes(data: bytes, where: str) -> Planes:
    """The bands of a GeoTIFF or an npz; `where` names it in a refusal.

    An npz holds an array a band, by name, or one array (13, y, x) or (y, x, 13).

    Raises:
        ModelError: it cannot be read, or nothing tells its bands.
    """
    return _from_npz(data, where) if where.lower().endswith(".npz") else _from_tiff(data, where)


def reflectance(found: Planes, bands: Sequence[str], where: str) -> npt.NDArray[np.float32]:
    """Reflectance (y, x, band) of the named bands, in their order; whole numbers are 10,000 times that.

    Raises:
        ModelError: a band is missing, or the numbers belie the order of the bands.
    """
    missing = [band for band in bands if band not in found.bands]
    if missing:
        raise ModelError(
            f"{where}: lacks {', '.join(missing)} (it has {', '.join(found.bands)}); give other data or other --bands"
        )
    if not found.told:
        check_order(found, where)
    chosen = found.numbers[[found.bands.index(band) for band in bands]].astype(np.float32)
    if found.numbers.dtype.kind in "iu":
        chosen /= np.float32(REFLECTANCE_TO_DN)
    return np.ascontiguousarray(np.nan_to_num(chosen).clip(0).transpose(1, 2, 0))


def check_order(found: Planes, where: str) -> None:
    """Checks EuroSAT's order by its physics: B10 is the darkest band by far, wherever the ground is.

    Raises:
        ModelError: another band is.
    """
    means = found.numbers.reshape(len(found.bands), -1).mean(axis=1)
    darkest = int(means.argmin())
    if found.bands[darkest] != "B10" or (found.numbers.dtype.kind in "iu" and means[darkest] > DARK):
        raise ModelError(
            f"{where}: its bands are not in EuroSAT's order (B01 to B08, B09, B10, B11, B12, B8A): B10 should be the "
            f"darkest, but number {darkest + 1} is; name the bands in the files"
        )


def _from_tiff(data: bytes, where: str) -> Planes:
    try:
        options = rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_NUM_THREADS="1")
        with warnings.catch_warnings(), options, MemoryFile(data) as memory:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # patches need no place
            dataset = memory.open(driver="GTiff")
            names = tuple((name or "").strip().upper() for name in dataset.descriptions)
            return _named(dataset.read(), names, where)
    except (RasterioError, ValueError, OSError) as error:
        raise ModelError(f"{where}: no readable GeoTIFF ({error}); remove it or copy it again") from error


def _from_npz(data: bytes, where: str) -> Planes:
    try:
        with np.load(io.BytesIO(data)) as stored:
            arrays = {name.upper(): stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{where}: no readable npz ({error}); remove it or copy it again") from error
    named = tuple(name for name in arrays if name in BY_NAME)
    if named:
        shapes = {arrays[name].shape for name in named}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise ModelError(f"{where}: its bands have the shapes {sorted(shapes)}; store (y, x) of one size each")
        return Planes(np.stack([arrays[name] for name in named]), named, True)
    if len(arrays) != 1 or (numbers := next(iter(arrays.values()))).ndim != 3:
        raise ModelError(
            f"{where}: holds {', '.join(arrays) or 'nothing'}; store an array a band, called B02 and so on"
        )
    if numbers.shape[0] != len(EUROSAT_TIF) and numbers.shape[-1] == len(EUROSAT_TIF):
        numbers = numbers.transpose(2, 0, 1)
    return _named(numbers, ("",) * len(numbers), where)


def _named(numbers: npt.NDArray[Any], names: tuple[str, ...], where: str) -> Planes:
    if all(name in BY_NAME for name in names) and len(set(names)) == len(names):
        return Planes(numbers, names, True)
    if len(numbers) != len(EUROSAT_TIF):
        raise ModelError(
            f"{where}: holds {len(numbers)} bands without names, and only EuroSAT's 13 are known by their order; "
            f"name them in the file (B02, B03 and so on)"
        )
    return Planes(numbers, EUROSAT_TIF, False)
