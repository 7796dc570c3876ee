"""The scenes' pictures, as sharp as the budget allows."""

import base64

from pipeline.atlas.imagery import affordable_gsd, sharper, within_budget
from pipeline.atlas.part import Contribution, World
from pipeline.grid import TileGrid


def contribute(world: World) -> Contribution:
    """`quicklooks`: element, bounds and date of every picture.

    Raises:
        TileTableError: a scene's true-colour raster is damaged.
    """
    budget = world.options.quicklook_budget
    shown = [scene for scene in world.collected.scenes if scene.quicklook is not None]
    gsd = affordable_gsd([scene.codes.size * TileGrid(scene.epsg).edge ** 2 for scene in shown], budget)
    pictures = [sharper(scene.truecolour, gsd) if scene.truecolour and gsd else scene.quicklook for scene in shown]
    fitted = within_budget([picture for picture in pictures if picture is not None], budget)
    described, texts = [], {}
    for number, (scene, picture) in enumerate(zip(shown, fitted, strict=True)):
        element = f"atlas-quicklook-{number}"
        texts[element] = base64.b64encode(picture.webp).decode("ascii")
        described.append({"element": element, "bounds": picture.bounds, "date": world.payload.dates.index(scene.day)})
    return Contribution({"quicklooks": described}, texts)
