"""Land and borders for the map when it is zoomed out."""

from pipeline.atlas.part import Contribution, World, static


def contribute(world: World) -> Contribution:  # noqa: ARG001  (every part is asked the same)
    """Lines of Natural Earth."""
    return Contribution(texts={"atlas-outlines": static("outlines.json").strip()})
