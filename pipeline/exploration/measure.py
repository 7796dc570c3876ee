"""One pass over a data set, picture by picture."""

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.warp import transform
from scipy.spatial import cKDTree

from pipeline.bands import RGB
from pipeline.datasets import duplicates, pictures, spectral
from pipeline.datasets.labelled import Asked, listing
from pipeline.datasets.source import Source
from pipeline.errors import ModelError

EARTH_KM = 6371.0
NEIGHBOUR_KM = 25.0
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Exploration:
    """What a data set holds."""

    name: str
    """The file or folder."""
    classes: tuple[str, ...]
    """Labels by class index."""
    labels: npt.NDArray[np.int64]
    """Class index of each picture (n,)."""
    files: tuple[str, ...]
    """File names (n,)."""
    sizes: tuple[tuple[int, int], ...]
    """Width and height (n,)."""
    bands: tuple[str, ...]
    """Bands of `spectra`: the file's, or B04 B03 B02 for RGB pictures."""
    spectra: Floats
    """Mean of each picture's bands (n, band): reflectance, or 0..255 of pictures."""
    pairs: tuple[duplicates.Pair, ...]
    """The same or nearly the same pictures."""
    places: Floats
    """Longitude and latitude of centres (n, 2); NaN where the file tells no place."""

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Pictures of each class."""
        return np.bincount(self.labels, minlength=len(self.classes))

    @property
    def common_size(self) -> tuple[int, int]:
        """Width and height that most pictures have."""
        return Counter(self.sizes).most_common(1)[0][0]

    @property
    def odd_sizes(self) -> list[int]:
        """Positions of the pictures of another size."""
        return [at for at, size in enumerate(self.sizes) if size != self.common_size]

    def by_class(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the pictures' means, by class and band (classes, band)."""
        parts = [self.spectra[self.labels == code] for code in range(len(self.classes))]
        return np.stack([part.mean(axis=0) for part in parts]), np.stack([part.std(axis=0) for part in parts])

    def neighbours(self) -> npt.NDArray[np.int64]:
        """How often the nearest picture within 25 km of one of a class (row) is of a class (column)."""
        count = len(self.classes)
        placed = np.flatnonzero(np.isfinite(self.places).all(axis=1))
        if len(placed) < 2:
            return np.zeros((count, count), np.int64)
        lon, lat = np.radians(self.places[placed]).T
        points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
        chord, nearest = cKDTree(points).query(points, k=2)
        near = 2 * EARTH_KM * np.arcsin(np.clip(chord[:, 1] / 2, 0, 1)) <= NEIGHBOUR_KM
        mine, other = self.labels[placed][near], self.labels[placed][nearest[near, 1]]
        return np.bincount(mine * count + other, minlength=count * count).reshape(count, count)


def explore(data: Path, progress: Callable[[str], None] = lambda _: None) -> Exploration:
    """Looks at every picture of a zip or folder of class folders: RGB pictures, or files of 13 bands.

    Raises:
        ModelError: nothing usable is there, or a picture cannot be read.
    """
    sizes: list[tuple[int, int]] = []
    spectra: list[Floats] = []
    prints: list[duplicates.Fingerprint] = []
    places: list[tuple[float, float]] = []
    bands: tuple[str, ...] = RGB
    with Source(data) as files:
        pictured = any(name.lower().endswith(pictures.SUFFIXES) for name in files.names())
        found = listing(data, files, Asked(bands=None if pictured else RGB))
        for position, (_, _, path) in enumerate(found.entries):
            content, where = files.read(path), f"{data}/{path}"
            shown, means, bands = _looked_at(content, where)
            if spectra and len(spectra[0]) != len(means):
                raise ModelError(f"{where}: has {len(means)} bands, others have {len(spectra[0])}; explore each alone")
            sizes.append((shown.shape[1], shown.shape[0]))
            spectra.append(means)
            prints.append(duplicates.fingerprint(shown))
            places.append(_place(content) if path.lower().endswith((".tif", ".tiff")) else (np.nan, np.nan))
            if position % 2000 == 1999:
                progress(f"{position + 1} of {len(found.entries)} pictures")
    return Exploration(
        data.name,
        found.classes,
        np.array([code for code, _, _ in found.entries], np.int64),
        tuple(name for _, name, _ in found.entries),
        tuple(sizes),
        bands,
        np.array(spectra),
        tuple(duplicates.pairs(prints)),
        np.array(places, np.float64),
    )


def _looked_at(content: bytes, where: str) -> tuple[npt.NDArray[np.uint8], Floats, tuple[str, ...]]:
    """A picture as 8-bit RGB, the means of its bands, and their names."""
    if where.lower().endswith(spectral.SUFFIXES) and (planes := _many(content, where)) is not None:
        reflectance = spectral.reflectance(planes, planes.bands, where)
        rgb = [planes.bands.index(band) for band in RGB if band in planes.bands]
        shown = np.clip(reflectance[..., rgb if len(rgb) == len(RGB) else [0, 0, 0]] / 0.275 * 255, 0, 255)
        return shown.astype(np.uint8), reflectance.mean(axis=(0, 1)), planes.bands
    picture = pictures.decode(content, where)
    return picture, picture.mean(axis=(0, 1)), RGB


def _many(content: bytes, where: str) -> spectral.Planes | None:
    """The bands of a multispectral file; None where it is an ordinary RGB picture."""
    if not where.lower().endswith(".npz"):
        try:
            with warnings.catch_warnings(), MemoryFile(content) as memory:
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                if memory.open(driver="GTiff").count <= 4:
                    return None
        except RasterioError:
            return None
    return spectral.planes(content, where)


def _place(content: bytes) -> tuple[float, float]:
    """Longitude and latitude of a GeoTIFF's centre; NaN without georeference."""
    try:
        options = rasterio.Env(GDAL_PAM_ENABLED="NO")
        with warnings.catch_warnings(), options, MemoryFile(content) as memory:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = memory.open(driver="GTiff")
            if dataset.crs is None:
                return np.nan, np.nan
            x, y = dataset.transform @ (dataset.width / 2, dataset.height / 2)
            lon, lat = transform(dataset.crs, "EPSG:4326", [x], [y])
            return float(lon[0]), float(lat[0])
    except (RasterioError, ValueError):
        return np.nan, np.nan


def as_json(found: Exploration) -> dict[str, Any]:
    """Plain values: counts, sizes, spectra, pairs, places."""
    mean, spread = found.by_class()
    placed = np.isfinite(found.places).all(axis=1)
    return {
        "name": found.name,
        "n": len(found.files),
        "counts": dict(zip(found.classes, found.counts.tolist(), strict=True)),
        "size": list(found.common_size),
        "other_sizes": {found.files[at]: list(found.sizes[at]) for at in found.odd_sizes},
        "bands": list(found.bands),
        "mean": dict(zip(found.classes, mean.round(5).tolist(), strict=True)),
        "standard_deviation": dict(zip(found.classes, spread.round(5).tolist(), strict=True)),
        "duplicates": [
            [found.files[pair.first], found.files[pair.second], "same" if pair.same else round(pair.likeness, 3)]
            for pair in found.pairs
        ],
        "placed": int(placed.sum()),
        "neighbours": found.neighbours().tolist(),
    }
