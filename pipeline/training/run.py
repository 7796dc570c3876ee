"""What `python -m pipeline train` does: data, network, model folder."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.bands import RGB
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
    split: tuple[Path, Path] | None = None
    """Lists of the training and the validation pictures; None draws a fifth of each class, by the seed."""
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
    training, validation = read_split(request.data, request.split, request.options.seed, asked)
    legend = legend_of(training.classes)
    progress(f"{len(training)} patches to train on, {len(validation)} to validate, {len(training.classes)} classes")
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
        "split": [path.name for path in request.split] if request.split else "random fifth of each class",
        "epochs": options.epochs,
        "frozen_epochs": options.frozen_epochs,
        "seed": options.seed,
        "weights": Path(options.weights).name,
    }


def read_split(
    data: Path, split: tuple[Path, Path] | None, seed: int, asked: Asked | None = None
) -> tuple[LabelledPatches, LabelledPatches]:
    """Training and validation patches, by two lists of names or by drawing a fifth of each class.

    Raises:
        ModelError: the data or a list cannot be used, or a picture is in both lists.
    """
    asked = asked or Asked()
    if split is not None:
        lists = [read_names(path) for path in split]
        first = read_labelled(data, replace(asked, only=lists[0], least=2))
        second = read_labelled(data, replace(asked, only=lists[1], classes=first.classes))
        both = set(zip(first.labels, first.names, strict=True)).intersection(
            zip(second.labels, second.names, strict=True)
        )
        if both:
            raise ModelError(
                f"{split[1]}: {len(both)} pictures are also in {split[0].name} ({min(both)[1]} ...); give lists "
                f"without overlap"
            )
        return first, second
    whole = read_labelled(data, replace(asked, least=2))
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(whole), np.bool_)
    for code in range(len(whole.classes)):
        members = np.flatnonzero(whole.labels == code)
        drawn[rng.permutation(members)[: max(1, len(members) // 5)]] = True
    return whole.take(np.flatnonzero(~drawn)), whole.take(np.flatnonzero(drawn))


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
