"""Several answers for every pixel as one: networks of the same classes, or one network that sees eight positions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.files import write_text
from pipeline.models.card import ModelCard
from pipeline.models.classifier import PixelClassifier
from pipeline.models.ensemble import JOIN

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PixelEnsemble:
    """The mean of several networks' calibrated probabilities, with a temperature of its own where one was fitted.

    The mean of networks that are each right about how sure they are is less sure than right.
    """

    members: tuple[PixelClassifier, ...]
    """Networks with the same classes and bands."""
    card: ModelCard
    """The first member's, with all their names and the ensemble's temperature."""

    @classmethod
    def of(cls, members: Sequence[PixelClassifier], temperature: float = 1.0) -> "PixelEnsemble":
        """The ensemble of networks that answer the same question.

        Raises:
            ModelError: their classes or their input differ.
        """
        first = members[0].card
        for member in members[1:]:
            if member.card.legend != first.legend or member.card.input != first.input:
                raise ModelError(f"{first.name} and {member.card.name}: differ in classes or input, no ensemble")
        digests = {f"{one.card.name}/{name}": mark for one in members for name, mark in one.card.sha256.items()}
        name = JOIN.join(one.card.name for one in members)
        return cls(tuple(members), replace(first, name=name, sha256=digests, temperature=temperature))

    @property
    def halo(self) -> int:
        """The widest margin of all members."""
        return max(member.halo for member in self.members)

    def predict(self, pixels: Floats) -> Floats:
        """Mean probabilities (y, x, classes) of reflectances (y, x, bands), at the ensemble's temperature."""
        total = self.members[0].predict(pixels).copy()
        for member in self.members[1:]:
            total += member.predict(pixels)
        mean: Floats = total / np.float32(len(self.members))
        return mean if self.card.temperature == 1.0 else tempered(mean, self.card.temperature)


@dataclass(frozen=True, slots=True)
class PixelEightfold:
    """The mean of a network's answers to a picture's eight flips and quarter turns, each turned back."""

    member: PixelClassifier
    """The network that is asked eight times."""

    @property
    def card(self) -> ModelCard:
        """The member's card."""
        return self.member.card

    @property
    def halo(self) -> int:
        """The member's margin."""
        return self.member.halo

    def predict(self, pixels: Floats) -> Floats:
        """Mean probabilities (y, x, classes) of reflectances (y, x, bands)."""
        answers = []
        for flipped in (False, True):
            side = pixels[:, ::-1] if flipped else pixels
            for turns in range(4):
                turned = np.rot90(self.member.predict(np.ascontiguousarray(np.rot90(side, turns))), -turns)
                answers.append(turned[:, ::-1] if flipped else turned)
        return np.asarray(np.mean(answers, axis=0, dtype=np.float64), np.float32)


def tempered(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities (..., classes) as if their logits had been divided by a temperature."""
    sharper = np.maximum(probabilities, np.float32(1e-9)) ** np.float32(1.0 / temperature)
    return np.asarray(sharper / sharper.sum(axis=-1, keepdims=True), np.float32)


def keep_temperature(card: ModelCard, temperature: float, folder: Path) -> Path:
    """Remembers an ensemble's temperature, for these very weights, beside the models.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = _place(card.name, folder)
    write_text(path, json.dumps({"temperature": temperature, "sha256": dict(card.sha256)}, indent=1) + "\n")
    return path


def kept_temperature(card: ModelCard, folder: Path) -> float:
    """What was remembered for an ensemble of these weights; 1 where nothing was.

    Raises:
        ModelError: the file is damaged, or tells of other weights.
    """
    path = _place(card.name, folder)
    if not path.is_file():
        return 1.0
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        temperature, marks = float(told["temperature"]), told["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: tells no temperature ({error}); remove it, or calibrate the ensemble again"
        ) from error
    if marks != dict(card.sha256):
        raise ModelError(f"{path}: was fitted to other weights; remove it, or calibrate the ensemble again")
    return temperature


def _place(name: str, folder: Path) -> Path:
    return folder / f"{name}.ensemble.json"
