"""What is assumed about change before a pixel is looked at, and when a change may be claimed."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.legend import Legend, Role

Array = npt.NDArray[np.float64]

# Roles of classes that swap names without the land changing: crop rotation, mowing and the season on one side, the
# size of buildings or of a water body within 640 m on the other.
SEASONAL = (Role.FIELD, Role.GRASS)
_CONFUSABLE = (SEASONAL, (Role.WATER,), (Role.SEALED,))

# A day, in years: dates that lie closer differ as much. At most half of all tiles change, however long it takes.
_SHORTEST, _MOST = 1.0 / 365.25, 0.5


class Expected(NamedTuple):
    """What is expected to change between two dates."""

    prior: Array
    """Share (n,) of tiles that change their class."""
    land_prior: Array
    """Share (n,) of tiles that change at all."""


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """The assumptions and the rules of evidence, all of them adjustable.

    `prior / class_share` of all tiles are expected to change in a year, and more between dates that lie further apart.
    A tile is `changed` when all rules of claiming hold, `stable` when p_change is at most `max_stable`.
    """

    prior: float = 0.01
    """Share of tiles whose class really changes in a year."""
    class_share: float = 0.2
    """Share of changed tiles (at least 5 % of the ground is different) whose class changes too."""
    prior_tiles: float = 100.0
    """How many tiles that expectation outweighs where a pair's classes show less change (see `table.cautious`)."""
    confusable: float = 0.4
    """Rate of swaps that rotation, season or a building's size explain, relative to an ordinary transition."""
    unsealing: float = 0.2
    """Rate of transitions from sealed ground, relative to an ordinary one."""
    afforestation: float = 0.4
    """Rate of transitions to woods, relative to an ordinary one."""
    drying: float = 0.4
    """Rate of transitions from water, relative to an ordinary one."""
    min_probability: float = 0.5
    """A claimed tile's p_change reaches this."""
    alone: float = 4.0
    """How many times `max_false_share` a claim may be false by itself: sure claims pay for no doubtful ones."""
    max_false_share: float = 0.05
    """The tiles claimed between the same two dates hold at most this share of false ones by expectation."""
    max_stable: float = 0.1
    """A stable tile's p_change is at most this."""
    min_mapping_unit: int = 1
    """At least so many touching tiles are claimed together."""
    claim_cross_level: bool = False
    """Whether pairs of two processing levels are claimed."""

    def __post_init__(self) -> None:
        """Checks that the assumptions are probabilities.

        Raises:
            ValueError: a share is no probability, or more tiles would change than there are.
        """
        for name in ("prior", "class_share", "min_probability", "max_false_share", "max_stable"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, it must lie within 0 and 1")
        if not 0.0 < self.prior <= 0.5 * self.class_share:
            raise ValueError(
                f"prior is {self.prior}, it must be above 0 and at most half of class_share ({self.class_share})"
            )

    @property
    def land_prior(self) -> float:
        """Share of tiles that are expected to change in a year, with or without their class."""
        return self.prior / self.class_share

    @property
    def least_probability(self) -> float:
        """What p_change of a claimed tile reaches, whatever the others'."""
        return max(self.min_probability, 1.0 - self.alone * self.max_false_share)

    def between(self, years: Array) -> Expected:
        """The shares of tiles that change over so many `years` (n,)."""
        land = np.minimum(1.0 - (1.0 - self.land_prior) ** np.maximum(years, _SHORTEST), _MOST)
        return Expected(land * self.class_share, land)


DEFAULTS = ChangeOptions()


def class_rates(legend: Legend, options: ChangeOptions) -> npt.NDArray[np.float64]:
    """Shares (classes, classes) of tiles of class i that become class j in a year; the diagonal is 0.

    What is damped follows from the classes' roles. The mean of the row sums is `options.prior`: classes that hardly
    ever change into another stay below it.
    """
    confusable = [_marks(legend, *roles) for roles in _CONFUSABLE]
    sealed, woody, water = (_marks(legend, role) for role in (Role.SEALED, Role.WOODY, Role.WATER))
    rates = np.ones((len(legend.classes), len(legend.classes)))
    rates[np.logical_or.reduce([np.outer(group, group) for group in confusable])] *= options.confusable
    rates[np.outer(sealed, ~sealed)] *= options.unsealing
    rates[:, woody] *= options.afforestation
    rates[np.outer(water, ~water)] *= options.drying
    np.fill_diagonal(rates, 0.0)
    return np.asarray(rates * (options.prior / rates.sum(axis=1).mean()))


def undamped(legend: Legend | None) -> str | None:
    """What a reader must know where classes carry no roles; None where all do."""
    without = [] if legend is None else [entry.label for entry in legend.classes if not entry.roles]
    if legend is not None and not without:
        return None
    named = "the classes'" if legend is None else f"{legend.name}'s {', '.join(without)}:"
    return (
        f"{named} roles are not known (field, water, sealed, ...), so a swap of names that season or rotation explain "
        f"is taken for a change there; store roles with the classes in the model's card"
    )


def _marks(legend: Legend, *roles: Role) -> npt.NDArray[np.bool_]:
    """Which classes (classes,) have one of the roles."""
    there = legend.having(*roles)
    return np.array([label in there for label in legend.labels], dtype=np.bool_)
