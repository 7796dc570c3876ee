"""Colours and textures that readers with another colour vision can tell apart, beside the legend's own."""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.atlas.part import Contribution, World
from pipeline.atlas.readable import ink_on, rgb

# Found by search: the smallest CIEDE2000 between any two under normal, protan and deutan vision (Machado 2009,
# severity 1) is 16; tests/atlas/test_page.py measures it again.
SAFE = (
    *("#555500", "#d4aaff", "#2a1555", "#aaffd4", "#6a9580", "#409500", "#156a80", "#eaeaff"),
    *("#152a2a", "#bfff2a", "#8095aa", "#156a55", "#002a00", "#0000d4", "#bf40ff", "#95bf80"),
)
# Patterns of static/core/painter.js that classes may have; 1 is the veil's.
TEXTURES = (2, 3, 4, 5, 6, 7, 8, 9, 10)


def contribute(world: World) -> Contribution:
    """`safe`: colour, ink and texture of every class, in the legend's order."""
    return Contribution({"safe": safe_colours([entry.colour for entry in world.legend.classes])})


def safe_colours(usual: list[str]) -> list[dict[str, Any]]:
    """For every usual colour the safe one that is nearest, each used once while they last, and a texture."""
    wanted = np.array([rgb(colour) for colour in usual])
    offered = np.array([rgb(SAFE[number % len(SAFE)]) for number in range(-(-len(usual) // len(SAFE)) * len(SAFE))])
    distance = ((wanted[:, None] - offered[None]) ** 2).sum(-1)
    _, chosen = linear_sum_assignment(distance)
    colours = [SAFE[number % len(SAFE)] for number in chosen]
    return [
        {"colour": colour, "ink": ink_on(colour), "texture": TEXTURES[number % len(TEXTURES)] if number else 0}
        for number, colour in enumerate(colours)
    ]
