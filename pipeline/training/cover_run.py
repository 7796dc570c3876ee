"""What `python -m pipeline train-cover` does: scenes and truth, network, model folder."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.datasets.labelled import read_labelled
from pipeline.datasets.masks import COVERS, IGNORED, Truth, read_truth, split_places
from pipeline.datasets.weak import ClassCovers, as_reflectance
from pipeline.errors import ModelError
from pipeline.evaluation.cover import CoverScore
from pipeline.legend import COVER, Legend
from pipeline.models.card import ModelCard
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import Level, ReadOptions, Scene
from pipeline.training.cover import CoverOptions, fit
from pipeline.training.cover_batches import CropMaker, Mixture, WeakPatches
from pipeline.training.cover_scores import recoded
from pipeline.training.cover_ship import BANDS, CoverShipment, ship_cover, surface_line
from pipeline.training.run import legend_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CoverRequest:
    """A cover network from scenes and their truth to a model folder."""

    scenes: tuple[Path, ...]
    """Folders of scenes."""
    truth: Path
    """Masks or polygons: a file or a folder."""
    folder: Path
    """Takes `<name>/card.json` and the weights."""
    options: CoverOptions
    """How it is fitted."""
    name: str = "my-cover"
    """The model's name."""
    class_field: str = "class"
    """The polygons' field that names their class; "osm" reads OpenStreetMap's tags."""
    pictures: Path | None = None
    """Pictures of one class each, such as EuroSAT's zip, as weak truth."""
    held_out: tuple[str, ...] = ()
    """Places that measure the network; without names a fifth of them."""
    leave_out: tuple[str, ...] = ()
    """Classes that the network shall not know."""
    mixture: Mixture = field(default_factory=Mixture)
    """What a batch is made of."""


@dataclass(frozen=True, slots=True)
class FittedCover:
    """A stored cover network and how well it does on places that it never saw."""

    folder: Path
    """The model's folder."""
    card: ModelCard
    """Its card."""
    scores: dict[str, CoverScore]
    """By place."""


def run_cover(request: CoverRequest, progress: Callable[[str], None] = log.info) -> FittedCover:
    """Fits, calibrates, measures and stores a cover network; a killed run goes on from `options.folder`.

    Raises:
        ModelError: truth or pictures cannot be used, or the loss is not finite.
        OutputError: checkpoints or the model folder cannot be written.
    """
    lines = {Level.L2A.value: surface_line()}
    truths = read_truth(scenes_of(request.scenes), request.truth, BANDS, request.class_field, lines=lines)
    learnt, held_out = split_places(truths, request.held_out)
    pictures = read_labelled(request.pictures) if request.pictures else None
    seen = {truth.classes[code] for truth in learnt for code in np.unique(truth.codes) if code != IGNORED}
    every = truths[0].classes
    covers = tuple(name for name in every if name in seen and name not in request.leave_out)
    if len(covers) < 2:
        raise ModelError(f"only {', '.join(covers) or 'nothing'} is left to learn; give truth of two classes at least")
    weak = None
    if pictures is not None:
        said = ClassCovers.of(pictures.classes, covers)
        weak = WeakPatches(as_reflectance(pictures).astype(np.float16), pictures.labels, said)
    mixture = request.mixture if weak is not None else replace(request.mixture, scenes=16)
    crops = CropMaker(covers, mixture, [with_covers(one, covers) for one in learnt], None, weak, surface_line())
    places = sorted({truth.place for truth in held_out})
    progress(f"{len(learnt)} scenes to learn from, {', '.join(places)} held out; {', '.join(covers)}")
    network = fit(request.options, crops, len(BANDS), progress)
    trained_on = {
        "scenes": sorted(truth.scene for truth in learnt),
        "truth": request.truth.name,
        "pictures": request.pictures.name if request.pictures else None,
        "held_out": places,
        "steps": request.options.steps,
        "seed": request.options.seed,
    }
    known = [with_covers(one, covers) for one in held_out]
    place = request.folder / request.name
    card, scores = ship_cover(
        network, CoverShipment(request.name, place, cover_legend(covers), known, lines, trained_on)
    )
    return FittedCover(place, card, scores)


def scenes_of(folders: Sequence[Path], bands: Sequence[str] = BANDS) -> list[Scene]:
    """The scenes of several folders; what is none is left out with a word.

    Raises:
        NotAScene: a folder holds no scene.
    """
    found = []
    for folder in folders:
        for scene in find_scenes(folder, ReadOptions(required=tuple(bands))):
            if isinstance(scene, Scene):
                found.append(scene)
            else:
                log.warning("%s: left out, %s", scene.id, scene.reason)
    return found


def with_covers(truth: Truth, covers: Sequence[str]) -> Truth:
    """The same truth in the codes of `covers`; pixels of other classes are not known."""
    second = recoded(replace(truth, codes=truth.second), covers)
    return replace(truth, classes=tuple(covers), codes=recoded(truth, covers), second=second)


def cover_legend(covers: Sequence[str]) -> Legend:
    """The cover's own classes where these are some of them, else a legend of other names."""
    if set(covers) <= set(COVERS):
        return Legend(COVER.name, tuple(entry for entry in COVER.classes if entry.label in covers))
    return legend_of(tuple(covers))
