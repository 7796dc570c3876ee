"""Pictures of one class each as truth for a cover network: what their class, a teacher and other patches say."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from pipeline.datasets.labelled import Asked, LabelledPatches, read_labelled, read_names
from pipeline.datasets.masks import COVERS
from pipeline.datasets.weak import ClassCovers, as_reflectance
from pipeline.errors import ModelError
from pipeline.models.classifier import PixelClassifier
from pipeline.models.pixels import load_pixels
from pipeline.training.cover_batches import SoftPatches, WeakPatches
from pipeline.training.cover_infrared import Infrared
from pipeline.training.cover_ship import BANDS

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
# What a teacher gives at least to a cover that fits the patch's class: it never overrules the class.
_DOUBT = 0.02


@dataclass(frozen=True, slots=True)
class PictureSources:
    """Where pictures of one class each lie."""

    pictures: Path | None = None
    """A zip or folder of 8-bit RGB pictures by class, such as EuroSAT's."""
    patches: Path | None = None
    """A zip or folder of multispectral patches by class."""
    split: tuple[Path, Path] | None = None
    """Lists of the names to learn from and of those left out; without it all are learnt from."""
    teacher: Path | None = None
    """The folder of a stored cover network that names the pixels of the patches."""


@dataclass(frozen=True, slots=True)
class PictureTruth:
    """What pictures teach, and the ones that were left out."""

    soft: SoftPatches | None = None
    """Patches whose pixels a teacher named."""
    weak: WeakPatches | None = None
    """Pictures, or patches without a teacher."""
    left_out: tuple[LabelledPatches, ...] = ()
    """Reflectance in the bands of the network, negative where a band lacks; nothing was learnt from them."""


def read_pictures(sources: PictureSources, covers: tuple[str, ...]) -> PictureTruth:
    """Reads pictures and patches for a network that knows `covers`.

    Pictures get the infrared that they lack where patches tell of it.

    Raises:
        ModelError: a source cannot be read, a class has no covers, or the teacher knows others.
    """
    patches, patches_out = _parted(_patches(sources), sources.split)
    pictures, pictures_out = _parted(_pictures(sources), sources.split)
    soft, weak = None, None
    if patches is not None:
        said = ClassCovers.of(patches.classes, covers)
        if sources.teacher is not None:
            teacher = load_pixels(str(sources.teacher))
            soft = SoftPatches(_own(patches).patches, _taught(teacher, patches, said, covers), patches.labels)
        else:
            weak = WeakPatches(_own(patches).patches, patches.labels, said)
    if pictures is not None:
        said = ClassCovers.of(pictures.classes, covers)
        infrared = None if patches is None else _infrared(_own(patches), pictures.classes)
        weak = WeakPatches(pictures.patches.astype(np.float16), pictures.labels, said, infrared)
    left_out = tuple(_own(part) for part in (patches_out, pictures_out) if part is not None and len(part))
    return PictureTruth(soft, weak, left_out)


def _patches(sources: PictureSources) -> LabelledPatches | None:
    if sources.patches is None:
        return None
    bands: tuple[str, ...] = BANDS
    if sources.teacher is not None:
        wanted = load_pixels(str(sources.teacher)).card.input.bands
        bands = tuple(dict.fromkeys((*BANDS, *wanted)))
    return read_labelled(sources.patches, Asked(bands=bands))


def _pictures(sources: PictureSources) -> LabelledPatches | None:
    if sources.pictures is None:
        return None
    listed = sources.split and [name for path in sources.split for name in read_names(path)]
    found = read_labelled(sources.pictures, Asked(only=listed))
    return replace(found, patches=as_reflectance(found), bands=BANDS)


def _parted(
    found: LabelledPatches | None, split: tuple[Path, Path] | None
) -> tuple[LabelledPatches | None, LabelledPatches | None]:
    """The ones to learn from and the ones left out; lists name files of any type."""
    if found is None or split is None:
        return found, None
    learnt, out = ({PurePosixPath(name).stem for name in read_names(path)} for path in split)
    stems = [PurePosixPath(name).stem for name in found.names]
    chosen = np.array([stem in learnt for stem in stems])
    if not chosen.any():
        raise ModelError(f"{split[0]}: lists none of the {len(found)} pictures; give the list of this data set")
    kept = np.array([stem in out and stem not in learnt for stem in stems])
    return found.take(np.flatnonzero(chosen)), found.take(np.flatnonzero(kept))


def _own(patches: LabelledPatches) -> LabelledPatches:
    """The same patches in the bands of the network alone."""
    picked = [patches.bands.index(band) for band in BANDS]
    return replace(patches, patches=np.ascontiguousarray(patches.patches[..., picked]), bands=BANDS)


def _taught(teacher: PixelClassifier, patches: LabelledPatches, said: ClassCovers, covers: tuple[str, ...]) -> Floats:
    """A teacher's answers (n, y, x, covers), overruled where they leave what a patch's class may hold."""
    labels = teacher.card.legend.labels
    if unknown := set(labels) - set(COVERS):
        raise ModelError(f"{teacher.card.name}: knows {', '.join(sorted(unknown))}, which are no covers")
    picked = [patches.bands.index(band) for band in teacher.card.input.bands]
    halo, size = teacher.halo, patches.patches.shape[1]
    found = np.zeros((*patches.patches.shape[:3], len(covers)), np.float32)
    for at, pixels in enumerate(patches.patches[..., picked]):
        mirrored = np.pad(pixels, ((halo, halo), (halo, halo), (0, 0)), mode="symmetric")
        answer = teacher.predict(mirrored)[halo : halo + size, halo : halo + size]
        for code, label in enumerate(labels):
            if label in covers:
                found[at, ..., covers.index(label)] = answer[..., code]
    found = (found + _DOUBT) * said.fit[patches.labels][:, None, None]
    return np.asarray(found / found.sum(axis=-1, keepdims=True), np.float32)


def _infrared(patches: LabelledPatches, classes: tuple[str, ...]) -> Infrared:
    """What patches tell of the infrared of pictures, whose classes are told by name."""
    codes = np.array([classes.index(name) if name in classes else -1 for name in patches.classes])[patches.labels]
    found = Infrared.fitted(patches.patches[codes >= 0], codes[codes >= 0], len(classes))
    log.info("infrared of pictures: spread of patches %.2f, of pixels %.2f", found.whole, found.single)
    return found
