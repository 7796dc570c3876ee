"""The looks at a place's tiles, taken one after the other; memory grows with the ground, not with the looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.composite.pool import TILE_DEPENDENCE, pooled
from pipeline.grid import TileGrid
from pipeline.legend import Legend, TileState
from pipeline.results.looks import clearer, clearest
from pipeline.results.table import TileAnswers, probability_columns, tile_table, with_columns

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ground:
    """The rectangle of tiles that a composite covers."""

    grid: TileGrid
    """The tiles' grid."""
    columns: range
    """From west to east."""
    rows: range
    """From south to north."""

    @property
    def shape(self) -> tuple[int, int]:
        """Tiles down and across."""
        return len(self.rows), len(self.columns)

    def position(self, columns: npt.NDArray[np.integer], rows: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
        """Where tiles lie among all, counted from the north-west row by row."""
        return np.asarray((self.rows.stop - 1 - rows) * len(self.columns) + columns - self.columns.start, np.intp)

    def index(self) -> npt.NDArray[np.int64]:
        """Column and row (n, 2) of every tile, in the same order."""
        down, across = np.divmod(np.arange(len(self.rows) * len(self.columns)), len(self.columns))
        return np.stack([self.columns.start + across, self.rows.stop - 1 - down], axis=1)


class Answer(NamedTuple):
    """What all looks say of the tiles."""

    table: gpd.GeoDataFrame
    """A tile table, with `looks`, `disagreement` and `clearest` besides."""
    spoken: dict[str, Bools]
    """Which tiles (n,) of the ground those scenes speak for that share their pass with another scene."""


class TilePool:
    """Adds up what the looks at each tile say.

    Cloud, missing data and unfamiliar looks are left out; where nothing else was seen, the tile is what most was known
    of it: unclassified before cloud before no data.
    """

    def __init__(self, ground: Ground, legend: Legend, dependence: float = TILE_DEPENDENCE) -> None:
        self._ground, self._legend, self._dependence = ground, legend, dependence
        count, classes = ground.shape[0] * ground.shape[1], len(legend.classes)
        self._total = np.zeros((count, classes))
        self._votes = np.zeros((count, classes), np.uint16)
        self._state = np.full(count, TileState.NO_DATA, np.int8)
        self._seen = np.zeros(count, np.bool_)
        # The clearest look so far: whether it carries a class, its shares and its number.
        self._clear = np.zeros(count, np.bool_)
        self._valid = np.full(count, -1.0, np.float32)
        self._cloud = np.full(count, np.nan, np.float32)
        self._best = np.full(count, -1, np.int32)
        self._names: list[str] = []
        self._spoken: dict[str, Bools] = {}

    def add(self, tables: Sequence[gpd.GeoDataFrame]) -> None:
        """The scenes of one pass; where they overlap, they show the same pixels and are one look, the clearest."""
        columns = ["tile_id", "col", "row", "scene", "code", "valid_fraction", "cloud_fraction"]
        columns += probability_columns(self._legend.labels)
        rows = pd.concat([pd.DataFrame(table[columns]).astype({"scene": object}) for table in tables])
        if len(tables) > 1:
            rows = clearest(rows, ["tile_id"])
        at = self._ground.position(rows["col"].to_numpy(), rows["row"].to_numpy())
        for name in sorted({str(scene) for table in tables for scene in table["scene"].unique()}):
            here = (rows["scene"] == name).to_numpy()
            if len(tables) > 1:
                self._spoken[name] = np.zeros(len(self._seen), np.bool_)
                self._spoken[name][at[here]] = True
            self._take(name, rows[here], at[here])

    def _take(self, name: str, rows: pd.DataFrame, at: npt.NDArray[np.intp]) -> None:
        codes = rows["code"].to_numpy()
        known = codes >= 0
        labels = probability_columns(self._legend.labels)
        self._total[at[known]] += rows[labels].to_numpy(np.float64)[known]
        self._votes[at[known], codes[known]] += 1
        self._state[at] = np.minimum(self._state[at], codes)
        valid, cloud = (rows[column].to_numpy(np.float32) for column in ("valid_fraction", "cloud_fraction"))
        # A look that nothing tells the clouds of is no clearer than one that is known to be clear.
        better = (known & ~self._clear[at]) | (
            (known == self._clear[at])
            & clearer(valid, np.nan_to_num(cloud, nan=1.0), self._valid[at], np.nan_to_num(self._cloud[at], nan=1.0))
        )
        first, self._seen[at] = ~self._seen[at], True
        won = at[better | first]
        self._clear[won], self._best[won] = known[better | first], len(self._names)
        self._valid[won], self._cloud[won] = valid[better | first], cloud[better | first]
        self._names.append(name)

    def answer(self, name: str, moment: datetime) -> Answer:
        """The composite's table; `name` and `moment` stand in its columns `scene` and `acquired`."""
        seen = self._seen
        count = self._votes[seen].sum(axis=1, dtype=np.int64)
        clear = count > 0
        probabilities = np.full((len(count), len(self._legend.classes)), np.nan, np.float32)
        probabilities[clear] = pooled(self._total[seen][clear], count[clear], self._dependence)
        codes = np.where(clear, np.nan_to_num(probabilities).argmax(axis=1), self._state[seen]).astype(np.int8)
        index = self._ground.index()[seen]
        answers = TileAnswers(index, codes, probabilities, self._valid[seen], self._cloud[seen])
        table = tile_table(answers, self._ground.grid, self._legend, name, moment)
        winners = self._votes[seen][np.arange(len(count)), np.maximum(codes, 0)]
        more = pd.DataFrame(
            {
                "looks": count.astype(np.int16),
                "disagreement": np.where(clear, 1.0 - winners / np.maximum(count, 1), np.nan).astype(np.float32),
                "clearest": pd.Categorical([self._names[number] for number in self._best[seen]]),
            }
        )
        ids = self._ground.grid.tile_ids(index.tolist())
        return Answer(with_columns(table, more.set_axis(ids, axis=0)), self._spoken)
