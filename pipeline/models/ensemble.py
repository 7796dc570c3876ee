"""Several answers as one: models that know the same classes, or one model that sees a patch in eight positions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction, TileClassifier

JOIN = "+"


@dataclass(frozen=True, slots=True)
class Ensemble:
    """The mean of the members' calibrated probabilities. A patch is unfamiliar where half of them or more say so."""

    members: tuple[TileClassifier, ...]
    """Classifiers of one legend and one input."""
    card: ModelCard
    """Their common card."""

    def judge(self, patches: npt.NDArray[Any]) -> Prediction:
        """The common answer for patches (n, size, size, bands)."""
        answers = [member.judge(patches) for member in self.members]
        doubts = np.sum([answer.unfamiliar for answer in answers], axis=0)
        return Prediction(_mean([answer.probabilities for answer in answers]), 2 * doubts >= len(answers))


@dataclass(frozen=True, slots=True)
class Eightfold:
    """A classifier whose probabilities are the mean of its answers to a patch's eight flips and quarter turns.

    Whether a patch is unfamiliar is told by the patch as it is.
    """

    member: TileClassifier
    """The classifier that is asked eight times."""

    @property
    def card(self) -> ModelCard:
        """The member's card."""
        return self.member.card

    def judge(self, patches: npt.NDArray[Any]) -> Prediction:
        """The mean answer for patches (n, size, size, bands)."""
        answers = [self.member.judge(np.ascontiguousarray(turned)) for turned in _positions(patches)]
        return Prediction(_mean([answer.probabilities for answer in answers]), answers[0].unfamiliar)


def joined_card(cards: Sequence[ModelCard]) -> ModelCard:
    """The card of an ensemble: its members' common legend and input, their names joined, their files' digests.

    Raises:
        ModelError: the members are of different kinds, legends or inputs.
    """
    first = cards[0]
    for other in cards[1:]:
        for name, ours, theirs in (
            ("kind", first.kind, other.kind),
            ("classes", first.legend.labels, other.legend.labels),
            ("input", first.input, other.input),
        ):
            if ours != theirs:
                raise ModelError(
                    f"{first.name} and {other.name} differ in their {name}; an ensemble takes models of one legend and "
                    f"one input"
                )
    names = [card.name for card in cards]
    if len(set(names)) < len(names):
        raise ModelError(f"{', '.join(names)}: a model counts once in an ensemble; name different ones")
    return ModelCard(
        JOIN.join(names),
        first.legend,
        first.input,
        first.kind,
        sha256={f"{card.name}/{file}": mark for card in cards for file, mark in card.sha256.items()},
        architecture=JOIN.join(card.architecture for card in cards),
        trained_on={card.name: card.trained_on for card in cards},
        metrics={card.name: card.metrics for card in cards},
    )


def _mean(probabilities: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.asarray(np.mean(probabilities, axis=0, dtype=np.float64), np.float32)


def _positions(patches: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """The patches (n, size, size, bands) as they are, and in their seven other positions."""
    for sides in (patches, patches[:, :, ::-1]):
        for turns in range(4):
            yield np.rot90(sides, turns, axes=(1, 2))
