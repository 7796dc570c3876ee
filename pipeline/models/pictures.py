"""Labelled and unlabelled pictures as patches.

EuroSAT's zip, an unpacked folder, or any folder of class sub-folders.
"""

import io
import logging
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import ModelError

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
MAX_PIXELS = 200_000_000
# Pillow also opens formats that run other programs (EPS) or read other files.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")


@dataclass(frozen=True, slots=True)
class LabelledPatches:
    """Patches (n, y, x, 3) uint8 in RGB order with their class indices (n,) and file names."""

    classes: tuple[str, ...]
    patches: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Patches of each class."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def take(self, index: npt.NDArray[np.integer]) -> Self:
        """The patches at `index`, in that order."""
        return type(self)(self.classes, self.patches[index], self.labels[index], tuple(self.names[i] for i in index))


def read_labelled(
    source: Path,
    classes: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    patch_size: int = 64,
    least: int = 0,
) -> LabelledPatches:
    """All pictures of a zip or folder whose parent folder names their class.

    `only` keeps those listed as `name` or `class/name`.

    Without `classes` they are the folders found, sorted; folders of other names are left out with a warning. Pictures
    of another size are cut to a square and resampled, with a warning.

    Raises:
        ModelError: nothing usable is there, a picture is unreadable, a class has fewer than `least` pictures, or a name
            in `only` is missing.
    """
    wanted = set(only) if only is not None else None
    found: dict[str, list[tuple[str, str]]] = {}
    with _Source(source) as files:
        for path in files.names():
            pure = PurePosixPath(path)
            if _is_picture(pure) and (wanted is None or wanted & {pure.name, f"{pure.parent.name}/{pure.name}"}):
                found.setdefault(pure.parent.name, []).append((pure.name, path))
        names = tuple(classes) if classes is not None else tuple(sorted(found))
        entries = [
            (code, name, path) for code, label in enumerate(names) for name, path in sorted(found.get(label, []))
        ]
        _check(source, names, found, wanted, least)
        patches, resampled = np.empty((len(entries), patch_size, patch_size, 3), np.uint8), 0
        for position, (_, _, path) in enumerate(entries):
            pixels = decode_picture(files.read(path), f"{source}/{path}")
            if pixels.shape != patches.shape[1:]:
                resampled += 1
                pixels = np.asarray(
                    ImageOps.fit(Image.fromarray(pixels), (patch_size, patch_size), Image.Resampling.BICUBIC)
                )
            patches[position] = pixels
    if resampled:
        log.warning(
            "%s: %d of %d pictures are not %dx%d pixels and were resampled",
            source,
            resampled,
            len(entries),
            patch_size,
            patch_size,
        )
    return LabelledPatches(
        names, patches, np.array([code for code, _, _ in entries], np.int64), tuple(name for _, name, _ in entries)
    )


def _is_picture(path: PurePosixPath) -> bool:
    """A picture in a folder; what macOS and file managers hide beside them is none."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in SUFFIXES and bool(path.parent.name) and not hidden


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


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """A picture as (y, x, 3) uint8 RGB.

    Raises:
        ModelError: the file is no readable picture or is larger than 200 megapixels.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the picture ({error.strerror}); check the path") from error
    return decode_picture(data, str(path))


def decode_picture(data: bytes, where: str) -> npt.NDArray[np.uint8]:
    """A picture in memory as (y, x, 3) uint8 RGB; `where` is what it is called in a refusal.

    Raises:
        ModelError: it is no readable picture or is larger than 200 megapixels.
    """
    if not data:
        raise ModelError(f"{where}: the picture is empty; copy it again")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ModelError(
                    f"{where}: {image.width}x{image.height} pixels are too many for one picture; use `run` for scenes"
                )
            return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError as error:
        raise ModelError(f"{where}: no readable picture (of no known format); give a JPEG, PNG or TIFF") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ModelError(f"{where}: no readable picture ({error}); remove it or copy it again") from error


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height that a picture's header tells; nothing is decoded. (0, 0) where it tells none."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return image.width, image.height
    except Image.DecompressionBombError:
        return MAX_PIXELS, 2
    except (OSError, ValueError, SyntaxError):
        return 0, 0


def cut(
    picture: npt.NDArray[np.uint8], size: int = 64, name: str = "the picture"
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Positions (n, 2) as (x, y) in pixels and patches (n, size, size, 3) of a picture, left to right, top to bottom.

    `name` is what the picture is called in a refusal.

    Raises:
        ModelError: the picture is smaller than one patch.
    """
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    if not rows or not columns:
        found = f"{picture.shape[1]}x{picture.shape[0]}"
        raise ModelError(
            f"{name}: is {found} pixels, smaller than one patch of {size}x{size}; give a larger one at 10 m a pixel"
        )
    patches = (
        picture[: rows * size, : columns * size]
        .reshape(rows, size, columns, size, 3)
        .swapaxes(1, 2)
        .reshape(-1, size, size, 3)
    )
    y, x = np.divmod(np.arange(rows * columns), columns)
    return np.stack([x, y], axis=1) * size, patches


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


class _Source:
    """A zip or a folder as a list of member names and their bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip: zipfile.ZipFile | None = None

    def __enter__(self) -> Self:
        if self._path.is_file():
            try:
                self._zip = zipfile.ZipFile(self._path)
            except (OSError, zipfile.BadZipFile) as error:
                raise ModelError(f"{self._path}: cannot be read as a zip ({error}); download it again") from error
        elif not self._path.is_dir():
            raise ModelError(
                f"{self._path}: no such file or folder; give EuroSAT's zip or a folder with one sub-folder a class"
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def names(self) -> Iterator[str]:
        if self._zip is not None:
            yield from (entry.filename for entry in self._zip.infolist() if not entry.is_dir())
        else:
            yield from (
                path.relative_to(self._path).as_posix() for path in sorted(self._path.rglob("*")) if path.is_file()
            )

    def read(self, name: str) -> bytes:
        try:
            return self._zip.read(name) if self._zip is not None else (self._path / name).read_bytes()
        except (OSError, zipfile.BadZipFile, RuntimeError) as error:
            raise ModelError(f"{self._path}/{name}: cannot be read ({error}); copy the data again") from error
