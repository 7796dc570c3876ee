"""Labelled patches: EuroSAT's zips, UC Merced's, or any folder of class sub-folders."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.bands import RGB
from pipeline.datasets import pictures, spectral
from pipeline.datasets.source import Source
from pipeline.errors import ModelError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LabelledPatches:
    """Patches with their classes, in the order of classes and names."""

    classes: tuple[str, ...]
    """Labels by class index."""
    patches: npt.NDArray[Any]
    """(n, y, x, band): uint8 RGB of pictures, float32 reflectance of multispectral data."""
    labels: npt.NDArray[np.int64]
    """Class indices (n,)."""
    names: tuple[str, ...]
    """File names."""
    bands: tuple[str, ...] = RGB
    """The bands in the order of the last axis."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Patches of each class."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def take(self, index: npt.NDArray[np.integer]) -> Self:
        """The patches at `index`, in that order."""
        names = tuple(self.names[i] for i in index)
        return type(self)(self.classes, self.patches[index], self.labels[index], names, self.bands)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is read of a data set."""

    classes: tuple[str, ...] | None = None
    """Labels in the order wanted; None for the folders found, sorted."""
    only: Sequence[str] | None = None
    """Pictures to keep, listed as `name` or `class/name`; None for all."""
    size: int = 64
    """Pixels along a side of a patch; other pictures are resampled."""
    bands: tuple[str, ...] | None = None
    """Bands of multispectral files, as reflectance; None for 8-bit RGB pictures."""
    least: int = 0
    """Pictures that each class must have."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a data set holds, before any pixel is read."""

    classes: tuple[str, ...]
    """Labels by class index."""
    entries: tuple[tuple[int, str, str], ...]
    """Class index, file name and path within the source, sorted."""


def read_labelled(source: Path, asked: Asked | None = None) -> LabelledPatches:
    """All pictures of a zip or folder whose parent folder names their class.

    Folders of other names than the classes asked for are left out with a warning. Pictures of another size are cut to
    a square and resampled, with a warning.

    Raises:
        ModelError: nothing usable is there, a picture is unreadable or lacks a band, a class has too few pictures, or
            a listed name is missing.
    """
    asked = asked or Asked()
    with Source(source) as files:
        found = listing(source, files, asked)
        bands = asked.bands or RGB
        shape = (len(found.entries), asked.size, asked.size, len(bands))
        patches, resampled = np.empty(shape, np.float32 if asked.bands else np.uint8), 0
        for position, (_, _, path) in enumerate(found.entries):
            data, where = files.read(path), f"{source}/{path}"
            if asked.bands:
                pixels = spectral.reflectance(spectral.planes(data, where), bands, where)
                same = pixels.shape[:2] == shape[1:3]
                patches[position] = pixels if same else resized(pixels, asked.size)
            else:
                picture = pictures.decode(data, where)
                same = picture.shape == shape[1:]
                patches[position] = pictures.fitted(picture, asked.size)
            resampled += not same
    if resampled:
        log.warning(
            "%s: %d of %d pictures are not %dx%d pixels and were resampled",
            source,
            resampled,
            len(found.entries),
            asked.size,
            asked.size,
        )
    labels = np.array([code for code, _, _ in found.entries], np.int64)
    return LabelledPatches(found.classes, patches, labels, tuple(name for _, name, _ in found.entries), bands)


def listing(source: Path, files: Source, asked: Asked) -> Listing:
    """The classes and pictures of an open data set.

    Raises:
        ModelError: nothing usable is there, a class has too few pictures, or a listed name is missing.
    """
    wanted = set(asked.only) if asked.only is not None else None
    suffixes = spectral.SUFFIXES if asked.bands else pictures.SUFFIXES
    found: dict[str, list[tuple[str, str]]] = {}
    for path in files.names():
        pure = PurePosixPath(path)
        if _is_data(pure, suffixes) and (wanted is None or wanted & {pure.name, f"{pure.parent.name}/{pure.name}"}):
            found.setdefault(pure.parent.name, []).append((pure.name, path))
    names = asked.classes if asked.classes is not None else tuple(sorted(found))
    _check(source, names, found, wanted, asked.least)
    return Listing(
        names,
        tuple((code, name, path) for code, label in enumerate(names) for name, path in sorted(found.get(label, []))),
    )


def resized(pixels: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float32]:
    """Reflectance (y, x, band) cut to its middle square and resampled (cubic) to (size, size, band)."""
    from PIL import Image

    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    square = pixels[top : top + side, left : left + side]
    planes = (Image.fromarray(np.ascontiguousarray(square[..., band])) for band in range(square.shape[2]))
    sized = [np.asarray(plane.resize((size, size), Image.Resampling.BICUBIC)) for plane in planes]
    return np.stack(sized, axis=-1).clip(0)


def read_names(path: Path) -> tuple[str, ...]:
    """The file names listed in a split file, one a line, each with its folder where that is given.

    Raises:
        ModelError: the file is missing or empty.
    """
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: cannot read the list of file names ({error}); give a text file with one name a line"
        ) from error
    if not names:
        raise ModelError(f"{path}: lists no file names; give a text file with one name a line")
    return tuple("/".join(PurePosixPath(name).parts[-2:]) for name in names)


def _is_data(path: PurePosixPath, suffixes: tuple[str, ...]) -> bool:
    """A picture in a folder; what macOS and file managers hide beside them is none."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in suffixes and bool(path.parent.name) and not hidden


def _check(
    source: Path, classes: tuple[str, ...], found: dict[str, list[tuple[str, str]]], wanted: set[str] | None, least: int
) -> None:
    if not set(found).intersection(classes):
        sought = ", ".join(classes[:3]) or "none found"
        raise ModelError(
            f"{source}: holds no pictures in class folders ({sought} ...); give EuroSAT's zip or a folder with one "
            f"sub-folder a class"
        )
    others = sorted(set(found).difference(classes))
    if others:
        left = sum(len(found[label]) for label in others)
        log.warning(
            "%s: %d pictures in folders that are no class asked for are left out (%s)",
            source,
            left,
            ", ".join(others[:3]),
        )
    for label in classes:
        if len(found.get(label, [])) < least:
            count = len(found.get(label, []))
            raise ModelError(
                f"{source}: class {label} has {count} of at least {least} pictures; add some, take its folder away, "
                f"or check the names"
            )
    there = {known for label, listed in found.items() for name, _ in listed for known in (name, f"{label}/{name}")}
    missing = sorted((wanted or set()).difference(there))
    if missing:
        raise ModelError(
            f"{source}: {len(missing)} of {len(wanted or ())} listed pictures are missing ({missing[0]} ...); give "
            f"the data of this list"
        )
