"""The scenes' pictures, as sharp as the budget allows."""

import base64

from pipeline.atlas.imagery import affordable_gsd, within_budget
from pipeline.atlas.part import Contribution, World


def contribute(world: World) -> Contribution:
    """`quicklooks`: element, bounds, date and planes of every picture."""
    budget = world.options.quicklook_budget
    numbered = [(at, scene) for at, scene in enumerate(world.collected.scenes) if scene.quicklook is not None]
    shown = [scene for _, scene in numbered]
    area = [scene.codes.size * scene.grid.edge**2 for scene in shown]
    sharp = affordable_gsd(area, budget, world.payload.planes[0].grid.gsd) is not None
    pictures = [scene.overview if sharp and scene.overview else scene.quicklook for scene in shown]
    fitted = within_budget([picture for picture in pictures if picture is not None], budget)
    described, texts = [], {}
    for number, ((at, scene), picture) in enumerate(zip(numbered, fitted, strict=True)):
        element = f"atlas-quicklook-{number}"
        texts[element] = base64.b64encode(picture.webp).decode("ascii")
        planes = [layer.plane for layer in world.payload.layers if at in layer.scenes]
        described.append(
            {
                "element": element,
                "bounds": picture.bounds,
                "date": world.payload.dates.index(scene.day),
                "planes": planes,
            }
        )
    return Contribution({"quicklooks": described}, texts)
