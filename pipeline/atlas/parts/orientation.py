"""Land, borders, lakes and towns, so that a reader without a network knows where the map is."""

from pipeline.atlas.part import Contribution, World, packed, static


def contribute(world: World) -> Contribution:  # noqa: ARG001  (every part is asked the same)
    """Natural Earth's lines and names."""
    return Contribution(
        texts={f"atlas-{name}": packed(static(f"{name}.json").encode()) for name in ("outlines", "lakes", "towns")}
    )
