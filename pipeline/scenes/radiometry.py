"""From stored numbers to the network's input: DN -> reflectance -> EuroSAT codes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.scenes.scene import Asset

REFLECTANCE_TO_DN = 10_000.0

# Surface reflectance (L2A) to top of atmosphere (L1C), factor and addend, from one scene (Belgium, April 2019) and two
# corrections of its pixels: B04, B03, B02 as shipped with eurosat-resnet50 (its report tells why), B08 by medians and
# quartiles of the clear pixels.
SURFACE_TO_TOP = {"B04": (0.885, 0.026), "B03": (0.814, 0.0426), "B02": (0.783, 0.0698), "B08": (0.903, 0.0122)}

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Harmonisation:
    """A linear map per band of one level's reflectance to the level that the model was trained on.

    >>> Harmonisation(scale=(0.9, 1.0), offset=(0.02, 0.0)).moved(np.array([0.1]), band=0).round(3).tolist()
    [0.11]
    """

    scale: tuple[float, ...]
    """Factors in the order of the model's bands."""
    offset: tuple[float, ...]
    """Reflectance added after scaling, in the same order."""

    def moved(self, reflectance: Floats, band: int) -> Floats:
        """Reflectance of the `band`-th model band on the training level, not below 0."""
        return np.asarray(np.clip(reflectance * self.scale[band] + self.offset[band], 0.0, None))


def surface_to_top(bands: Sequence[str]) -> Harmonisation:
    """The lines from surface reflectance to that of L1C; bands that nobody measured stay as they are.

    >>> surface_to_top(["B04", "B11"])
    Harmonisation(scale=(0.885, 1.0), offset=(0.026, 0.0))
    """
    lines = [SURFACE_TO_TOP.get(band, (1.0, 0.0)) for band in bands]
    return Harmonisation(tuple(scale for scale, _ in lines), tuple(offset for _, offset in lines))


@dataclass(frozen=True, slots=True)
class Stretch:
    """How reflectance becomes the 8-bit codes that a model was trained on.

    DN 0..`dn_max` (reflectance x 10,000, no offset) map linearly to `low`..`high`, rounded to nearest: EuroSAT's
    pixels are `gdal_translate -ot Byte -scale 0 2750 1 255` of L1C (the data set's README).

    >>> Stretch().codes(np.array([0.0, 0.0945, 0.1375, 0.9])).tolist()
    [1, 88, 128, 255]
    """

    dn_max: float = 2750.0
    """The number that becomes `high`; larger ones too."""
    low: int = 1
    """The code of 0."""
    high: int = 255
    """The code of `dn_max`."""

    def codes(self, reflectance: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
        """Codes of reflectances; NaN and infinities must have been masked before."""
        # Code edges are at least 0.004 DN from any whole DN, so rounding to a thousandth takes away float noise alone.
        dn = np.clip(np.round(reflectance * REFLECTANCE_TO_DN, 3), 0.0, self.dn_max)
        return np.floor(self.low + (self.high - self.low) * dn / self.dn_max + 0.5).astype(np.uint8)


def reflectance(
    pixels: npt.NDArray[np.generic], assets: Sequence[Asset], line: Harmonisation | None = None
) -> npt.NDArray[np.float32]:
    """Reflectance (band, y, x) of stored numbers on the training level, clipped at 0.

    `assets` are the scene's in the order of the model's bands, `line` the harmonisation of its level. Not finite
    where the stored number is not.
    """
    out = np.empty(pixels.shape, np.float32)
    for band, asset in enumerate(assets):
        value = np.clip(pixels[band] * np.float64(asset.scale) + asset.offset, 0.0, None)
        out[band] = value if line is None else line.moved(value, band)
    return out


def encode(
    pixels: npt.NDArray[np.generic], assets: Sequence[Asset], stretch: Stretch, line: Harmonisation | None = None
) -> npt.NDArray[np.uint8]:
    """Codes (band, y, x) of stored numbers on the training level.

    `assets` are the scene's in the order of the model's bands, `line` the harmonisation of its level. Numbers that are
    not finite become the lowest code.
    """
    codes = np.empty(pixels.shape, np.uint8)
    for band, asset in enumerate(assets):
        stored = pixels[band]
        if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
            unsigned = np.dtype(f"u{stored.dtype.itemsize}")
            every = np.arange(1 << 8 * unsigned.itemsize, dtype=unsigned).view(stored.dtype)
            table = _band_codes(every, asset, stretch, line, band)
            np.take(table, stored.view(unsigned), out=codes[band], mode="clip")
        else:
            codes[band] = _band_codes(stored, asset, stretch, line, band)
    return codes


def _band_codes(
    stored: npt.NDArray[np.generic], asset: Asset, stretch: Stretch, line: Harmonisation | None, band: int
) -> npt.NDArray[np.uint8]:
    value = np.clip(
        np.nan_to_num(stored.astype(np.float64) * asset.scale + asset.offset, posinf=0.0, neginf=0.0), 0.0, None
    )
    return stretch.codes(value if line is None else line.moved(value, band))
