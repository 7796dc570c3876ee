"""Patches that no land-cover class fits, made by program: the test of the abstention."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Patches = npt.NDArray[np.uint8]


def made(rng: np.random.Generator, count: int = 60, size: int = 64) -> dict[str, Patches]:
    """`count` patches (count, size, size, 3) of each kind.

    Cloud, snow, desert, flat colour, noise, text, photograph.
    """
    kinds = {"cloud": _cloud, "snow": _snow, "desert": _desert, "flat": _flat, "noise": _noise, "text": _text}
    found = {name: np.stack([make(rng, size) for _ in range(count)]) for name, make in kinds.items()}
    return found | {"photograph": _photographs(rng, count, size)}


def _field(rng: np.random.Generator, size: int, roughness: float) -> npt.NDArray[np.float64]:
    """A random field of mean 0 and deviation 1 whose spectrum falls with the power `roughness`."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    frequency[0, 0] = 1
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * frequency**-roughness).real
    field -= field.mean()
    return np.asarray(field / field.std())


def _codes(values: npt.NDArray[np.float64]) -> Patches:
    return np.clip(np.rint(values), 1, 255).astype(np.uint8)


def _cloud(rng: np.random.Generator, size: int) -> Patches:
    white = 225 + rng.uniform(-15, 25) + rng.uniform(8, 35) * _field(rng, size, 1.8)
    return _codes(white[..., None] + np.array([0, 0, 4]))


def _snow(rng: np.random.Generator, size: int) -> Patches:
    """Sunlit and shaded slopes of snow: saturated white against blue shade."""
    slope = _field(rng, size, 1.5)
    white = np.where(slope > rng.uniform(-1.5, 0), 250.0, 150.0) + 12 * slope
    return _codes(white[..., None] + np.array([-6, 0, 14]))


def _desert(rng: np.random.Generator, size: int) -> Patches:
    """Dunes: ripples over a bright ochre (reflectance of sand: about 0.28, 0.21, 0.14 in B04, B03, B02)."""
    y, x = np.mgrid[:size, :size]
    angle = rng.uniform(0, np.pi)
    ripples = np.sin((x * np.cos(angle) + y * np.sin(angle)) / rng.uniform(1.5, 5) + 2 * _field(rng, size, 1.5))
    colour = np.array([250, 195, 132]) * rng.uniform(0.9, 1.1)
    return _codes(colour * (1 + 0.06 * ripples + 0.03 * _field(rng, size, 1.0))[..., None])


def _flat(rng: np.random.Generator, size: int) -> Patches:
    return np.broadcast_to(rng.integers(1, 256, 3, dtype=np.uint8), (size, size, 3)).copy()


def _noise(rng: np.random.Generator, size: int) -> Patches:
    if rng.random() < 0.5:
        return rng.integers(1, 256, (size, size, 3), dtype=np.uint8)
    return _codes(rng.uniform(60, 200) + rng.uniform(20, 80) * rng.standard_normal((size, size, 3)))


def _text(rng: np.random.Generator, size: int) -> Patches:
    dark = rng.random() < 0.3
    image = Image.new("RGB", (size, size), (20, 20, 24) if dark else (250, 250, 248))
    pen = ImageDraw.Draw(image)
    for line in range(0, size, int(rng.integers(9, 14))):
        letters = "".join(chr(code) for code in rng.integers(97, 123, 12))
        pen.text((int(rng.integers(-6, 4)), line), letters, fill=(235, 235, 235) if dark else (10, 10, 10))
    return np.asarray(image)


def _photographs(rng: np.random.Generator, count: int, size: int) -> Patches:
    """Cut-outs of the two photographs (a temple, a flower) that scikit-learn carries."""
    from sklearn.datasets import load_sample_images

    pictures = load_sample_images().images
    found = np.empty((count, size, size, 3), np.uint8)
    for position in range(count):
        picture = pictures[position % len(pictures)]
        side = int(rng.integers(size, 4 * size))
        y, x = rng.integers(0, picture.shape[0] - side), rng.integers(0, picture.shape[1] - side)
        found[position] = np.asarray(
            Image.fromarray(picture[y : y + side, x : x + side]).resize((size, size), Image.Resampling.LANCZOS)
        )
    return found
