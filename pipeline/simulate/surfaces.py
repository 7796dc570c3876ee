"""What each kind of land looks like at 10 m, in EuroSAT's codes of B04, B03, B02 and a NIR reflectance.

Colours and amplitudes start from what was measured on 360 EuroSAT chips a class (k-means centres of their pixels,
deviation within a chip, deviation of a pixel from the mean of its four neighbours) and were then adjusted until the eye
and a trained network took the land for its class. So how well a network does here says nothing about its accuracy. No
pixel of EuroSAT is kept.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipeline.simulate.fields import Bools, Floats, Ground, cells, hashed, parcels

# One row a colour: R, G, B codes and NIR reflectance (the last only plausible: EuroSAT's RGB chips do not hold it).
Palette = npt.NDArray[np.float32]


def _palette(*rows: tuple[float, float, float, float]) -> Palette:
    return np.array(rows, dtype=np.float32)


GREEN_FIELD, RIPE_FIELD, BARE_FIELD = (50, 82, 82, 0.40), (144, 121, 117, 0.28), (181, 143, 134, 0.27)
CROPS = _palette(
    GREEN_FIELD,
    (64, 92, 86, 0.38),
    RIPE_FIELD,
    (95, 108, 105, 0.33),
    BARE_FIELD,
    (214, 167, 155, 0.30),
    (120, 108, 110, 0.25),
)
ORCHARDS = _palette(
    (99, 100, 102, 0.30),
    (63, 82, 88, 0.36),
    (80, 92, 94, 0.33),
    (132, 119, 115, 0.29),
    (112, 108, 106, 0.30),
    (163, 140, 131, 0.28),
)
MEADOWS = _palette((57, 86, 84, 0.42), (43, 78, 77, 0.45), (50, 84, 80, 0.44), (62, 90, 86, 0.40), (74, 92, 90, 0.36))
HEATH = _palette((78, 85, 89, 0.26), (54, 69, 77, 0.28), (104, 100, 102, 0.24), (133, 119, 119, 0.23))
CANOPY = _palette((39, 64, 76, 0.34), (34, 59, 71, 0.30), (44, 71, 78, 0.38))
ROOFS = _palette(
    (104, 105, 114, 0.20),
    (124, 117, 122, 0.22),
    (138, 117, 117, 0.24),
    (92, 97, 108, 0.18),
    (158, 146, 148, 0.26),
    (226, 220, 220, 0.32),
)
HALLS = _palette(
    (250, 244, 243, 0.36),
    (205, 193, 194, 0.30),
    (161, 153, 158, 0.24),
    (120, 120, 131, 0.19),
    (84, 92, 106, 0.15),
    (310, 300, 296, 0.42),
)
TRACK = _palette((176, 150, 142, 0.27))[0]
HEDGE = _palette((38, 66, 74, 0.33))[0]
GARDEN = _palette((66, 84, 92, 0.34))[0]
STREET = _palette((112, 112, 122, 0.17))[0]
YARD = _palette((112, 113, 123, 0.19))[0]
ASPHALT = _palette((126, 125, 130, 0.17))[0]
VERGE = _palette((62, 88, 88, 0.36))[0]
LAKE = _palette((29, 52, 76, 0.02))[0]
SHALLOWS = _palette((44, 78, 92, 0.03))[0]
RIVER = _palette((43, 71, 87, 0.03))[0]
SAND = _palette((150, 141, 138, 0.25))[0]

# How a brightness change of 1 code in B04 shows in the four bands: the first axis of the covariance within chips.
BARE_AXIS = np.array([1.0, 0.56, 0.44, 0.0006], dtype=np.float32)
GREEN_AXIS = np.array([1.0, 0.9, 0.6, 0.003], dtype=np.float32)
GREY_AXIS = np.array([1.0, 0.9, 0.85, 0.0012], dtype=np.float32)


def _spread(colours: Floats, amount: npt.NDArray[np.floating], axis: Floats) -> Floats:
    """Colours (n, 4) made brighter by `amount` (n,) along `axis` (4,)."""
    return np.asarray(colours + amount[:, None] * axis, dtype=np.float32)


def _blend(colours: Floats, other: Floats, share: npt.NDArray[np.floating]) -> Floats:
    """`share` (n,) of `other` (4,) or (n, 4) over `colours` (n, 4)."""
    return np.asarray(colours + np.clip(share, 0.0, 1.0)[:, None] * (other - colours), dtype=np.float32)


def _ramp(palette: Palette, place: Floats) -> Floats:
    """Colours between neighbouring rows of a palette, `place` (n,) from 0 (first) to 1 (last)."""
    place = np.clip(place, 0.0, 0.999) * (len(palette) - 1)
    low = place.astype(np.int64)
    return _blend(palette[low], palette[low + 1], place - low)


def _choose(palette: Palette, draw: Floats, weights: tuple[float, ...]) -> Floats:
    """A palette row for each uniform number."""
    steps = np.cumsum(weights) / np.sum(weights)
    return palette[np.minimum(np.searchsorted(steps, draw), len(palette) - 1)]


def annual_crop(at: Ground) -> Floats:
    """Large fields with straight edges, one crop each, tramlines along them and pale tracks between."""
    x, y = at.warped(1.5)
    fields = parcels(x, y, at.seed, 105, (14, 42), (50, 130), lean=0.6)
    crop = fields.draw(at.seed + 11)
    # Ripening and harvest turn a field into one of another colour.
    crop = np.where(fields.draw(at.seed + 16) < at.ripe, (crop + np.float32(0.31)) % 1, crop)
    colours = _choose(CROPS, crop, (0.2, 0.13, 0.19, 0.16, 0.15, 0.07, 0.1))
    colours = _spread(
        colours, 22 * (fields.draw(at.seed + 12) - 0.5) + 4.5 * at.rough[12] + 2.5 * at.rough[3], BARE_AXIS
    )
    tramline = np.sin(fields.across * (1.6 + 0.5 * fields.draw_estate(at.seed + 13)))
    colours = _spread(colours, 2.2 * tramline * (fields.draw(at.seed + 14) < 0.6) + 1.8 * at.rough[1], GREY_AXIS)
    tracks = (fields.estate.border < 0.9) & (fields.draw_estate(at.seed + 15) < 0.6)
    return _blend(colours, TRACK, 0.6 * tracks.astype(np.float32))


def permanent_crop(at: Ground) -> Floats:
    """Small vineyards and orchards: narrow parcels, rows, a net of pale tracks."""
    x, y = at.warped(3.0)
    plots = parcels(x, y, at.seed + 20, 30, (5, 11), (10, 28), lean=0.8)
    colours = _choose(ORCHARDS, plots.draw(at.seed + 21), (0.3, 0.24, 0.16, 0.14, 0.1, 0.06))
    colours = _spread(colours, 20 * (plots.draw(at.seed + 22) - 0.5) + 5 * at.rough[6], BARE_AXIS)
    rows = np.sin(plots.across * 2.3) * (plots.draw(at.seed + 23) < 0.7)
    colours = _spread(colours, 4 * rows + 4 * at.rough[1], GREY_AXIS)
    tracks = plots.estate.border < 0.75
    paths = (plots.edge < 0.45) & (plots.draw(at.seed + 24) < 0.3)
    return _blend(_blend(colours, TRACK, 0.3 * paths.astype(np.float32)), TRACK, 0.55 * tracks.astype(np.float32))


def pasture(at: Ground) -> Floats:
    """Meadows of even green behind dark hedges, with single trees."""
    x, y = at.warped(3.5)
    meadows = parcels(x, y, at.seed + 30, 66, (20, 36), (24, 52), lean=0.9)
    colours = _choose(MEADOWS, meadows.draw(at.seed + 31), (0.3, 0.26, 0.24, 0.14, 0.06))
    colours = _spread(colours, 6 * (meadows.draw(at.seed + 32) - 0.5), GREEN_AXIS)
    colours = _spread(colours, 2.2 * at.rough[12] + 1.5 * at.rough[3] + 1.5 * at.rough[1], GREEN_AXIS)
    hedges = np.clip(1.3 - meadows.edge, 0, 1) * (at.rough[6] > -0.6)
    trees = cells(x, y, 9, at.seed + 33)
    single = (hashed(at.seed + 34, trees.col, trees.row) < 0.07) & (trees.border > 2.6)
    return _blend(colours, HEDGE, np.maximum(0.85 * hedges, 0.8 * single.astype(np.float32)))


def herbaceous(at: Ground) -> Floats:
    """Open rough land without parcels: heath and dry grass in ragged patches, gullies, shrubs, worn paths."""
    mix = 0.46 + 0.17 * at.rough[30] + 0.15 * at.rough[12] + 0.12 * at.rough[6] + 0.08 * at.rough[3]
    colours = _ramp(HEATH, mix)
    gullies = np.clip(1 - np.abs(at.rough[6] + 0.5 * at.rough[12] + 0.2 * at.rough[1]) * 3.2, 0, 1)
    colours = _spread(colours, 5 * at.rough[3] + 9.5 * at.rough[1] - 8 * gullies, BARE_AXIS * 0.4 + GREY_AXIS * 0.6)
    shrubs = np.clip(1.4 * at.rough[1] + 0.8 * at.rough[6] - 1.6, 0, 1)
    paths = np.clip(1.2 - np.abs(at.rough[12] + 0.25 * at.rough[6]) * 12, 0, 1) * (at.rough[30] > 0.5)
    return _blend(_blend(colours, HEDGE, 0.5 * shrubs), TRACK, 0.4 * paths)


def forest(at: Ground) -> Floats:
    """A dark closed canopy of fine grain, stands of slightly different green, some glades."""
    colours = _ramp(CANOPY, 0.5 + 0.26 * at.rough[30] + 0.18 * at.rough[12])
    colours = _spread(colours, 1.7 * at.rough[6] + 2.2 * at.rough[3] + 3.4 * at.rough[1], GREEN_AXIS)
    glades = np.clip(2.5 * (at.rough[6] + 0.5 * at.rough[12] - 2.6), 0, 1)
    return _blend(colours, MEADOWS[3], 0.6 * glades)


def residential(at: Ground) -> Floats:
    """Streets, small roofs of several colours and gardens."""
    x, y = at.warped(1.5)
    town = parcels(x, y, at.seed + 50, 46, (7, 10), (18, 34), lean=0.7)
    # House plots of about 20 m: finer than a pixel pair, so a town is grain rather than shapes.
    col, row = np.floor(town.across / 2.1).astype(np.int64), np.floor(town.along / 1.9).astype(np.int64)
    salt = at.seed + 51
    house = hashed(salt, town.estate.col, town.estate.row, col, row)
    # Houses line the streets, gardens fill the middle of the blocks; towns have denser and greener quarters.
    built = house < 0.50 + 0.2 * (town.edge < 2.6) + 0.12 * at.rough[30]
    roofs = _choose(
        ROOFS, hashed(salt + 1, town.estate.col, town.estate.row, col, row), (0.27, 0.22, 0.2, 0.16, 0.12, 0.03)
    )
    gardens = _spread(np.broadcast_to(GARDEN, roofs.shape), 5 * at.rough[3] + 4 * at.rough[1], GREEN_AXIS)
    colours = np.where(built[:, None], roofs, gardens)
    colours = _spread(colours, 6 * at.rough[1] + 7 * (town.draw(salt + 2) - 0.5), GREY_AXIS)
    streets = np.clip(1.1 - town.edge, 0, 1)
    avenues = np.clip(1.9 - town.estate.border, 0, 1)
    colours = _blend(colours, STREET, np.maximum(0.5 * streets, 0.7 * avenues))
    groves = np.clip(at.rough[12] - 1.3, 0, 1)
    return _blend(colours, HEDGE, 0.7 * groves)


def industrial(at: Ground) -> Floats:
    """Large bright and grey halls on lots with yards, lanes and a little green."""
    works = parcels(at.x, at.y, at.seed + 60, 60, (11, 22), (12, 30), lean=0.35)
    salt = at.seed + 61
    grain = _spread(np.broadcast_to(YARD, (len(at.x), 4)), 11 * at.rough[3] + 9 * at.rough[1], GREY_AXIS)
    # Small sheds, containers and parked lorries litter the yards.
    col, row = np.floor(works.across / 2.4).astype(np.int64), np.floor(works.along / 3.1).astype(np.int64)
    litter = hashed(salt + 6, works.estate.col, works.estate.row, col, row)
    grain = _spread(
        grain, np.where(litter > 0.86, 75.0, np.where(litter < 0.2, -32.0, 0.0)).astype(np.float32), GREY_AXIS
    )
    hall = (works.draw(salt) < 0.74) & (works.edge > 1.2 + 2.2 * works.draw(salt + 1))
    roofs = _choose(HALLS, works.draw(salt + 2), (0.2, 0.2, 0.2, 0.18, 0.12, 0.1))
    ridges = np.sin(works.along * (1.1 + works.draw(salt + 3)))
    roofs = _spread(roofs, 8 * ridges + 4 * at.rough[1], GREY_AXIS)
    colours = np.where(hall[:, None], roofs, grain)
    colours = _blend(colours, STREET * 0.8, 0.7 * np.clip(1.2 - works.edge, 0, 1))
    green = (works.draw(salt + 4) < 0.12) & ~hall
    return _blend(colours, VERGE, np.maximum(0.85 * green, 0.8 * np.clip(1.6 - works.estate.border, 0, 1)))


def lake(at: Ground) -> Floats:
    """Deep water, nearly even."""
    return _spread(
        np.broadcast_to(LAKE, (len(at.x), 4)),
        1.3 * at.rough[30] + 0.5 * at.rough[6],
        np.array([0.6, 1.0, 0.8, 0.0], dtype=np.float32),
    )


SURFACES: dict[str, Callable[[Ground], Floats]] = {
    "AnnualCrop": annual_crop,
    "Forest": forest,
    "HerbaceousVegetation": herbaceous,
    "Industrial": industrial,
    "Pasture": pasture,
    "PermanentCrop": permanent_crop,
    "Residential": residential,
    "SeaLake": lake,
}


def shore(colours: Floats, inland: Floats, wet: Bools, at: Ground) -> Floats:
    """A lake's rim: shallow water, then reeds or a beach.

    `inland` (n,) is the share of lake around, `wet` (n,) the lake.
    """
    colours = np.where(wet[:, None], _blend(colours, SHALLOWS, 0.8 * (0.95 - inland) / 0.45), colours)
    rim = np.clip((inland - 0.33) / 0.1, 0, 1) * ~wet
    return np.where(
        (at.rough[30] + 0.4 * at.rough[6] > 0.4)[:, None],
        _blend(colours, SAND, 0.85 * rim),
        _blend(colours, HEDGE, 0.8 * rim),
    )


def ramp(land: Floats, distance: Floats) -> Floats:
    """A single lane over `land` (n, 4), `distance` (n,) from its middle."""
    return _blend(land, ASPHALT, 0.8 * np.clip(1.4 - distance, 0, 1))


def river(land: Floats, distance: Floats, half_width: Floats, at: Ground) -> Floats:
    """Water of a river over `land` (n, 4), `distance` (n,) from its middle, between wooded or sandy banks."""
    out = distance - half_width
    wooded = np.clip(1 - (out - 2.5 - 1.5 * at.rough[6]) / 2.0, 0, 1) * (at.rough[12] > -0.7)
    land = _blend(land, _spread(np.broadcast_to(HEDGE, land.shape), 2 * at.rough[1], GREEN_AXIS), 0.9 * wooded)
    sandy = np.clip(1.2 - np.abs(out), 0, 1) * (at.rough[12] <= -0.2)
    land = _blend(land, SAND, 0.7 * sandy)
    water = _spread(np.broadcast_to(RIVER, land.shape), 1.0 * at.rough[12] + 0.6 * at.rough[3], GREEN_AXIS)
    return _blend(land, water, np.clip(0.5 - out, 0, 1))


def highway(land: Floats, distance: Floats, at: Ground) -> Floats:
    """Two carriageways over `land` (n, 4), `distance` (n,) from their middle, between grassed verges."""
    verge = np.clip(5.0 + 1.2 * at.rough[6] - distance, 0, 1)
    land = _blend(land, _spread(np.broadcast_to(VERGE, land.shape), 3 * at.rough[3], GREEN_AXIS), 0.85 * verge)
    lanes = np.clip(1.7 - np.abs(distance - 2.1), 0, 1)
    return _blend(land, _spread(np.broadcast_to(ASPHALT, land.shape), 5 * at.rough[1], GREY_AXIS), lanes)
