"""Stored models by name: find, verify, load with the fastest engine that passed the gate."""

import importlib.util
from pathlib import Path
from typing import Protocol

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Classifier

FOLDER = Path(__file__).resolve().parents[2] / "saved_models"
DEFAULT = "eurosat-resnet50"
ENGINES = ("auto", "openvino-int8", "openvino-bf16", "openvino-f32", "keras")


class Engine(Classifier, Protocol):
    """A classifier that says what runs it."""

    @property
    def engine(self) -> str:
        """For example "openvino-bf16"."""
        ...


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


def card(name: str, folder: Path = FOLDER) -> ModelCard:
    """The card of a model, its files not yet verified."""
    return ModelCard.read(locate(name, folder) / "card.json")


def load(name: str = DEFAULT, engine: str = "auto", threads: int | None = None, folder: Path = FOLDER) -> Engine:
    """The classifier of a verified model.

    `engine` "auto" takes the fastest that passed the card's gate and runs on this machine; "openvino" the fastest of
    OpenVINO's.

    Raises:
        ModelError: no such model or engine, a file differs from its digest, or the network differs from the card.
    """
    place = locate(name, folder)
    found = ModelCard.read(place / "card.json")
    found.verify(place)
    chosen = choose_engine(found, engine)
    if chosen == "keras":
        from pipeline.models.engines.keras import KerasClassifier

        return KerasClassifier(found, place)
    if "margin" in found.engines[chosen]:
        from pipeline.models.engines.checked import CheckedClassifier

        return CheckedClassifier(found, place, chosen, threads)
    from pipeline.models.engines.openvino import OpenVinoClassifier

    return OpenVinoClassifier(
        found, place, place / found.engines[chosen]["file"], chosen.removeprefix("openvino-"), threads
    )


def choose_engine(found: ModelCard, engine: str = "auto") -> str:
    """The engine to use: the one asked for, or the first of the card's (fastest first) that this machine can run well.

    Raises:
        ModelError: the engine is unknown, or the model has no such twin.
    """
    if engine not in (*ENGINES, "openvino"):
        raise ModelError(f"{engine}: no such engine; choose one of {', '.join((*ENGINES, 'openvino'))}")
    openvino_there = importlib.util.find_spec("openvino") is not None
    if engine not in ("auto", "openvino"):
        if engine not in found.engines:
            raise ModelError(
                f"{found.name}: has no {engine} twin (there are: {', '.join(found.engines)}); choose another --engine"
            )
        return engine
    for candidate in found.engines:
        if candidate == "keras" and engine == "auto":
            return candidate
        if not openvino_there or candidate == "keras":
            continue
        if candidate == "openvino-int8":
            from pipeline.models.engines.checked import supports_vnni

            if not supports_vnni():
                continue
        if candidate == "openvino-bf16":
            from pipeline.models.engines.openvino import supports_bf16

            if not supports_bf16():
                continue
        return candidate
    raise ModelError(
        f"{found.name}: none of its engines ({', '.join(found.engines)}) runs here; install openvino or keras from "
        f"requirements.txt"
    )
