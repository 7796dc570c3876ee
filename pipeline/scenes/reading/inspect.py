"""A look at a scene's pixels before it is read: does the metadata's radiometry agree with them?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.bands import RGB, SENTINEL_2
from pipeline.scenes.offsets import Darkness, dn_scale, judge, shifted
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
# Blue light of the clear sky: no top-of-atmosphere scene is darker in B02 than this (0.075 to 0.143 in 27 real
# ones), every surface scene with shade or water is (0.012 to 0.020 in the three).
_RAYLEIGH = SENTINEL_2.darkest[Level.L1C]["B02"]
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
    if passport.approximate:
        return replace(scene, radiometry=replace(scene.radiometry, verdict="not needed: the offset is certain"))
    return _decided(scene, bands, stored * scale)


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
    gsd = scene.gsd
    left, bottom, right, top = scene.bounds
    columns, rows = round((right - left) / gsd), round((top - bottom) / gsd)
    width, height = min(_SIDE, columns), min(_SIDE, rows)
    certain = scene.layout == "SAFE"
    found: list[npt.NDArray[np.float64]] = []
    with SceneReader(scene) as reader:
        for at, (across, down) in enumerate((*_ANCHORS, *_LATTICE)):
            enough = sum(part.shape[1] for part in found) >= _ENOUGH
            if (enough or certain) if at >= len(_ANCHORS) else (enough and certain):
                break
            west = left + gsd * (int((columns - width) * across) // _SIDE * _SIDE)
            north = top - gsd * (int((rows - height) * down) // _SIDE * _SIDE)
            pixels, valid = reader.read((west, north - gsd * height, west + gsd * width, north), bands)
            found.append(pixels[:, valid].astype(np.float64))
    return np.concatenate(found, axis=1)


def saturated(stored: npt.NDArray[np.float64], scene: Scene) -> npt.NDArray[np.bool_]:
    """Which stored numbers are the sensor's ceiling."""
    if scene.radiometry.approximate:
        return np.asarray(stored >= 255)
    return np.asarray(stored >= SENTINEL_2.ceiling.get(scene.level, SENTINEL_2.ceiling[Level.L1C]))


def _decided(scene: Scene, bands: list[str], unshifted: npt.NDArray[np.float64]) -> Scene:
    """The scene with the offsets that pixels and metadata agree on."""
    told = not scene.radiometry.sources.get("level", "assumed").startswith(("assumed", "pixels"))
    dark = dict(zip(bands, np.percentile(unshifted, 1.0, axis=1).tolist(), strict=True))
    found = judge(
        scene.evidence,
        scene.assets,
        Darkness(dark, scene.level if told else None, dn_scale(scene.assets[bands[0]].scale)),
    )
    return replace(
        scene,
        assets={band: shifted(asset, found.offsets.values[band]) for band, asset in scene.assets.items()},
        radiometry=replace(
            scene.radiometry,
            offsets=found.offsets.values,
            sources={**scene.radiometry.sources, "offset": found.offsets.origin},
            verdict=found.verdict,
        ),
        warnings=(*scene.warnings, found.warning) if found.warning else scene.warnings,
    )
