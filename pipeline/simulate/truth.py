"""What is known of a made landscape: the class of every tile at every date."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# From this share of one class on, a tile counts as pure.
PURE = 0.9


class TileTruth(NamedTuple):
    """One tile of one scene; fractions are of the whole tile."""

    scene: str
    """The product's name."""
    date: str
    """Its day of acquisition, such as 2021-07-23."""
    tile_id: str
    """Such as 32632_625_8280."""
    label: str
    """The class with most pixels."""
    purity: float
    """Share of `label` among its pixels, 0..1."""
    valid_fraction: float
    """Share of measured pixels, 0..1."""
    cloud_fraction: float
    """Share under cloud or its shadow, 0..1."""

    @property
    def clear(self) -> bool:
        """Whether one class fills the tile and nothing hides it."""
        return self.purity >= PURE and self.valid_fraction == 1.0 and self.cloud_fraction == 0.0


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of a simulation."""

    products: tuple[Path, ...]
    """Its product folders in order of time."""
    tiles: tuple[TileTruth, ...]
    """Every tile that they touch."""

    @property
    def clear(self) -> dict[tuple[str, str], str]:
        """Label of every pure tile that nothing hides, by scene and tile id."""
        return {(tile.scene, tile.tile_id): tile.label for tile in self.tiles if tile.clear}

    @property
    def changed(self) -> dict[str, tuple[str, str]]:
        """First and last label of the tiles that are pure at both dates and changed, by tile id."""
        first, last = (path.stem for path in (self.products[0], self.products[-1]))
        clear = self.clear
        after = {tile_id: label for (scene, tile_id), label in clear.items() if scene == last}
        before = {tile_id: label for (scene, tile_id), label in clear.items() if scene == first}
        return {
            tile_id: (before[tile_id], label) for tile_id, label in after.items() if before.get(tile_id, label) != label
        }


def write_truth(path: Path, tiles: Sequence[TileTruth]) -> None:
    """Stores the tiles as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(TileTruth._fields)
        writer.writerows(tiles)


def read_truth(path: Path) -> tuple[TileTruth, ...]:
    """The tiles in a `truth.csv`."""
    with path.open(newline="", encoding="utf-8") as stream:
        return tuple(
            TileTruth(row[0], row[1], row[2], row[3], *(float(share) for share in row[4:]))
            for row in list(csv.reader(stream))[1:]
        )
