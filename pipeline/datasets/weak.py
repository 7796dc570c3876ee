"""What a picture's class says of the pixels in it: weak truth for networks that answer per pixel."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.datasets.labelled import LabelledPatches
from pipeline.errors import ModelError

Floats = npt.NDArray[np.float32]
# Part of a main cover's fitness that other covers of the class get: a tree in a field may be one, a field of trees not.
OTHERS = 0.2


@dataclass(frozen=True, slots=True)
class ClassCovers:
    """What the classes of pictures say of their pixels."""

    shares: Floats
    """Expected part of each cover (picture class, cover); rows sum to 1."""
    fit: Floats
    """How well each cover fits any pixel of such a picture (picture class, cover): 1 for what the class is named for,
    less for what may lie in it, 0 for what does not."""
    mixed: npt.NDArray[np.bool_]
    """Which classes are named for what runs through them, such as a road, and so for any cover (picture class,)."""

    @classmethod
    def of(cls, pictures: Sequence[str], covers: Sequence[str]) -> Self:
        """The table that ships with the package, for these picture classes and covers.

        Raises:
            ModelError: a class is not in it, or none of its covers is among `covers`.
        """
        shares = np.zeros((len(pictures), len(covers)), np.float32)
        fit = np.zeros_like(shares)
        mixed = np.zeros(len(pictures), np.bool_)
        for name, cover, share, main in _table():
            if name in pictures and cover in covers:
                at = pictures.index(name), covers.index(cover)
                shares[at] = share
                fit[at] = 1.0 if main in ("yes", "any") else OTHERS
                mixed[at[0]] |= main == "any"
        if lost := [name for name, row in zip(pictures, shares, strict=True) if not row.any()]:
            known = ", ".join(dict.fromkeys(name for name, *_ in _table()))
            raise ModelError(f"{', '.join(lost)}: nothing is known of the pixels of such pictures; known are {known}")
        return cls(shares / shares.sum(axis=1, keepdims=True), fit, mixed)

    def main(self) -> npt.NDArray[np.bool_]:
        """Which covers each class is named for (picture class, cover)."""
        return np.asarray(self.fit == 1.0)


@cache
def _table() -> tuple[tuple[str, str, float, str], ...]:
    text = files("pipeline.datasets").joinpath("picture_covers.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple((row["picture"], row["cover"], float(row["share"]), row["main"]) for row in rows)


def as_reflectance(pictures: LabelledPatches, dn_max: float = 2750.0) -> Floats:
    """EuroSAT's codes (n, y, x, RGB) as reflectance of B02, B03, B04 and an unmeasured B08."""
    out = np.full((*pictures.patches.shape[:3], 4), -1.0, np.float32)
    out[..., :3] = (pictures.patches[..., ::-1].astype(np.float32) - 1.0) * (dn_max / 254.0 / 10_000.0)
    return out
