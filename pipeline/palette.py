"""Colours that people can tell apart, for legends of any number of classes."""

import math
from functools import cache
from itertools import product

# What is written on a colour.
DARK, WHITE = "#1b1f24", "#ffffff"
# WCAG 2: text needs this contrast to its ground.
_READABLE = 4.5
# Candidates are a lattice of nine steps a channel; paler and darker ones vanish on a page's or a map's ground.
_STEPS = 9
_DARKEST, _PALEST = 22.0, 93.0
_FIRST = "#e9d33f"

Lab = tuple[float, float, float]


def ink(colour: str) -> str:
    """Dark or white, whichever is read better on a colour.

    >>> ink("#e9d33f"), ink("#0b5410")
    ('#1b1f24', '#ffffff')
    """
    return max((DARK, WHITE), key=lambda one: contrast(one, colour))


def contrast(one: str, two: str) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2).

    >>> round(contrast("#000000", "#ffffff"), 1)
    21.0
    """
    bright = sorted((_luminance(one), _luminance(two)))
    return (bright[1] + 0.05) / (bright[0] + 0.05)


def distinct(count: int) -> tuple[str, ...]:
    """`count` colours, each as far as can be from those before it, always the same ones.

    Farthest-point choice by CIEDE2000; the first colours do not depend on how many follow.

    Raises:
        ValueError: there are fewer candidates than that.

    >>> distinct(3) == distinct(21)[:3]
    True
    """
    candidates = _candidates()
    if count > len(candidates):
        raise ValueError(f"{count} colours cannot be told apart; at most {len(candidates)} can be made")
    apart = dict.fromkeys(candidates, math.inf)
    chosen: list[str] = []
    while len(chosen) < count:
        colour = max(apart, key=apart.__getitem__) if chosen else _FIRST
        apart.pop(colour, None)
        place = _lab(colour)
        for name, distance in apart.items():
            apart[name] = min(distance, _ciede2000(place, candidates[name]))
        chosen.append(colour)
    return tuple(chosen)


def difference(one: str, two: str) -> float:
    """How different two colours look: CIEDE2000, about 1 where it is just seen.

    Sharma, Wu and Dalal 2005 (https://doi.org/10.1002/col.20070).

    >>> round(difference("#000000", "#ffffff"))
    100
    """
    return _ciede2000(_lab(one), _lab(two))


@cache
def _candidates() -> dict[str, Lab]:
    levels = [round(step * 255 / (_STEPS - 1)) for step in range(_STEPS)]
    names = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in product(levels, repeat=3)]
    places = {name: _lab(name) for name in names if contrast(ink(name), name) >= _READABLE}
    return {name: place for name, place in places.items() if _DARKEST < place[0] < _PALEST}


def _linear(colour: str) -> Lab:
    """Linear red, green and blue (0..1) of a colour such as "#0b5410" (IEC 61966-2-1)."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    )
    return red, green, blue


def _luminance(colour: str) -> float:
    red, green, blue = _linear(colour)
    return 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue


def _lab(colour: str) -> Lab:
    """CIE L*a*b* under D65."""
    red, green, blue = _linear(colour)
    x, y, z = (
        value / (6 / 29) ** 2 / 3 + 4 / 29 if value <= (6 / 29) ** 3 else math.cbrt(value)
        for value in (
            (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047,
            _luminance(colour),
            (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883,
        )
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _ciede2000(one: Lab, two: Lab) -> float:
    mean = (math.hypot(*one[1:]) + math.hypot(*two[1:])) / 2
    stretch = 1 + 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25.0**7)))
    chroma1, chroma2 = math.hypot(one[1] * stretch, one[2]), math.hypot(two[1] * stretch, two[2])
    hue1, hue2 = (math.degrees(math.atan2(b, a * stretch)) % 360 for _, a, b in (one, two))
    turned = 0.0 if chroma1 * chroma2 == 0 else (hue2 - hue1 + 180) % 360 - 180
    hue = math.radians(hue1 + hue2 if chroma1 * chroma2 == 0 else hue1 + turned / 2)
    light, chroma = (one[0] + two[0]) / 2 - 50, (chroma1 + chroma2) / 2
    t = (
        1
        - 0.17 * math.cos(hue - math.radians(30))
        + 0.24 * math.cos(2 * hue)
        + 0.32 * math.cos(3 * hue + math.radians(6))
        - 0.20 * math.cos(4 * hue - math.radians(63))
    )
    blue = ((math.degrees(hue) % 360 - 275) / 25) ** 2
    turn = -2 * math.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * math.sin(math.radians(60 * math.exp(-blue)))
    dl = (two[0] - one[0]) / (1 + 0.015 * light**2 / math.sqrt(20 + light**2))
    dc = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    dh = 2 * math.sqrt(chroma1 * chroma2) * math.sin(math.radians(turned / 2)) / (1 + 0.015 * chroma * t)
    return math.sqrt(dl**2 + dc**2 + dh**2 + turn * dc * dh)
