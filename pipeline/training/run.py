"""What `python -m pipeline train` does: data, network, model folder."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.bands import RGB
from pipeline.datasets.folds import Look, description, fold_facts, look_folds
from pipeline.datasets.labelled import Asked, LabelledPatches, read_labelled, read_names
from pipeline.errors import ModelError
from pipeline.legend import Legend, known_legend, make_legend
from pipeline.models import networks
from pipeline.models.card import ModelCard
from pipeline.models.input import CODE, DN, REFLECTANCE, ModelInput
from pipeline.scenes.radiometry import Stretch, surface_to_top
from pipeline.scenes.scene import Level
from pipeline.training.fit import train
from pipeline.training.options import TrainOptions
from pipeline.training.ship import Shipment, ship

log = logging.getLogger(__name__)

SENTINEL_2, AERIAL = "sentinel-2", "aerial"
Split = tuple[Path, Path] | Look | None


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """A training run from data to a model folder."""

    data: Path
    """A zip or folder of class folders."""
    folder: Path
    """Takes `<name>/card.json` and the weights."""
    options: TrainOptions
    """Network, rounds, rates, augmentation."""
    name: str = "eurosat-resnet50"
    """The model's name."""
    split: Split = None
    """Lists of the training and the validation pictures, or a fold by look; None draws a fifth of each class."""
    patch_size: int = 64
    """Pixels along a side; other pictures are resampled."""
    bands: tuple[str, ...] | None = None
    """Bands of multispectral files; None for 8-bit RGB pictures."""
    sensor: str = SENTINEL_2
    """`sentinel-2`: 8-bit pictures are EuroSAT's codes; `aerial`: they are the camera's numbers."""
    gsd: float = 10.0
    """Metres per pixel of the patches."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A stored model and what it was made from and measured on."""

    folder: Path
    """Where it lies."""
    card: ModelCard
    """Its card."""
    training: LabelledPatches
    """What it was trained on."""
    validation: LabelledPatches
    """What chose its epoch, calibrated and measured it."""


def run(request: TrainRequest, progress: Callable[[str], None] = log.info, bar: bool = False) -> Trained:
    """Trains, calibrates, gates and stores a model; a killed run continues from `options.folder`.

    Raises:
        ModelError: bad data, an unknown architecture, or a loss that is not finite.
        OutputError: checkpoints or the model folder cannot be written.
    """
    networks.find(request.options.architecture)
    asked = Asked(size=request.patch_size, bands=request.bands)
    training, validation = read_split(request.data, request.split, request.options.seed, asked, progress)
    legend = legend_of(training.classes)
    progress(
        f"{len(training)} patches to train on, {len(validation)} to validate ({split_words(request.split)}), "
        f"{len(training.classes)} classes"
    )
    network = train(request.options, training, validation, progress, bar)
    place = request.folder / request.name
    order = Shipment(
        request.name,
        place,
        legend,
        input_of(request),
        training,
        validation,
        unlike(validation.patches),
        request.options.architecture,
        trained_on=_provenance(request, training),
    )
    return Trained(place, ship(network, order, progress), training, validation)


def input_of(request: TrainRequest) -> ModelInput:
    """What the trained network takes; surface reflectance is harmonised in the bands that were measured on pairs."""
    bands = request.bands or RGB
    aerial = request.sensor == AERIAL
    units = REFLECTANCE if request.bands else DN if aerial else CODE
    return ModelInput(
        request.sensor,
        bands,
        units,
        request.patch_size,
        request.gsd,
        Stretch() if units == CODE else None,
        {} if aerial else {Level.L2A.value: surface_to_top(bands)},
    )


def unlike(patches: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Patches for the gate where no other scenes are at hand: turned and darkened."""
    dark = patches // 2 + 1 if patches.dtype == np.uint8 else patches * np.float32(0.5)
    return np.ascontiguousarray(np.rot90(dark, axes=(1, 2)))


def _provenance(request: TrainRequest, training: LabelledPatches) -> dict[str, Any]:
    options = request.options
    return {
        "data": request.data.name,
        "n": len(training),
        "counts": dict(zip(training.classes, training.counts.tolist(), strict=True)),
        "split": split_words(request.split),
        "epochs": options.epochs,
        "frozen_epochs": options.frozen_epochs,
        "seed": options.seed,
        "weights": Path(options.weights).name,
        **({"teachers": [Path(name).name for name in options.teachers]} if options.teachers else {}),
    }


def split_words(split: Split) -> list[str] | str:
    """How a card tells the split: the lists' names, or words."""
    if isinstance(split, Look):
        return f"by look, fold {split.validates} of {split.folds} kept out"
    return [path.name for path in split] if split else "random fifth of each class"


def read_split(
    data: Path, split: Split, seed: int, asked: Asked | None = None, progress: Callable[[str], None] = log.info
) -> tuple[LabelledPatches, LabelledPatches]:
    """Training and validation patches, by two lists of names, by look, or by drawing a fifth of each class.

    Of folds by look `progress` hears how far each lies from the others.

    Raises:
        ModelError: the data or a list cannot be used, or a picture is in both lists.
    """
    asked = asked or Asked()
    if isinstance(split, tuple):
        return _listed(data, split, asked)
    whole = read_labelled(data, replace(asked, least=2))
    kept_out = _fifth(whole, seed) if split is None else _alike(whole, split, seed, progress)
    return whole.take(np.flatnonzero(~kept_out)), whole.take(np.flatnonzero(kept_out))


def _listed(data: Path, split: tuple[Path, Path], asked: Asked) -> tuple[LabelledPatches, LabelledPatches]:
    lists = [read_names(path) for path in split]
    first = read_labelled(data, replace(asked, only=lists[0], least=2))
    second = read_labelled(data, replace(asked, only=lists[1], classes=first.classes))
    both = set(zip(first.labels, first.names, strict=True)).intersection(zip(second.labels, second.names, strict=True))
    if both:
        raise ModelError(
            f"{split[1]}: {len(both)} pictures are also in {split[0].name} ({min(both)[1]} ...); give lists "
            f"without overlap"
        )
    return first, second


def _fifth(whole: LabelledPatches, seed: int) -> npt.NDArray[np.bool_]:
    """A fifth of each class, drawn."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(whole), np.bool_)
    for code in range(len(whole.classes)):
        members = np.flatnonzero(whole.labels == code)
        drawn[rng.permutation(members)[: max(1, len(members) // 5)]] = True
    return drawn


def _alike(whole: LabelledPatches, split: Look, seed: int, progress: Callable[[str], None]) -> npt.NDArray[np.bool_]:
    """The pictures of one fold by look."""
    if (least := int(whole.counts.min())) < 2 * split.folds:
        raise ModelError(
            f"a class has {least} pictures, too few for {split.folds} folds by look; give more pictures or fewer folds"
        )
    described = description(whole.patches)
    folds = look_folds(described, whole.labels, split.folds, seed)
    for number, fold in enumerate(fold_facts(described, whole.labels, folds), start=1):
        progress(
            f"fold {number} by look: {fold.pictures} pictures of {fold.classes} classes, {fold.distance:.2f} times as "
            f"far from the nearest of their class in the others as from each other"
        )
    return np.asarray(folds == split.validates - 1)


def legend_of(classes: tuple[str, ...]) -> Legend:
    """The known legend of these classes, or one made from their names.

    Raises:
        ModelError: a single class, or names that make no legend.
    """
    if len(classes) < 2:
        raise ModelError(
            f"{', '.join(classes)}: one class cannot be told from others; give a folder with a sub-folder for each "
            f"of at least two"
        )
    return known_legend(classes) or make_legend("custom", classes)
