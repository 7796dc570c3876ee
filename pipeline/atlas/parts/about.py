"""What the page tells about itself: model, accuracy, scenes that went in and those that were refused."""

from typing import Any

import numpy as np

from pipeline.atlas.collect import OUTSIDE, SceneTiles
from pipeline.atlas.part import Contribution, World
from pipeline.legend import Legend


def contribute(world: World) -> Contribution:
    """`scenes`, `refusals`, `software`, `assessment`, `cover_assessment`, `model`."""
    found = world.collected
    return Contribution(
        {
            "scenes": [_scene(scene, world.legend) for scene in found.scenes],
            "refusals": [{"id": one.id, "error": one.error, "reason": one.reason} for one in found.refusals],
            "software": next(
                (str(scene.metadata["software"]) for scene in found.scenes if "software" in scene.metadata), None
            ),
            "assessment": found.assessment or None,
            "cover_assessment": found.cover_assessment or None,
            "model": found.model,
        }
    )


def _scene(scene: SceneTiles, legend: Legend) -> dict[str, Any]:
    codes, numbers = np.unique(scene.codes[scene.codes != OUTSIDE], return_counts=True)
    return {
        "id": scene.id,
        "acquired": scene.acquired.isoformat(),
        "counts": {legend.label(int(code)): int(number) for code, number in zip(codes, numbers, strict=True)},
        "radiometry": scene.metadata.get("radiometry", {}),
        "platform": scene.properties.get("platform"),
        "level": scene.metadata.get("level") or scene.properties.get("processing:level"),
        "cloud": scene.properties.get("atlas:cloud_cover"),
        "warnings": list(scene.metadata.get("warnings", [])),
        "period": scene.metadata.get("period"),
        "looks": list(scene.metadata.get("looks", [])),
    }
