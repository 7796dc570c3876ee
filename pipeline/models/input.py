"""What a network takes, and the one way from a scene's stored numbers to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.bands import RGB
from pipeline.errors import AmbiguousRadiometry, IncompleteScene, ModelError
from pipeline.scenes.radiometry import Harmonisation, Stretch, encode, reflectance
from pipeline.scenes.scene import ReadOptions, Scene

CODE, REFLECTANCE, DN = "code", "reflectance", "dn"
UNITS = (CODE, REFLECTANCE, DN)

# What models of pictures call their bands.
COLOURS = ("red", "green", "blue")

Pixels = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What a network takes: patches (size, size, bands) of one sensor's pixels. The tile grid follows from it.

    Raises:
        ModelError: it describes no input.
    """

    sensor: str = "sentinel-2"
    """Whose pixels: `sentinel-2`, or `aerial` for pictures from planes and drones."""
    bands: tuple[str, ...] = RGB
    """In the order of the network's channels."""
    units: str = CODE
    """`code` (uint8 through `stretch`), `reflectance` (float32, 0 and up) or `dn` (the uint8 numbers of the file)."""
    size: int = 64
    """Pixels along a side of a patch."""
    gsd: float = 10.0
    """Metres per pixel."""
    stretch: Stretch | None = None
    """How reflectance becomes codes; None for other units."""
    harmonisation: Mapping[str, Harmonisation] = field(default_factory=dict)
    """By processing level: the lines that move its reflectance to that of the level the model was trained on."""

    def __post_init__(self) -> None:
        wrong = (
            "no bands"
            if not self.bands
            else f"units {self.units!r}, which are none of {', '.join(UNITS)}"
            if self.units not in UNITS
            else f"{self.size} pixels of {self.gsd} m"
            if self.size < 1 or not self.gsd > 0
            else "codes without a stretch"
            if self.units == CODE and self.stretch is None
            else next(
                (
                    f"{len(line.scale)} lines of harmonisation for {len(self.bands)} bands"
                    for line in self.harmonisation.values()
                    if not len(line.scale) == len(line.offset) == len(self.bands)
                ),
                None,
            )
        )
        if wrong:
            raise ModelError(f"the card's input has {wrong}; correct the card or copy the model again")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The input as a card stores it.

        Raises:
            KeyError, TypeError: it is something else.
            ModelError: it describes no input.
        """
        stretch = data.get("stretch")
        lines = {
            level: Harmonisation(tuple(line["scale"]), tuple(line["offset"]))
            for level, line in data.get("harmonisation", {}).items()
        }
        told = {**data, "bands": tuple(data["bands"]), "harmonisation": lines}
        return cls(**{**told, "stretch": None if stretch is None else Stretch(**stretch)})

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and bands of a patch."""
        return self.size, self.size, len(self.bands)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a patch's numbers."""
        return np.dtype(np.float32 if self.units == REFLECTANCE else np.uint8)

    def reading(self, **told: Any) -> ReadOptions:  # noqa: ANN401 - the other fields of ReadOptions
        """How scenes are read for this input; `told` is what else the user decides."""
        return ReadOptions(required=self.bands, sensor=self.sensor, gsd=self.gsd, **told)


def network_input(pixels: Pixels, scene: Scene, taken: ModelInput) -> Pixels:
    """Stored numbers (band, y, x) of a scene's bands as what a network takes: the one way from a file to a model.

    The bands are in the input's order. What is not finite becomes the lowest code, and stays so in reflectance.

    Raises:
        IncompleteScene: the scene lacks a band.
        AmbiguousRadiometry: the model takes 8-bit numbers as they are, the scene's are others.
    """
    if missing := [band for band in taken.bands if band not in scene.assets]:
        raise IncompleteScene(lacking(scene, missing))
    if taken.units == DN:
        if pixels.dtype != np.uint8:
            raise AmbiguousRadiometry(
                f"{scene.id}: holds {pixels.dtype} numbers, the model takes 8-bit pictures as they are; convert it "
                f"with gdal_translate -ot Byte -scale"
            )
        return pixels
    assets = [scene.assets[band] for band in taken.bands]
    line = taken.harmonisation.get(scene.level.value)
    if taken.stretch is not None and taken.units == CODE:
        return encode(pixels, assets, taken.stretch, line)
    return reflectance(pixels, assets, line)


def true_colour(pixels: Pixels, taken: ModelInput) -> npt.NDArray[np.uint8]:
    """A picture (3, y, x) for people of what a network takes (band, y, x); grey without red, green and blue."""
    order = next(
        ([taken.bands.index(band) for band in names] for names in (RGB, COLOURS) if set(names) <= set(taken.bands)),
        [0, 0, 0],
    )
    chosen: Pixels = pixels[order]
    return chosen if taken.dtype == np.uint8 else Stretch().codes(np.nan_to_num(chosen, posinf=0.0, neginf=0.0))


def lacking(scene: Scene, missing: Sequence[str]) -> str:
    """What to say of a scene without the bands that a model needs."""
    there = ", ".join(scene.assets) or "none"
    return f"{scene.id}: lacks {', '.join(missing)} (it has {there}); add the files or choose a model that does without"
