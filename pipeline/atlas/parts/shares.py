"""Every class's probability of every tile, in steps as fine as the budget allows."""

import numpy as np
import numpy.typing as npt

from pipeline.atlas.collect import SceneTiles
from pipeline.atlas.part import Contribution, World, packed
from pipeline.atlas.payload import Layer, Plane

STEPS = (1, 2, 5)


def contribute(world: World) -> Contribution:
    """`shareStep`: percent a step, 0 where the budget allows none; the bytes run by layer and class."""
    scenes, payload = world.collected.scenes, world.payload
    size = sum(layer.classes.size for layer in payload.layers) * len(world.legend.classes)
    if size <= 20 * world.options.share_budget and all(scene.shares is not None for scene in scenes):
        percents = [_merged(layer, payload.planes[layer.plane], scenes) for layer in payload.layers]
        for step in STEPS:
            text = packed(b"".join(np.rint(one / step).astype(np.uint8).tobytes() for one in percents))
            if len(text) <= world.options.share_budget:
                return Contribution({"shareStep": step}, {"atlas-shares": text})
    return Contribution({"shareStep": 0})


def _merged(layer: Layer, plane: Plane, scenes: tuple[SceneTiles, ...]) -> npt.NDArray[np.uint8]:
    """Percents (class, row, column) of one layer, each tile from the scene that owns it."""
    known = [scenes[member].shares for member in layer.scenes]
    out = np.zeros((len(known[0]) if known[0] is not None else 0, *layer.classes.shape), np.uint8)
    for position, (member, shares) in enumerate(zip(layer.scenes, known, strict=True)):
        rows, cols = plane.window(scenes[member])
        owned = layer.scene[rows, cols] == position
        if shares is not None:
            out[:, rows, cols][:, owned] = shares[:, owned]
    return out
