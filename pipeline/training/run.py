"""What `python -m pipeline train` does: data, network, model folder."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.bands import RGB
from pipeline.errors import ModelError
from pipeline.legend import EUROSAT, LandCoverClass, Legend
from pipeline.models.card import ModelCard
from pipeline.models.pictures import LabelledPatches, read_labelled, read_names
from pipeline.scenes.radiometry import surface_to_top
from pipeline.scenes.scene import Level
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
    by the seed, validates. Pictures of another size than `patch_size` are resampled. `folder` takes `<name>/card.json`
    and the weights.
    """

    data: Path
    folder: Path
    options: TrainOptions
    name: str = "eurosat-resnet50"
    architecture: str = "resnet50"
    split: tuple[Path, Path] | None = None
    patch_size: int = 64


@dataclass(frozen=True, slots=True)
class Trained:
    """A stored model's folder, its card, and the patches that it was made from and measured on."""

    folder: Path
    card: ModelCard
    training: LabelledPatches
    validation: LabelledPatches


def run(request: TrainRequest, progress: Callable[[str], None] = log.info, bar: bool = False) -> Trained:
    """Trains, calibrates, gates and stores a model; a killed run continues from `options.folder`.

    Raises:
        ModelError: bad data, an unknown architecture, or a loss that is not finite.
        OutputError: checkpoints or the model folder cannot be written.
    """
    if request.architecture not in ARCHITECTURES:
        raise ModelError(f"{request.architecture}: no such architecture; choose one of {', '.join(ARCHITECTURES)}")
    training, validation = read_split(request.data, request.split, request.options.seed, request.patch_size)
    legend = legend_of(training.classes)
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
    place = request.folder / request.name
    # Pictures to learn from show what a satellite sees; surface products are moved there.
    lines = {Level.L2A.value: surface_to_top(RGB)}
    order = Shipment(request.name, place, legend, training, validation, elsewhere, lines, trained_on)
    return Trained(place, ship(network, order, progress), training, validation)


def read_split(
    data: Path, split: tuple[Path, Path] | None, seed: int, patch_size: int = 64
) -> tuple[LabelledPatches, LabelledPatches]:
    """Training and validation patches, by two lists of names or by drawing a fifth of each class.

    Raises:
        ModelError: the data or a list cannot be used, or a picture is in both lists.
    """
    if split is not None:
        lists = [read_names(path) for path in split]
        first = read_labelled(data, None, lists[0], patch_size, least=2)
        second = read_labelled(data, first.classes, lists[1], patch_size)
        both = set(zip(first.labels, first.names, strict=True)).intersection(
            zip(second.labels, second.names, strict=True)
        )
        if both:
            raise ModelError(
                f"{split[1]}: {len(both)} pictures are also in {split[0].name} ({min(both)[1]} ...); give lists "
                f"without overlap"
            )
        return first, second
    whole = read_labelled(data, patch_size=patch_size, least=2)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(whole), np.bool_)
    for code in range(len(whole.classes)):
        members = np.flatnonzero(whole.labels == code)
        drawn[rng.permutation(members)[: max(1, len(members) // 5)]] = True
    return whole.take(np.flatnonzero(~drawn)), whole.take(np.flatnonzero(drawn))


def legend_of(classes: tuple[str, ...]) -> Legend:
    """EuroSAT's legend, or one made from other classes' names.

    Raises:
        ModelError: a single class, or names that make no legend.
    """
    if classes == EUROSAT.labels:
        return EUROSAT
    if len(classes) < 2:
        raise ModelError(
            f"{', '.join(classes)}: one class cannot be told from others; give a folder with a sub-folder for each "
            f"of at least two"
        )
    entries = (
        LandCoverClass(
            label,
            label,
            label[:12],
            label[:2].upper(),
            COLOURS[i % len(COLOURS)],
            EUROSAT.classes[i % len(COLOURS)].ink,
        )
        for i, label in enumerate(classes)
    )
    return Legend("custom", tuple(entries))
