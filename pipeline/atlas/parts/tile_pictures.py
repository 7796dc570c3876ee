"""The tiles' own pictures."""

import base64

from pipeline.atlas.chips import chip_sheets
from pipeline.atlas.part import Contribution, World


def contribute(world: World) -> Contribution:
    """`chips`: size and elements of the sheets.

    Raises:
        TileTableError: a scene's true-colour raster is damaged.
    """
    options = world.options
    sheets = chip_sheets(world.payload, world.collected.scenes, options.chips, options.chip_budget)
    elements = [f"atlas-chips-{number}" for number in range(len(sheets.sheets))]
    texts = {
        element: base64.b64encode(sheet).decode("ascii") for element, sheet in zip(elements, sheets.sheets, strict=True)
    }
    return Contribution({"chips": sheets.describe(elements)}, {"atlas-chips": sheets.packed_keys(), **texts})
