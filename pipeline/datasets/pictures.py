"""Single pictures: read as 8-bit RGB, cut into patches."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import ModelError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")
MAX_PIXELS = 200_000_000
# Pillow also opens formats that run other programs (EPS) or read other files.
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")
Picture = npt.NDArray[np.uint8]


def read_bytes(path: Path) -> bytes:
    """A picture's file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the picture ({error.strerror}); check the path") from error


def decode(data: bytes, where: str) -> Picture:
    """A picture's bytes as (y, x, 3) uint8 RGB; of 16 bits the upper 8 are kept. `where` names it in a refusal.

    Raises:
        ModelError: it is no readable picture, has more than 200 megapixels, or holds numbers without a range.
    """
    if not data:
        raise ModelError(f"{where}: the picture is empty; copy it again")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ModelError(
                    f"{where}: {image.width}x{image.height} pixels are too many for one picture; use `run` for scenes"
                )
            if image.mode in ("I", "F"):
                raise ModelError(
                    f"{where}: holds numbers of 32 bits, whose range no picture tells; store it with 8 or 16 bits"
                )
            if image.mode.startswith("I;16"):
                grey = (np.asarray(image) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
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


def fitted(picture: Picture, size: int) -> Picture:
    """The picture as (size, size, 3): its middle square, resampled; as it is where it fits already."""
    if picture.shape[:2] == (size, size):
        return picture
    return np.asarray(ImageOps.fit(Image.fromarray(picture), (size, size), Image.Resampling.BICUBIC))


def cut(
    picture: npt.NDArray[Any], size: int = 64, name: str = "the picture"
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Positions (n, 2) as (x, y) in pixels and patches (n, size, size, band), left to right, top to bottom.

    `name` is what the picture is called in a refusal.

    Raises:
        ModelError: the picture is smaller than one patch.
    """
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    if not rows or not columns:
        found = f"{picture.shape[1]}x{picture.shape[0]}"
        raise ModelError(
            f"{name}: is {found} pixels, smaller than one patch of {size}x{size}; give a larger one at the model's "
            f"metres a pixel"
        )
    patches = (
        picture[: rows * size, : columns * size]
        .reshape(rows, size, columns, size, -1)
        .swapaxes(1, 2)
        .reshape(-1, size, size, picture.shape[-1])
    )
    y, x = np.divmod(np.arange(rows * columns), columns)
    return np.stack([x, y], axis=1) * size, patches
