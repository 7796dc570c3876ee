"""From stored numbers to the network's input: DN -> reflectance -> EuroSAT codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.scenes.scene import Asset, Level

REFLECTANCE_TO_DN = 10_000.0


@dataclass(frozen=True, slots=True)
class Harmonisation:
    """A linear map per band of one level's reflectance to the level that the model was trained on."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """How reflectance becomes the 8-bit codes that a model was trained on.

    DN 0..`dn_max` (reflectance x 10,000, no offset) map linearly to `low`..`high`, rounded to nearest: EuroSAT's
    pixels are `gdal_translate -ot Byte -scale 0 2750 1 255` of L1C (the data set's README).
    """

    dn_max: float = 2750.0
    low: int = 1
    high: int = 255
    harmonisation: Mapping[str, Harmonisation] = field(default_factory=dict)

    def harmonised(self, reflectance: npt.NDArray[np.float64], band: int, level: Level) -> npt.NDArray[np.float64]:
        """Reflectance of the `band`-th model band, mapped to the training level where there is a map for `level`."""
        line = self.harmonisation.get(level.value)
        return reflectance if line is None else np.clip(reflectance * line.scale[band] + line.offset[band], 0.0, None)

    def codes(self, reflectance: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
        """Codes of reflectances; NaN and infinities must have been masked before."""
        # Code edges are at least 0.004 DN from any whole DN, so rounding to a thousandth takes away float noise alone.
        dn = np.clip(np.round(reflectance * REFLECTANCE_TO_DN, 3), 0.0, self.dn_max)
        return np.floor(self.low + (self.high - self.low) * dn / self.dn_max + 0.5).astype(np.uint8)


def reflectance(pixels: npt.NDArray[np.generic], assets: Sequence[Asset]) -> npt.NDArray[np.float32]:
    """Reflectance (band, y, x) of stored numbers, clipped at 0; not finite where the stored number is not."""
    out = np.empty(pixels.shape, np.float32)
    for band, asset in enumerate(assets):
        np.clip(pixels[band] * np.float64(asset.scale) + asset.offset, 0.0, None, out=out[band], casting="unsafe")
    return out


def encode(
    pixels: npt.NDArray[np.generic], assets: Sequence[Asset], stretch: Stretch, level: Level
) -> npt.NDArray[np.uint8]:
    """The network's input codes (band, y, x) of stored numbers: the one way from DN to what a model sees.

    `assets` are the scene's in the order of the model's bands. Numbers that are not finite become the lowest code.
    """
    codes = np.empty(pixels.shape, np.uint8)
    for band, asset in enumerate(assets):
        stored = pixels[band]
        if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
            unsigned = np.dtype(f"u{stored.dtype.itemsize}")
            every = np.arange(1 << 8 * unsigned.itemsize, dtype=unsigned).view(stored.dtype)
            np.take(
                _band_codes(every, asset, stretch, level, band), stored.view(unsigned), out=codes[band], mode="clip"
            )
        else:
            codes[band] = _band_codes(stored, asset, stretch, level, band)
    return codes


def _band_codes(
    stored: npt.NDArray[np.generic], asset: Asset, stretch: Stretch, level: Level, band: int
) -> npt.NDArray[np.uint8]:
    value = np.clip(
        np.nan_to_num(stored.astype(np.float64) * asset.scale + asset.offset, posinf=0.0, neginf=0.0), 0.0, None
    )
    return stretch.codes(stretch.harmonised(value, band, level))
