"""Clouds where no mask tells of them: ground that turns white and bright over hundreds of metres at one of two dates.

The tests of one date are Zhu and Woodcock's (2012): a cloud is white, brighter in the blue than clear land of its red
(haze-optimised transform), and as bright in the near as in the shortwave infrared, which sand and rock are not. Roofs
pass them too; only clouds lift the mean blue of 220 m that much from one date to the other.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.change.around import mean_around
from pipeline.change.score import NIR, SURROUNDINGS, VISIBLE, Match

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_NEEDED = (*VISIBLE, NIR, "B11")
# Of the mean blue over the surroundings, in reflectance beyond what all land rose by; share of white pixels there.
_RISE, _WHITE = 0.05, 0.3
_HAZE, _COLOURED, _ROCK = 0.08, 0.25, 0.75


def clouds(dates: tuple[Floats, Floats], cloudy: int, valid: Mask, bands: Sequence[str], matched: Match) -> Mask:
    """Pixels (y, x) that lie under cloud at the date number `cloudy` of both dates' reflectance (band, y, x) at 20 m.

    Nobody knows without all of blue, green, red, near and shortwave infrared: then none does.
    """
    if not set(_NEEDED) <= set(bands) or "B02" not in matched.bands:
        return np.zeros(valid.shape, np.bool_)
    usual = matched.centre[:, matched.bands.index("B02")]
    row = list(bands).index("B02")
    lifted = (dates[cloudy][row] - usual[cloudy]) - (dates[1 - cloudy][row] - usual[1 - cloudy])
    white = valid & _white(dates[cloudy][[list(bands).index(band) for band in _NEEDED]])
    rise = mean_around(np.where(valid, lifted, np.float32(0.0)), SURROUNDINGS)
    return np.asarray((rise > _RISE) & (mean_around(white.astype(np.float32), SURROUNDINGS) > _WHITE))


def _white(reflectance: Floats) -> Mask:
    """Pixels (y, x) that may be cloud by themselves, from blue, green, red, near and shortwave infrared."""
    blue, green, red, near, shortwave = reflectance
    visible = reflectance[:3]
    hazy = blue - 0.5 * red > _HAZE
    return np.asarray(hazy & (np.ptp(visible, axis=0) < _COLOURED * green) & (near > _ROCK * shortwave))
