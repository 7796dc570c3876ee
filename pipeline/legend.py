"""Legends: classes with code, label, colours and roles; what tiles and pixels carry that have no class."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from pipeline.errors import ModelError
from pipeline.palette import DARK, WHITE, distinct, ink


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


COVER_STATE_LABELS: dict[CoverState, str] = {
    CoverState.NO_DATA: "no data",
    CoverState.CLOUD: "cloud",
    CoverState.UNFAMILIAR: "unfamiliar",
}


class Role(StrEnum):
    """What a class is on the ground, whatever its name; a class may have several roles or none."""

    FIELD = "field"
    """Worked land that looks different every month: arable land, orchards, vineyards."""
    GRASS = "grass"
    """Meadows, pastures, herbs: green land that swaps names with fields and the season."""
    WOODY = "woody"
    """Trees and shrubs: what takes years to grow and a day to clear."""
    WETLAND = "wetland"
    """Land under water for a part of the year."""
    WATER = "water"
    """Open water."""
    SEALED = "sealed"
    """Ground under concrete, asphalt or roofs, which seldom turns green again."""
    BUILT = "built"
    """Sealed land with buildings on it."""
    BARE = "bare"
    """Rock, sand, open soil that is not worked."""
    SNOW = "snow"
    """Snow and ice."""


@dataclass(frozen=True, slots=True)
class LandCoverClass:
    """One class of a legend.

    Raises:
        ValueError: a role is none of `Role`.
    """

    label: str
    """Its name in tables and files."""
    title: str
    """Its name for people."""
    short: str
    """The title where space is short, at most about 12 characters."""
    letters: str
    """Two or three letters that are drawn inside a tile."""
    colour: str
    """What fills a tile, such as "#0b5410"."""
    ink: str
    """What is written on that colour."""
    roles: tuple[Role, ...] = ()
    """What it is on the ground; without roles the change model treats it as ordinary land."""

    def __post_init__(self) -> None:
        """Takes roles as they stand in a card, too."""
        object.__setattr__(self, "roles", tuple(Role(role) for role in self.roles))


@dataclass(frozen=True, slots=True)
class Legend:
    """The classes in the order of the model's outputs.

    Raises:
        ModelError: a class has no label, the label of another class, or that of a state.
    """

    name: str
    """Its name in cards and messages."""
    classes: tuple[LandCoverClass, ...]
    """The classes; a class's place is its code."""

    def __post_init__(self) -> None:
        """Refuses labels that could not be told from others in a table."""
        states = {*STATE_LABELS.values(), *COVER_STATE_LABELS.values()}
        for at, label in enumerate(self.labels):
            if not label.strip() or label in self.labels[:at]:
                raise ModelError(f"legend {self.name}: {label!r} names more than one class or none; rename it")
            if label.strip().lower() in states:
                raise ModelError(
                    f"legend {self.name}: {label!r} is what tables call a tile without a class; rename the class"
                )

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in code order."""
        return tuple(entry.label for entry in self.classes)

    def label(self, code: int) -> str:
        """The label of a class code or tile state.

        >>> EUROSAT.label(1), EUROSAT.label(-2)
        ('Forest', 'cloud')
        """
        return self.classes[code].label if code >= 0 else STATE_LABELS[TileState(code)]

    def having(self, *roles: Role) -> frozenset[str]:
        """The labels of all classes that have at least one of the roles.

        >>> sorted(EUROSAT.having(Role.WATER))
        ['River', 'SeaLake']
        """
        return frozenset(entry.label for entry in self.classes if set(roles) & set(entry.roles))


def make_legend(
    name: str,
    labels: Sequence[str],
    roles: Mapping[str, Sequence[Role]] | None = None,
    titles: Mapping[str, str] | None = None,
) -> Legend:
    """A legend for any labels, in distinct colours and with letters of their own.

    Args:
        name: its name.
        labels: the classes in the order of the model's outputs.
        roles: what classes are on the ground, by label; classes may be left out.
        titles: names for people, by label; those left out are made from the label.

    Raises:
        ModelError: the labels make no legend, or roles or titles name classes that are not there.

    >>> legend = make_legend("coast", ["SandDune", "salt_marsh", "Sea"], {"Sea": [Role.WATER]})
    >>> [(entry.title, entry.letters) for entry in legend.classes]
    [('Sand dune', 'SD'), ('Salt marsh', 'SM'), ('Sea', 'SE')]
    """
    roles, titles = roles or {}, titles or {}
    if strange := sorted({*roles, *titles} - set(labels)):
        raise ModelError(f"legend {name}: it has no class {', '.join(strange)}; name its own classes")
    entries = []
    letters: set[str] = set()
    for label, colour in zip(labels, distinct(len(labels)), strict=True):
        title = titles.get(label) or _title(label)
        letters.add(short := _letters(title, letters))
        entries.append(
            LandCoverClass(label, title, title[:12].rstrip(), short, colour, ink(colour), tuple(roles.get(label, ())))
        )
    return Legend(name, tuple(entries))


def known_legend(labels: Sequence[str]) -> Legend | None:
    """The legend of this package with exactly these labels in this order.

    >>> known_legend(["Forest", "River"]) is None
    True
    """
    return next((legend for legend in (EUROSAT, UC_MERCED, COVER) if legend.labels == tuple(labels)), None)


def _title(label: str) -> str:
    """Words from a label: at capitals, underscores and hyphens."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\-\s]+", " ", label).split()
    spelled = [word if word.isupper() and len(word) > 1 else word.lower() for word in words]
    first = spelled[0] if spelled else label
    return " ".join([first[:1].upper() + first[1:], *spelled[1:]])


def _letters(title: str, taken: set[str]) -> str:
    """Two letters that no other class has: of the first words, else the first and a later one, else a number."""
    words = [word for word in re.split(r"\W+", title.upper()) if word]
    spelled = "".join(words) or "X"
    choices = [words[0][0] + words[1][0]] if len(words) > 1 else []
    choices += [spelled[0] + later for later in spelled[1:]]
    choices += [f"{spelled[0]}{number}" for number in range(1, 1000)]
    return next(choice for choice in choices if choice not in taken)


_FIELD, _GRASS, _WOODY, _WATER, _SEALED, _BARE = Role.FIELD, Role.GRASS, Role.WOODY, Role.WATER, Role.SEALED, Role.BARE
_BUILT = (Role.SEALED, Role.BUILT)

# Colours: smallest CIEDE2000 between any two is 18.6 for normal vision and at least 9.7 for protan, deutan and
# tritan dichromats; each stays near its CORINE or WorldCover relative.
EUROSAT = Legend(
    "eurosat",
    (
        LandCoverClass("AnnualCrop", "Annual crop", "Annual crop", "AC", "#e9d33f", DARK, (_FIELD,)),
        LandCoverClass("Forest", "Forest", "Forest", "FO", "#0b5410", WHITE, (_WOODY,)),
        LandCoverClass("HerbaceousVegetation", "Herbaceous vegetation", "Herbaceous", "HV", "#a3a061", DARK, (_GRASS,)),
        LandCoverClass("Highway", "Highway", "Highway", "HW", "#5c5c5c", WHITE, (_SEALED,)),
        LandCoverClass("Industrial", "Industrial", "Industrial", "IN", "#936fd3", DARK, _BUILT),
        LandCoverClass("Pasture", "Pasture", "Pasture", "PA", "#9fe994", DARK, (_GRASS,)),
        LandCoverClass("PermanentCrop", "Permanent crop", "Perm. crop", "PC", "#e8750f", DARK, (_FIELD,)),
        LandCoverClass("Residential", "Residential", "Residential", "RE", "#d00c37", WHITE, _BUILT),
        LandCoverClass("River", "River", "River", "RI", "#6ac0f6", DARK, (_WATER,)),
        LandCoverClass("SeaLake", "Sea or lake", "Sea / lake", "SL", "#2b55c0", WHITE, (_WATER,)),
    ),
)

# Colours near Dynamic World's (Brown et al. 2022), moved apart: smallest CIEDE2000 between any two is 21.1 for normal
# vision and 11.1 for dichromats.
COVER = Legend(
    "cover",
    (
        LandCoverClass("water", "Water", "Water", "WA", "#00b8ff", DARK, (_WATER,)),
        LandCoverClass("trees", "Trees", "Trees", "TR", "#007249", WHITE, (_WOODY,)),
        LandCoverClass("grass", "Grass", "Grass", "GR", "#86ae69", DARK, (_GRASS,)),
        LandCoverClass("flooded", "Flooded vegetation", "Flooded", "FL", "#8e7cc4", DARK, (Role.WETLAND,)),
        LandCoverClass("crops", "Crops", "Crops", "CR", "#da8400", DARK, (_FIELD,)),
        LandCoverClass("shrub", "Shrub and scrub", "Shrub", "SH", "#ffd424", DARK, (_WOODY,)),
        LandCoverClass("built", "Built-up", "Built-up", "BU", "#bc3215", WHITE, _BUILT),
        LandCoverClass("bare", "Bare ground", "Bare", "BA", "#bdb2a3", DARK, (_BARE,)),
        LandCoverClass("snow", "Snow and ice", "Snow, ice", "SN", "#efecff", DARK, (Role.SNOW,)),
    ),
)

# The colours of `palette.distinct(21)`, each given to the class that it suits best.
UC_MERCED = Legend(
    "ucmerced",
    (
        LandCoverClass("agricultural", "Agricultural", "Agricultural", "AG", "#e9d33f", DARK, (_FIELD,)),
        LandCoverClass("airplane", "Airplane", "Airplane", "AI", "#00dfff", DARK, (_SEALED,)),
        LandCoverClass("baseballdiamond", "Baseball diamond", "Baseball", "BD", "#9f6000", WHITE, (_GRASS, _BARE)),
        LandCoverClass("beach", "Beach", "Beach", "BE", "#bfdfbf", DARK, (_BARE,)),
        LandCoverClass("buildings", "Buildings", "Buildings", "BU", "#df0000", WHITE, _BUILT),
        LandCoverClass("chaparral", "Chaparral", "Chaparral", "CH", "#809f00", DARK, (_WOODY,)),
        LandCoverClass("denseresidential", "Dense residential", "Dense res.", "DR", "#800060", WHITE, _BUILT),
        LandCoverClass("forest", "Forest", "Forest", "FO", "#404000", WHITE, (_WOODY,)),
        LandCoverClass("freeway", "Freeway", "Freeway", "FR", "#006060", WHITE, (_SEALED,)),
        LandCoverClass("golfcourse", "Golf course", "Golf course", "GC", "#00ff20", DARK, (_GRASS,)),
        LandCoverClass("harbor", "Harbor", "Harbor", "HA", "#4080ff", DARK, ()),
        LandCoverClass("intersection", "Intersection", "Intersection", "IN", "#9f9f9f", DARK, (_SEALED,)),
        LandCoverClass("mediumresidential", "Medium residential", "Medium res.", "MR", "#bf8080", DARK, _BUILT),
        LandCoverClass("mobilehomepark", "Mobile home park", "Mobile homes", "MH", "#df009f", WHITE, _BUILT),
        LandCoverClass("overpass", "Overpass", "Overpass", "OV", "#0000bf", WHITE, (_SEALED,)),
        LandCoverClass("parkinglot", "Parking lot", "Parking lot", "PL", "#ffbfff", DARK, (_SEALED,)),
        LandCoverClass("river", "River", "River", "RI", "#209f9f", DARK, (_WATER,)),
        LandCoverClass("runway", "Runway", "Runway", "RU", "#604040", WHITE, (_SEALED,)),
        LandCoverClass("sparseresidential", "Sparse residential", "Sparse res.", "SR", "#ff9f60", DARK, _BUILT),
        LandCoverClass("storagetanks", "Storage tanks", "Tanks", "ST", "#9f80bf", DARK, _BUILT),
        LandCoverClass("tenniscourt", "Tennis court", "Tennis court", "TC", "#009f60", DARK, (_SEALED,)),
    ),
)
