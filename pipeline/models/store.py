"""Stored models by name: find, verify, load with the fastest engine that passed the gate."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pipeline.errors import ModelError
from pipeline.files import digest
from pipeline.models import engines
from pipeline.models.card import COVER, TILE, ModelCard
from pipeline.models.classifier import TileClassifier
from pipeline.models.ensemble import Ensemble, joined_card
from pipeline.models.pixel_ensemble import kept_temperature
from pipeline.models.stored import StoredClassifier

FOLDER = Path(__file__).resolve().parents[2] / "saved_models"
DEFAULT = "eurosat-resnet50"
# The network that names every 10 m pixel.
DEFAULT_COVER = "cover-10m"
NO_COVER = "none"
AUTO = "auto"


class LoadedClassifier(TileClassifier, Protocol):
    """A classifier that says what runs it."""

    @property
    def engine(self) -> str:
        """For example "openvino-bf16"."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedEnsemble(Ensemble):
    """An ensemble that says what runs it."""

    engine: str
    """The members' engines, joined by commas."""


def names(folder: Path = FOLDER) -> tuple[str, ...]:
    """The models in a folder, sorted."""
    return tuple(sorted(path.parent.name for path in folder.glob("*/card.json")))


def locate(name: str, folder: Path = FOLDER) -> Path:
    """The folder of a model given by name or by path.

    Raises:
        ModelError: there is none.
    """
    for path in (folder / name, Path(name)):
        if (path / "card.json").is_file():
            return path
    raise ModelError(
        f"{name}: no such model in {folder} (there are: {', '.join(names(folder)) or 'none'}); name one of them or a "
        f"folder with a card.json"
    )


def members(name: str) -> tuple[str, ...]:
    """The models that a name means: one, or several with commas between them.

    >>> members("eurosat-resnet50")
    ('eurosat-resnet50',)
    >>> members("one, two")
    ('one', 'two')
    """
    return tuple(part.strip() for part in name.split(","))


def card(name: str, folder: Path = FOLDER, verified: bool = False) -> ModelCard:
    """The card of a model, or of an ensemble named `a,b`; `verified` compares the files with it first.

    Raises:
        ModelError: no such model, a file that differs from its digest, or models that make no ensemble.
    """
    places = [locate(part, folder) for part in members(name)]
    cards = [ModelCard.read(place / "card.json") for place in places]
    if verified:
        for one, place in zip(cards, places, strict=True):
            one.verify(place)
    if len(cards) == 1:
        return cards[0]
    joined = joined_card(cards)
    return replace(joined, temperature=kept_temperature(joined, folder)) if joined.kind == COVER else joined


def card_digest(name: str, folder: Path = FOLDER) -> str:
    """SHA-256 of a model's `card.json`; of an ensemble, that of its members' digests.

    Raises:
        ModelError: no such model.
    """
    marks = [digest(locate(part, folder) / "card.json") for part in members(name)]
    return marks[0] if len(marks) == 1 else hashlib.sha256("".join(marks).encode()).hexdigest()


def load(
    name: str = DEFAULT,
    engine: str = AUTO,
    threads: int | None = None,
    folder: Path = FOLDER,
    batch: int | None = None,
) -> LoadedClassifier:
    """The classifier of a verified model, or the ensemble of those named `a,b`.

    `engine` "auto" takes the fastest that passed the card's gate and runs on this machine; an engine's name without
    its precision ("openvino") the fastest of its kind. `batch` patches go through it at once: 1 answers single ones
    soonest, None suits many.

    Raises:
        ModelError: no such model or engine, a file differs from its digest, or the network differs from the card.
    """
    parts = members(name)
    if len(parts) > 1:
        joined = card(name, folder)
        loaded = [load(part, engine, threads, folder, batch) for part in parts]
        return LoadedEnsemble(tuple(loaded), joined, ", ".join(one.engine for one in loaded))
    place = locate(name, folder)
    told = ModelCard.read(place / "card.json")
    if told.kind != TILE:
        raise ModelError(f"{told.name}: answers for pixels (its kind is {told.kind}), not for tiles; choose another")
    told.verify(place)
    return StoredClassifier(told, place, choose_engine(told, engine), threads, batch)


def choose_engine(told: ModelCard, engine: str = AUTO) -> str:
    """The engine to use: the one asked for, or the first of the card's (fastest first) that this machine can run well.

    Raises:
        ModelError: the engine is unknown, the model has no such twin, or none of its engines runs here.
    """
    known = engines.names()
    if engine in known:
        if engine not in told.engines:
            raise ModelError(
                f"{told.name}: has no {engine} twin (there are: {', '.join(told.engines)}); choose another --engine"
            )
        return engine
    asked = known if engine == AUTO else [name for name in known if name.startswith(f"{engine}-")]
    if not asked:
        raise ModelError(f"{engine}: no such engine; choose one of {', '.join(choices())}")
    for candidate in told.engines:
        if candidate in asked and engines.available(candidate):
            return candidate
    raise ModelError(
        f"{told.name}: none of its engines ({', '.join(told.engines)}) runs here; install openvino or keras from "
        f"requirements.txt"
    )


def choices() -> Sequence[str]:
    """What `--engine` takes."""
    known = engines.names()
    return [AUTO, *sorted({*known, *(name.partition("-")[0] for name in known)})]
