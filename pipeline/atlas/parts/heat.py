"""Where in the tiles the changes are: what every pixel of the claimed and the undecided ones says."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atlas.collect import CHANGE_STATES, PERCENT_UNKNOWN
from pipeline.atlas.part import Contribution, World, packed
from pipeline.change.heat import COLUMNS, STEPS
from pipeline.errors import TileTableError
from pipeline.results.layout import ChangeState
from pipeline.results.table import tiles_by_grid

_CHANGED = CHANGE_STATES.index(ChangeState.CHANGED)


def contribute(world: World) -> Contribution:
    """`heat`: pixels along a tile's side, steps, tiles kept and left out for want of room; None without any.

    The bytes hold each tile's key (pair * tiles + tile, 32 bits) and then each tile's pixels, the likeliest first.

    Raises:
        TileTableError: the file of the heat is damaged.
    """
    table = _read(world.collected.heat) if world.collected.heat is not None else pd.DataFrame(columns=COLUMNS)
    keys, rank = _keys(world, table)
    order = np.flatnonzero(keys >= 0)[np.argsort(-rank[keys >= 0], kind="stable")]
    if not len(order):
        return Contribution({"heat": None})
    text, kept = _within(world.options.heat_budget, keys[order], table["heat"].to_numpy()[order])
    side = round(len(table["heat"].iloc[0]) ** 0.5)
    told = {"side": side, "steps": STEPS, "tiles": kept, "left": len(order) - kept}
    return Contribution({"heat": told}, {"atlas-heat": text})


def _read(path: Path) -> pd.DataFrame:
    try:
        if missing := [name for name in COLUMNS if name not in pq.read_schema(path).names]:
            raise ValueError(f"lacks {', '.join(missing)}")
        table: pd.DataFrame = pq.read_table(path, columns=list(COLUMNS)).to_pandas()
        if len(sizes := set(table["heat"].str.len())) > 1 or any(round(size**0.5) ** 2 != size for size in sizes):
            raise ValueError("tiles of several sizes")
    except (OSError, pa.ArrowException, ValueError) as error:
        raise TileTableError(f"{path}: holds no heat of changes ({error}); run the pipeline again") from error
    return table


def _keys(world: World, table: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each row's key, -1 where the page does not show its pair, and its rank: claimed above the likelier ones."""
    payload = world.payload
    date = {scene.id: payload.dates.index(scene.day) for scene in world.collected.scenes}
    pairs = {(pair.before, pair.after, pair.plane): at for at, pair in enumerate(payload.pairs)}
    keys, rank = np.full(len(table), -1), np.zeros(len(table), np.int64)
    dates = table[["before", "after"]].map(lambda scene: date.get(scene, -1)).to_numpy(np.int64)
    for grid, rows, index in tiles_by_grid(table["tile_id"].to_numpy()):
        for row, (before, after), (col, line) in zip(rows.tolist(), dates[rows].tolist(), index.tolist(), strict=True):
            for number, plane in enumerate(payload.planes):
                down, right = plane.top_row - line, col - plane.first_col
                inside = plane.epsg == grid.epsg and 0 <= down < plane.rows and 0 <= right < plane.cols
                if inside and (at := pairs.get((before, after, number))) is not None:
                    pair = payload.pairs[at]
                    if pair.state[down, right] == PERCENT_UNKNOWN:  # a tile beyond the region of the page
                        continue
                    keys[row] = at * payload.size + payload.offsets[number] + down * plane.cols + right
                    rank[row] = 1000 * (pair.state[down, right] == _CHANGED) + int(pair.p_change[down, right])
    return keys, rank


def _within(budget: int, keys: npt.NDArray[np.int64], heat: npt.NDArray[np.object_]) -> tuple[str, int]:
    """As many tiles as the budget allows, as text, and how many those are."""
    count = len(keys)
    while True:
        text = packed(keys[:count].astype("<u4").tobytes() + b"".join(heat[:count]))
        if len(text) <= budget or count == 0:
            return text, count
        count = min(count - 1, int(count * budget / len(text)))
