"""What covers the ground inside the tiles: pictures of 20 to 640 m a pixel, and every tile's shares."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.warp import Resampling
from rasterio.windows import Window, from_bounds

from pipeline.atlas.collect import PERCENT_UNKNOWN, CoverTiles, SceneTiles
from pipeline.atlas.imagery import PalettePicture, palette_picture
from pipeline.atlas.part import Contribution, World, packed
from pipeline.atlas.payload import Layer
from pipeline.atlas.readable import ink_on
from pipeline.errors import TileTableError

SIZES = (20.0, 40.0, 80.0, 160.0, 320.0, 640.0)
FEW = 12
# Bytes of shares by the page's rule for probabilities: steps of 2 percent.
STEP = 2


def contribute(world: World) -> Contribution:
    """`cover`: classes and pictures, None without one; the bytes of the shares run by layer and class.

    Raises:
        TileTableError: a cover raster is damaged.
    """
    scenes = world.collected.scenes
    known = [(at, scene, scene.cover) for at, scene in enumerate(scenes) if scene.cover is not None]
    if not known:
        return Contribution({"cover": None})
    classes = known[0][2].classes
    # A scene whose cover knows other classes comes from another network; the page shows one.
    shown = [(at, scene, cover) for at, scene, cover in known if _names(cover.classes) == _names(classes)]
    pictures = _pictures([(scene, cover) for _, scene, cover in shown], world.options.cover_budget)
    described: list[dict[str, Any]] = []
    texts: dict[str, str] = {}
    for (at, scene, _), picture in zip(shown, pictures, strict=True):
        element = f"atlas-cover-{len(described)}"
        texts[element] = base64.b64encode(picture.png).decode("ascii")
        planes = [layer.plane for layer in world.payload.layers if at in layer.scenes]
        date = world.payload.dates.index(scene.day)
        described.append({"element": element, "bounds": picture.bounds, "date": date, "planes": planes})
    shares = [_shares(world, layer, len(classes), {at for at, *_ in shown}) for layer in world.payload.layers]
    texts["atlas-cover-shares"] = packed(b"".join(shares))
    legend = [
        {"name": one["name"], "title": one["title"].capitalize(), "colour": one["colour"], "ink": ink_on(one["colour"])}
        for one in classes
    ]
    return Contribution({"cover": {"classes": legend, "pictures": described, "step": STEP}}, texts)


def _names(classes: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(one["name"]) for one in classes]


def _pictures(covers: Sequence[tuple[SceneTiles, CoverTiles]], budget: int) -> list[PalettePicture]:
    """The finest pictures that fit into the budget, the coarsest where none do; a few tell what all will take."""
    step = max(1, len(covers) // FEW)
    for size in SIZES:
        few: dict[int, PalettePicture] = {}
        spent = 0
        for at in range(0, len(covers), step):
            if spent > budget and size != SIZES[-1]:
                break
            few[at] = _picture(covers[at], size)
            spent += step * len(few[at].png)
        if spent > budget and size != SIZES[-1]:
            continue
        found = [few.get(at) or _picture(cover, size) for at, cover in enumerate(covers)]
        if sum(len(one.png) for one in found) <= budget:
            break
    return found


def _picture(covered: tuple[SceneTiles, CoverTiles], size: float) -> PalettePicture:
    scene, cover = covered
    try:
        with rasterio.open(cover.raster, driver="GTiff") as source:
            window = _shown(scene, source)
            factor = size / source.transform.a
            shape = (max(1, round(window.height / factor)), max(1, round(window.width / factor)))
            values = source.read(1, window=window, out_shape=shape, resampling=Resampling.mode)
            transform = source.window_transform(window) * Affine.scale(
                window.width / shape[1], window.height / shape[0]
            )
    except (RasterioError, OSError) as error:
        raise TileTableError(
            f"{cover.raster}: cannot be read ({error}); run the pipeline on its scene again"
        ) from error
    colours = {
        one["value"]: (int(one["colour"][1:3], 16), int(one["colour"][3:5], 16), int(one["colour"][5:7], 16))
        for one in cover.classes
    }
    return palette_picture(values, colours, transform, scene.epsg)


def _shown(scene: SceneTiles, source: rasterio.DatasetReader) -> Window:
    """The raster's part in the rectangle of the scene's tiles: less than all of it on the page of a region."""
    edge, (rows, cols) = scene.grid.edge, scene.codes.shape
    left, top = scene.first_col * edge, (scene.top_row + 1) * edge
    place = from_bounds(left, top - rows * edge, left + cols * edge, top, source.transform)
    whole = Window(0, 0, source.width, source.height)
    return place.round_offsets().round_lengths().intersection(whole)


def _shares(world: World, layer: Layer, count: int, shown: set[int]) -> bytes:
    """Steps (class, row, column) of one layer, each tile from the scene that owns it; 255 without cover."""
    out = np.full((count, *layer.classes.shape), PERCENT_UNKNOWN, np.uint8)
    for position, member in enumerate(layer.scenes):
        scene = world.collected.scenes[member]
        if member not in shown or scene.cover is None:
            continue
        rows, cols = world.payload.planes[layer.plane].window(scene)
        owned = layer.scene[rows, cols] == position
        shares = scene.cover.shares
        steps = np.where(shares == PERCENT_UNKNOWN, PERCENT_UNKNOWN, np.rint(shares / STEP)).astype(np.uint8)
        out[:, rows, cols][:, owned] = steps[:, owned]
    return out.tobytes()
