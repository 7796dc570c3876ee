"""The legend: classes with code, label and colours."""

from dataclasses import dataclass
from enum import IntEnum


class TileState(IntEnum):
    """Codes of tiles that carry no class; classes count from 0."""

    NO_DATA = -1
    CLOUD = -2
    UNCLASSIFIED = -3


STATE_LABELS: dict[TileState, str] = {
    TileState.NO_DATA: "no data",
    TileState.CLOUD: "cloud",
    TileState.UNCLASSIFIED: "unclassified",
}


class CoverState(IntEnum):
    """Codes of pixels of the cover that carry no class; classes count from 0."""

    NO_DATA = 255
    CLOUD = 254
    UNFAMILIAR = 253


@dataclass(frozen=True, slots=True)
class LandCoverClass:
    """One class: `label` names it in tables, `title` and `short` on the page, `letters` inside a tile.

    `colour` fills a tile, `ink` writes on that colour.
    """

    label: str
    title: str
    short: str
    letters: str
    colour: str
    ink: str


@dataclass(frozen=True, slots=True)
class Legend:
    """The classes in the order of the model's outputs."""

    name: str
    classes: tuple[LandCoverClass, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in code order."""
        return tuple(entry.label for entry in self.classes)

    def label(self, code: int) -> str:
        """The label of a class code or tile state."""
        return self.classes[code].label if code >= 0 else STATE_LABELS[TileState(code)]


_DARK, _WHITE = "#1b1f24", "#ffffff"

# Colours: smallest CIEDE2000 between any two is 18.6 for normal vision and at least 9.7 for protan, deutan and
# tritan dichromats; each stays near its CORINE or WorldCover relative.
EUROSAT = Legend(
    "eurosat",
    (
        LandCoverClass("AnnualCrop", "Annual crop", "Annual crop", "AC", "#e9d33f", _DARK),
        LandCoverClass("Forest", "Forest", "Forest", "FO", "#0b5410", _WHITE),
        LandCoverClass("HerbaceousVegetation", "Herbaceous vegetation", "Herbaceous", "HV", "#a3a061", _DARK),
        LandCoverClass("Highway", "Highway", "Highway", "HW", "#5c5c5c", _WHITE),
        LandCoverClass("Industrial", "Industrial", "Industrial", "IN", "#936fd3", _DARK),
        LandCoverClass("Pasture", "Pasture", "Pasture", "PA", "#9fe994", _DARK),
        LandCoverClass("PermanentCrop", "Permanent crop", "Perm. crop", "PC", "#e8750f", _DARK),
        LandCoverClass("Residential", "Residential", "Residential", "RE", "#d00c37", _WHITE),
        LandCoverClass("River", "River", "River", "RI", "#6ac0f6", _DARK),
        LandCoverClass("SeaLake", "Sea or lake", "Sea / lake", "SL", "#2b55c0", _WHITE),
    ),
)

COVER = Legend(
    "cover",
    (
        LandCoverClass("water", "Water", "Water", "WA", "#00b8ff", _DARK),
        LandCoverClass("trees", "Trees", "Trees", "TR", "#007249", _WHITE),
        LandCoverClass("grass", "Grass", "Grass", "GR", "#86ae69", _DARK),
        LandCoverClass("flooded", "Flooded vegetation", "Flooded", "FL", "#8e7cc4", _DARK),
        LandCoverClass("crops", "Crops", "Crops", "CR", "#da8400", _DARK),
        LandCoverClass("shrub", "Shrub and scrub", "Shrub", "SH", "#ffd424", _DARK),
        LandCoverClass("built", "Built-up", "Built-up", "BU", "#bc3215", _WHITE),
        LandCoverClass("bare", "Bare ground", "Bare", "BA", "#bdb2a3", _DARK),
        LandCoverClass("snow", "Snow and ice", "Snow, ice", "SN", "#efecff", _DARK),
    ),
)
