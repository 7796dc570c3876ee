"""A look at a scene's pixels before it is read: does the metadata's radiometry agree with them?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.bands import RGB, SENTINEL_2
from pipeline.errors import AmbiguousRadiometry
from pipeline.scenes.offsets import baseline_pair
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.safety.integrity import check_sum
from pipeline.scenes.scene import Level, Scene

# A glance: 256-pixel squares that cross no 1024-pixel block of a granule. A SAFE's metadata are certain, one square is
# enough.
_SIDE = 256
_ANCHORS = ((0.5, 0.5), (0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8))
# Where those lie outside the swath, these are searched as well.
_LATTICE = tuple((across / 8, down / 8) for down in range(9) for across in range(9))
_ENOUGH = 4096
# Reflectance of a scene's darkest hundredth of pixels: 0.012 to 0.072 in the twelve real scenes looked at, L1C and L2A.
# With 1000 DN left in it is above 0.1; with 1000 DN taken off twice it is below -0.028, while rightly corrected
# water goes a little below 0. What lies between (cloud, snow, desert) stays undecided.
DARK = 0.095
_TWICE = -0.02
# Blue light of the clear sky: no top-of-atmosphere scene is darker in B02 than this (0.080 to 0.117 in the nine real
# ones), every surface scene with shade or water is (0.012 to 0.020 in the three).
_RAYLEIGH = 0.055
# No natural surface's reflectance has a median above this.
_BRIGHTEST = 2.0


def inspect_pixels(scene: Scene, needed: Sequence[str] = RGB) -> Scene:
    """The scene with its passport completed by sample windows, its offset corrected where pixels disprove it.

    A SAFE product's own metadata are taken at their word. Anything else must agree with the pixels. The files of the
    `needed` bands are compared with the product's checksums as `check_files` does; with none needed that is the
    caller's business.

    Raises:
        AmbiguousRadiometry: neither metadata nor pixels decide the offset.
        CorruptScene: a file does not decode.
    """
    bands = [band for band in RGB if band in scene.assets] or list(scene.assets)[:3]
    if needed:
        check_files(scene, needed)
    scene = replace(scene, overlays=tuple(inspect_pixels(overlay, ()) for overlay in scene.overlays))
    stored = sample(replace(scene, overlays=()), bands)
    if stored.shape[1] == 0:
        return replace(scene, radiometry=replace(scene.radiometry, verdict="no measured pixel in the sample"))
    scene = _scaled(scene, bands, stored)
    scale = np.array([[scene.assets[band].scale] for band in bands])
    offset = np.array([[scene.assets[band].offset] for band in bands])
    value = stored * scale + offset
    passport = replace(
        scene.radiometry,
        clipped_share=round(float((value < 0).any(axis=0).mean()), 5),
        saturated_share=round(float(saturated(stored, scene).any(axis=0).mean()), 5),
    )
    scene = _levelled(replace(scene, radiometry=passport), bands, value)
    if passport.approximate or scene.layout == "SAFE" or passport.sources.get("offset") == "--offset":
        return replace(scene, radiometry=replace(scene.radiometry, verdict="not needed: the offset is certain"))
    return _decided(scene, stored * scale, value)


def check_files(scene: Scene, needed: Sequence[str]) -> None:
    """Compares the files of the `needed` bands and of the scene classification with the product's checksums.

    Raises:
        CorruptScene: a file differs.
    """
    files = [asset for band, asset in scene.assets.items() if band in needed] + (
        [scene.quality] if scene.quality else []
    )
    for href, checksum in sorted({(asset.href, asset.checksum) for asset in files if asset.checksum}):
        check_sum(href, checksum)
    for overlay in scene.overlays:
        check_files(overlay, needed)


def _levelled(scene: Scene, bands: list[str], value: npt.NDArray[np.float64]) -> Scene:
    """The level by the sky's own blue where nothing else told it."""
    if (
        "B02" not in bands
        or scene.radiometry.approximate
        or not scene.radiometry.sources.get("level", "").startswith("assumed")
    ):
        return scene
    blue = float(np.percentile(value[bands.index("B02")], 1.0))
    level = Level.L1C if blue > _RAYLEIGH else Level.L2A
    source = f"pixels: the darkest blue is {blue:.3f}"
    warnings = tuple(text for text in scene.warnings if not text.startswith("processing level unknown"))
    warnings += (
        f"processing level unknown, taken as {level} by its darkest blue ({blue:.3f}); a STAC Item beside the files "
        f"can tell it",
    )
    return replace(
        scene,
        level=level,
        warnings=warnings,
        radiometry=replace(scene.radiometry, sources={**scene.radiometry.sources, "level": source}),
    )


def _scaled(scene: Scene, bands: list[str], stored: npt.NDArray[np.float64]) -> Scene:
    """The scene with a scale of 1/10,000 where numbers that should be reflectance are far above 1."""
    if any(scene.assets[band].scale != 1.0 for band in bands) or np.median(stored) <= _BRIGHTEST:
        return scene
    assets = {
        band: replace(asset, scale=1e-4 if asset.scale == 1.0 else asset.scale) for band, asset in scene.assets.items()
    }
    sources = {**scene.radiometry.sources, "quantification": "pixels: reflectance above 1 means numbers x 10,000"}
    return replace(scene, assets=assets, radiometry=replace(scene.radiometry, quantification=10_000.0, sources=sources))


def sample(scene: Scene, bands: list[str]) -> npt.NDArray[np.float64]:
    """Measured pixels (band, n) of a few windows spread over the scene."""
    left, bottom, right, top = scene.bounds
    columns, rows = round((right - left) / 10.0), round((top - bottom) / 10.0)
    width, height = min(_SIDE, columns), min(_SIDE, rows)
    certain = scene.layout == "SAFE"
    found: list[npt.NDArray[np.float64]] = []
    with SceneReader(scene) as reader:
        for at, (across, down) in enumerate((*_ANCHORS, *_LATTICE)):
            enough = sum(part.shape[1] for part in found) >= _ENOUGH
            if (enough or certain) if at >= len(_ANCHORS) else (enough and certain):
                break
            west = left + 10.0 * (int((columns - width) * across) // _SIDE * _SIDE)
            north = top - 10.0 * (int((rows - height) * down) // _SIDE * _SIDE)
            pixels, valid = reader.read((west, north - 10.0 * height, west + 10.0 * width, north), bands)
            found.append(pixels[:, valid].astype(np.float64))
    return np.concatenate(found, axis=1)


def saturated(stored: npt.NDArray[np.float64], scene: Scene) -> npt.NDArray[np.bool_]:
    """Which stored numbers are the sensor's ceiling."""
    if scene.radiometry.approximate:
        return np.asarray(stored >= 255)
    return np.asarray(stored >= SENTINEL_2.ceiling.get(scene.level, SENTINEL_2.ceiling[Level.L1C]))


def _decided(scene: Scene, unshifted: npt.NDArray[np.float64], value: npt.NDArray[np.float64]) -> Scene:
    """The scene with the offset that pixels and metadata agree on."""
    passport = scene.radiometry
    told = any(passport.offsets.values())
    darkest = float(np.percentile(unshifted, 1.0, axis=1).min())
    corrected = float(np.percentile(value, 1.0, axis=1).min())
    shifted_baseline = baseline_pair(passport.baseline) >= SENTINEL_2.offset_since
    assumed = passport.sources.get("offset", "").startswith("assumed")
    if told and corrected < _TWICE:
        return _with_offset(scene, 0.0, f"pixels are already shifted (the darkest would be at {corrected:.3f})")
    if told:
        return _judged(scene, "pixels agree with the offset")
    if darkest < DARK:
        return _judged(scene, "pixels agree: no offset is left in")
    if assumed and shifted_baseline:
        return _with_offset(
            scene, -1000.0, f"baseline {passport.baseline} has the offset and no pixel is darker than {darkest:.3f}"
        )
    if assumed or shifted_baseline:
        raise AmbiguousRadiometry(
            f"{scene.id}: nothing tells for sure whether an offset of 1000 is left in its pixels (the darkest are at "
            f"{darkest:.3f}); "
            "say --offset 0 or --offset -1000"
        )
    scene = replace(
        scene,
        warnings=(
            *scene.warnings,
            "no dark pixel confirms the metadata's offset; if colours look pale, say --offset -1000",
        ),
    )
    return _judged(scene, f"undecided (the darkest are at {darkest:.3f}): metadata taken at their word")


def _judged(scene: Scene, verdict: str) -> Scene:
    return replace(scene, radiometry=replace(scene.radiometry, verdict=verdict))


def _with_offset(scene: Scene, dn: float, verdict: str) -> Scene:
    assets = {band: replace(asset, offset=dn * asset.scale) for band, asset in scene.assets.items()}
    radiometry = replace(scene.radiometry, offsets=dict.fromkeys(scene.radiometry.offsets, dn), verdict=verdict)
    warning = f"offset {dn:g} is applied instead of the metadata's: {verdict}"
    return replace(scene, assets=assets, radiometry=radiometry, warnings=(*scene.warnings, warning))
