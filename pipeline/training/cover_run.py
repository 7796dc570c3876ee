"""What `python -m pipeline train-cover` does: scenes and truth, network, model folder."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.datasets.masks import COVERS, IGNORED, Truth, read_truth, split_places
from pipeline.errors import ModelError
from pipeline.evaluation.cover import CoverScore
from pipeline.evaluation.cover_report import CoverReport, write_cover_report
from pipeline.legend import COVER, Legend
from pipeline.models.card import ModelCard
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import Level, ReadOptions, Scene
from pipeline.training.cover import CoverOptions, FittedNetwork, fit, probabilities
from pipeline.training.cover_batches import CropMaker, Mixture
from pipeline.training.cover_pictures import PictureSources, PictureTruth, read_pictures
from pipeline.training.cover_scores import Watched, fitting, recoded
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
    pictures: PictureSources = field(default_factory=PictureSources)
    """Pictures of one class each, as weak truth."""
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
    seen = {truth.classes[code] for truth in learnt for code in np.unique(truth.codes) if code != IGNORED}
    every = truths[0].classes
    covers = tuple(name for name in every if name in seen and name not in request.leave_out)
    if len(covers) < 2:
        raise ModelError(f"only {', '.join(covers) or 'nothing'} is left to learn; give truth of two classes at least")
    pictures = read_pictures(request.pictures, covers)
    mixture = request.mixture
    if pictures.soft is None and pictures.weak is None:
        mixture = replace(mixture, scenes=mixture.scenes + mixture.soft + mixture.weak)
    own = [with_covers(one, covers) for one in learnt]
    crops = CropMaker(covers, mixture, own, pictures.soft, pictures.weak, surface_line())
    places = sorted({truth.place for truth in held_out})
    progress(f"{len(learnt)} scenes to learn from, {', '.join(places)} held out; {', '.join(covers)}")
    known = [with_covers(one, covers) for one in held_out]
    fitted = fit(request.options, crops, len(BANDS), progress, Watched(covers, known, pictures.left_out))
    drawn = mixture.scenes + (mixture.soft if pictures.soft else 0) + (mixture.weak if pictures.weak else 0)
    trained_on = {
        "scenes": sorted(truth.scene for truth in learnt),
        "truth": request.truth.name,
        "pictures": _named(request.pictures),
        "held_out": places,
        "steps": request.options.steps,
        "batch": drawn,
        "size": mixture.size,
        "seed": request.options.seed,
        "start": request.options.start,
    }
    place = request.folder / request.name
    order = CoverShipment(request.name, place, cover_legend(covers), known, lines, trained_on)
    card, scores = ship_cover(fitted.network, order)
    _report(place / "report", card, scores, fitted, pictures)
    return FittedCover(place, card, scores)


def _report(
    folder: Path, card: ModelCard, scores: Mapping[str, CoverScore], fitted: FittedNetwork, pictures: PictureTruth
) -> None:
    curve = [(sure, right, count) for sure, right, count in card.metrics["reliability"]]
    fits = [
        fitting(part, probabilities(fitted.network, part.patches).argmax(axis=-1), card.legend.labels)
        for part in pictures.left_out
    ]
    write_cover_report(folder, CoverReport(card.name, scores, curve, fitted.history, fits))


def _named(sources: PictureSources) -> dict[str, object]:
    """What was read of pictures, for the card."""
    paths = {"pictures": sources.pictures, "patches": sources.patches, "teacher": sources.teacher}
    told: dict[str, object] = {name: path.name for name, path in paths.items() if path is not None}
    return told | ({"split": [path.name for path in sources.split]} if sources.split else {})


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
