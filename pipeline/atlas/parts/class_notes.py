"""What classes of other people's legends cannot tell apart."""

from pipeline.atlas.part import Contribution, World
from pipeline.atlas.rights import class_notes


def contribute(world: World) -> Contribution:
    """`classNotes`: sentences, none for a model's own classes."""
    return Contribution({"classNotes": list(class_notes(world.collected.scenes))})
