"""From stored numbers to the network's input: DN -> reflectance -> EuroSAT codes."""

from collections.abc import Mapping
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

    def codes(self, reflectance: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
        """Codes of reflectances; NaN and infinities must have been masked before."""
        dn = np.clip(reflectance * REFLECTANCE_TO_DN, 0.0, self.dn_max)
        return np.floor(self.low + (self.high - self.low) * dn / self.dn_max + 0.5).astype(np.uint8)
