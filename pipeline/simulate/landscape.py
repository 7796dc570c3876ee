"""The made landscape: where which land lies at each date, and how it looks to the sensor."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from pipeline.legend import COVER, EUROSAT, CoverState
from pipeline.simulate import surfaces
from pipeline.simulate.fields import Bools, Floats, Ground, noise

HEIGHT, WIDTH = 1350, 1600
# West and north edge: on the 60 m lattice of granules, 340 m and 120 m off the 640 m grid of tiles.
EPSG, WEST, NORTH = 32632, 512_340, 5_287_800
GSD = 10
TILE = 64
# Columns and rows of pixels that lie before the first whole tile.
LEAD_X, LEAD_Y = 30, 12

CODE = {label: code for code, label in enumerate(EUROSAT.labels)}
# EuroSAT names a chip after the line that crosses it: ground within 400 m of a line through its middle bears the line's
# name.
CORRIDOR = 40.0
# Pixels to either side of a river's or road's middle that surely are water, and that may be road.
WATERWAY, ROADSIDE = 7.0, 12.0
# What mostly stands on a class's ground, houses with their gardens as one.
COVER_OF = {
    "AnnualCrop": "crops",
    "Forest": "trees",
    "HerbaceousVegetation": "grass",
    "Highway": "built",
    "Industrial": "built",
    "Pasture": "grass",
    "PermanentCrop": "crops",
    "Residential": "built",
    "River": "water",
    "SeaLake": "water",
}
SCALES = (1, 3, 6, 12, 30)

# What an atmosphere takes and adds per band (B04, B03, B02), L1C = L2A * transmitted + path: the harmonisation of the
# model's card.
TRANSMITTED = np.array([0.885, 0.814, 0.783], dtype=np.float32)
PATH = np.array([0.0236, 0.0402, 0.0694], dtype=np.float32)
# Codes of EuroSAT: DN 0..2750 on 1..255 (the data set's README).
REFLECTANCE_PER_CODE = 0.275 / 254

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Change:
    """A planted change of land."""

    label: str
    """What it bears from the second date on."""
    box: Box
    """West, north, east, south in tiles."""


CHANGES = (
    Change("AnnualCrop", (19.9, 14.9, 23.1, 17.1)),
    Change("Residential", (17.9, 0.9, 22.1, 3.1)),
    Change("Industrial", (20.9, 9.9, 23.1, 13.1)),
    Change("HerbaceousVegetation", (1.9, 1.9, 5.1, 4.1)),
)
# Middle and radius of the town and the villages, in tiles.
TOWNS = ((11.9, 15.3, 3.1), (10.6, 11.0, 0.55), (20.6, 4.4, 0.6), (22.4, 7.3, 0.55), (2.4, 9.9, 0.5), (13.6, 19.2, 0.5))
# Lines run through the middle of tiles (the halves) where they can, so that many tiles show them as EuroSAT's chips do.
RIVER = (
    (25.2, 5.4),
    (23.5, 5.6),
    (21.5, 5.35),
    (19.5, 5.6),
    (17.5, 5.4),
    (15.5, 5.6),
    (13.5, 5.5),
    (12.5, 6.5),
    (11.5, 7.5),
    (10.5, 8.5),
    (9.6, 9.5),
    (9.4, 10.5),
    (9.5, 11.6),
    (8.5, 12.5),
    (7.6, 13.4),
    (6.4, 14.3),
)
OUTFLOW = ((4.4, 16.5), (4.5, 18.4), (4.55, 19.5), (4.3, 21.5))
EAST_WEST = (
    (-0.8, 6.4),
    (0.5, 6.5),
    (3.5, 6.55),
    (5.5, 6.5),
    (6.5, 7.3),
    (7.5, 8.3),
    (8.5, 8.55),
    (12.5, 8.5),
    (16.5, 8.45),
    (20.5, 8.55),
    (24.8, 8.5),
)
SOUTHWARD = ((15.5, 8.5), (15.55, 11.5), (15.45, 14.5), (15.5, 17.5), (15.6, 21.4))
NORTHWARD = ((15.5, 8.5), (15.45, 5.5), (15.5, 3.5), (15.55, 1.5), (15.5, -0.8))


def _curve(points: tuple[tuple[float, float], ...]) -> Floats:
    """A smooth line (n, 2) through points given in tiles, sampled finer than a pixel, in pixels."""
    corners = np.array(points) * TILE + (LEAD_X, LEAD_Y)
    run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    return np.asarray(CubicSpline(run, corners)(np.arange(0.0, run[-1], 0.7)), dtype=np.float32)


def _distance(lines: list[Floats]) -> Floats:
    """Distance (y, x) in pixels to the nearest of some lines; infinite beyond one and a half corridors."""
    points = np.concatenate(lines)
    near = np.zeros((HEIGHT, WIDTH), dtype=bool)
    inside = points[
        (points[:, 0] >= 0) & (points[:, 0] < WIDTH) & (points[:, 1] >= 0) & (points[:, 1] < HEIGHT)
    ].astype(int)
    near[inside[:, 1], inside[:, 0]] = True
    reach = int(1.5 * CORRIDOR)
    near = ndimage.maximum_filter(near, size=2 * reach + 1)
    out = np.full((HEIGHT, WIDTH), np.inf, dtype=np.float32)
    rows, cols = np.nonzero(near)
    out[near] = cKDTree(points).query(np.stack([cols + 0.5, rows + 0.5], axis=1), distance_upper_bound=reach)[0]
    return out


class Landscape:
    """One landscape made from a seed, seen at date 0 and, with changes, at date 1.

    `river` and `roads` (one field a date: the northward highway is built before date 1) are distances (y, x) in pixels
    to the middle of the nearest line, `ground` (one field a date) class codes (y, x) of the land, lines left out.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.default_rng(seed)
        self.rough: dict[int, Floats] = {
            scale: noise((HEIGHT, WIDTH), 0.55 if scale == 1 else scale, rng) for scale in SCALES
        }
        self.wide, self.other = noise((HEIGHT, WIDTH), 70, rng), noise((HEIGHT, WIDTH), 70, rng)
        self.y, self.x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
        self.river = _distance([_curve(RIVER), _curve(OUTFLOW)])
        old = _distance([_curve(EAST_WEST), _curve(SOUTHWARD)])
        self.roads = (old, np.minimum(old, _distance([_curve(NORTHWARD)])))
        self.ground = (self._lay_out(0), self._lay_out(1))

    def _lay_out(self, date: int) -> npt.NDArray[np.int8]:
        u, v = (self.x - LEAD_X) / TILE, (self.y - LEAD_Y) / TILE
        fringe = 0.05 * self.rough[30] + 0.03 * self.rough[12] + 0.015 * self.rough[6]
        bent_u, bent_v = u + 0.30 * self.wide + fringe, v + 0.30 * self.other + fringe
        ground = np.full((HEIGHT, WIDTH), CODE["AnnualCrop"], dtype=np.int8)

        def lay(label: str, where: Bools) -> None:
            ground[where] = CODE[label]

        lay("Pasture", (bent_v < 7.2 - 0.06 * (bent_u - 12)) & (bent_u > 12.5))
        lay("Forest", (self.wide + self.other > 2.1) & (self.rough[30] > -0.6))
        lay("Forest", (self.rough[30] > 2.0) & (self.wide > -0.3))
        lay(
            "HerbaceousVegetation",
            (bent_v < 5.6 - 0.2 * np.abs(bent_u - 10.0)) & (bent_u > 6.5) & (bent_u < 13.8 - 0.2 * bent_v),
        )
        lay("PermanentCrop", (bent_v >= 5.5) & (bent_v < 12.0) & (bent_u < 8.2 - 0.15 * np.abs(bent_v - 8.5)))
        lay("Forest", (bent_v < 6.1) & (bent_u + 0.25 * bent_v < 8.0))
        lay("Forest", (bent_v > 13.6) & (bent_u - 0.35 * (bent_v - 14) > 17.4))
        # Flood meadows line the river and grassland the highways.
        along = (self.river < 22 + 7 * self.rough[30]) | (self.roads[date] < 34 + 10 * self.rough[30])
        lay("Pasture", along & np.isin(ground, (CODE["AnnualCrop"], CODE["PermanentCrop"])))
        for east, south, radius in TOWNS:
            lay("Residential", np.hypot(bent_u - east, bent_v - south) < radius * (1 + 0.12 * self.rough[30]))
        lay(
            "Industrial",
            (u > 17.0)
            & (u < 21.0 + 0.2 * self.rough[30])
            & (v > 9.35 + 0.1 * self.other)
            & (v < 13.0 + 0.2 * self.wide),
        )
        lay("SeaLake", (np.abs((bent_u - 4.3) / 4.5) ** 2.4 + np.abs((bent_v - 15.6) / 3.3) ** 2.4) < 1)
        if date:
            for change in CHANGES:
                west, north, east, south = change.box
                lay(
                    change.label,
                    (u + fringe >= west) & (u + fringe < east) & (v - fringe >= north) & (v - fringe < south),
                )
        return ground

    def classes(self, date: int) -> npt.NDArray[np.int8]:
        """Class codes (y, x) as a person would label them, corridors of river and highway included."""
        labelled = self.ground[date].copy()
        dry = labelled != CODE["SeaLake"]
        labelled[(self.river < CORRIDOR) & dry] = CODE["River"]
        labelled[(self.roads[date] < CORRIDOR) & dry] = CODE["Highway"]
        return labelled

    def covers(self, date: int) -> npt.NDArray[np.uint8]:
        """Codes (y, x) of `pipeline.legend.COVER`: what stands there; 255 beside rivers and on roads."""
        code = {label: at for at, label in enumerate(COVER.labels)}
        of_class = np.array([code[COVER_OF[label]] for label in EUROSAT.labels], np.uint8)
        found = of_class[self.ground[date]]
        dry = found != code["water"]
        found[(self.river < CORRIDOR) & dry] = CoverState.NO_DATA
        found[(self.river < WATERWAY) & dry] = code["water"]
        found[(self.roads[date] < ROADSIDE) & dry] = CoverState.NO_DATA
        return found

    def _ground_at(self, where: Bools, date: int, ripe: float = 0.0) -> Ground:
        return Ground(
            self.x[where],
            self.y[where],
            {scale: field[where] for scale, field in self.rough.items()},
            1000 * self.seed + 100 * date,
            ripe,
        )

    def _ramps(self, date: int) -> Floats:
        """Distance (y, x) in pixels to the loops of the junction: two before the northward highway, four with it."""
        ((across, down),) = {*SOUTHWARD} & {*NORTHWARD}
        east, south = self.x - across * TILE - LEAD_X, self.y - down * TILE - LEAD_Y
        return np.asarray(np.abs(np.hypot(np.abs(east) - 12.5, (np.abs(south) if date else south) - 12.5) - 8.5))

    def codes(self, date: int, ripe: float = 0.0) -> Floats:
        """What a perfect eye sees (y, x, 4): codes of R, G, B as in EuroSAT (not clipped), NIR reflectance.

        `ripe` is the share of the fields that have another colour than at first in the season.
        """
        ground = self.ground[date]
        seen = np.empty((HEIGHT, WIDTH, 4), dtype=np.float32)
        for label, surface in surfaces.SURFACES.items():
            where = ground == CODE[label]
            # Fields are sown anew each year; hedges, houses and halls stay.
            seen[where] = surface(self._ground_at(where, date if label == "AnnualCrop" else 0, ripe))
        wet = ground == CODE["SeaLake"]
        # How much lake surrounds a pixel: 0.5 on the shore.
        inland = ndimage.gaussian_filter(wet.astype(np.float32), 5.0)
        where = (inland > 0.05) & (inland < 0.95)
        seen[where] = surfaces.shore(seen[where], inland[where], wet[where], self._ground_at(where, 0))
        where = np.isfinite(self.river) & ~wet
        half_width = 11.5 + 1.2 * self.wide[where] + 0.5 * self.rough[30][where]
        seen[where] = surfaces.river(seen[where], self.river[where], half_width, self._ground_at(where, 0))
        roads = self.roads[date]
        where = np.isfinite(roads)
        seen[where] = surfaces.ramp(seen[where], self._ramps(date)[where])
        seen[where] = surfaces.highway(seen[where], roads[where], self._ground_at(where, 0))
        return seen

    def reflectance(self, date: int, look: int, ripe: float = 0.0) -> Floats:
        """Surface reflectance (4, y, x) of B04, B03, B02, B08, blurred and noisy as from the sensor at a `look`."""
        seen = self.codes(date, ripe)
        rng = np.random.default_rng((self.seed, look))
        relief = ndimage.sobel(self.wide + 0.3 * self.rough[30], axis=1) * 0.4
        bands = np.empty((4, HEIGHT, WIDTH), dtype=np.float32)
        for band in range(4):
            band_seen = seen[..., band]
            if band < 3:
                band_seen = ((band_seen - 1) * REFLECTANCE_PER_CODE - PATH[band]) / TRANSMITTED[band]
            # The instrument's point spread function has a width at half maximum of about 1.3 pixels.
            band_seen = ndimage.gaussian_filter(band_seen, 0.62, truncate=3.0) * (1 + 0.03 * np.clip(relief, -2, 2))
            bands[band] = band_seen + 0.0007 * rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32)
        return bands
