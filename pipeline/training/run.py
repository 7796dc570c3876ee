"""What `python -m pipeline train` does: data, network, model folder."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ModelError
from pipeline.legend import EUROSAT, LandCoverClass, Legend
from pipeline.models.card import ModelCard
from pipeline.models.pictures import LabelledPatches, folders, read_labelled, read_names
from pipeline.training.fit import train
from pipeline.training.options import TrainOptions
from pipeline.training.ship import Shipment, ship

log = logging.getLogger(__name__)

ARCHITECTURES = ("resnet50",)
# For classes that are not EuroSAT's; they repeat from the eleventh on.
COLOURS = tuple(entry.colour for entry in EUROSAT.classes)


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """A training run from data to a model folder.

    `split` names two files that list the training and the validation pictures; without it a fifth of each class, drawn
    by the seed, validates. `folder` takes `<name>/card.json` and the weights.
    """

    data: Path
    folder: Path
    options: TrainOptions
    name: str = "eurosat-resnet50"
    architecture: str = "resnet50"
    split: tuple[Path, Path] | None = None


def run(request: TrainRequest, progress: Callable[[str], None] = log.info, bar: bool = False) -> ModelCard:
    """Trains, calibrates, gates and stores a model; a killed run continues from `options.folder`.

    Raises:
        ModelError: bad data, an unknown architecture, or a loss that is not finite.
        OutputError: checkpoints or the model folder cannot be written.
    """
    if request.architecture not in ARCHITECTURES:
        raise ModelError(f"{request.architecture}: no such architecture; choose one of {', '.join(ARCHITECTURES)}")
    training, validation = read_split(request.data, request.split, request.options.seed)
    progress(f"{len(training)} patches to train on, {len(validation)} to validate, {len(training.classes)} classes")
    network = train(request.options, training, validation, progress, bar)
    trained_on = {
        "data": request.data.name,
        "n": len(training),
        "counts": dict(zip(training.classes, training.counts.tolist(), strict=True)),
        "split": [path.name for path in request.split] if request.split else "random fifth of each class",
        "epochs": request.options.epochs,
        "seed": request.options.seed,
        "weights": Path(request.options.weights).name,
    }
    # Without scenes at hand the gate's other patches are the validation's, turned and darkened.
    elsewhere = np.ascontiguousarray(np.rot90(validation.patches // 2 + 1, axes=(1, 2)))
    order = Shipment(request.name, request.folder / request.name, legend_of(training.classes), training, validation, elsewhere, trained_on=trained_on)
    return ship(network, order, progress)


def read_split(data: Path, split: tuple[Path, Path] | None, seed: int) -> tuple[LabelledPatches, LabelledPatches]:
    """Training and validation patches, by two lists of names or by drawing a fifth of each class.

    Raises:
        ModelError: the data or a list cannot be used, or a picture is in both lists.
    """
    if split is not None:
        lists = [read_names(path) for path in split]
        both = set(lists[0]).intersection(lists[1])
        if both:
            raise ModelError(f"{split[1]}: {len(both)} pictures are also in {split[0].name} ({min(both)} ...); give lists without overlap")
        classes = known_classes(data)
        first, second = (read_labelled(data, classes, names) for names in lists)
        return first, second
    whole = read_labelled(data, known_classes(data))
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(whole), np.bool_)
    for code in range(len(whole.classes)):
        members = np.flatnonzero(whole.labels == code)
        drawn[rng.permutation(members)[: max(1, len(members) // 5)]] = True
    return whole.take(np.flatnonzero(~drawn)), whole.take(np.flatnonzero(drawn))


def known_classes(data: Path) -> tuple[str, ...] | None:
    """EuroSAT's labels in legend order where the data has its folders; None lets the folders decide."""
    return EUROSAT.labels if set(EUROSAT.labels) <= folders(data) else None


def legend_of(classes: tuple[str, ...]) -> Legend:
    """EuroSAT's legend, or one made from other classes' names."""
    if classes == EUROSAT.labels:
        return EUROSAT
    entries = (
        LandCoverClass(label, label, label[:12], label[:2].upper(), COLOURS[i % len(COLOURS)], EUROSAT.classes[i % len(COLOURS)].ink)
        for i, label in enumerate(classes)
    )
    return Legend("custom", tuple(entries))
