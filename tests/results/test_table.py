from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import OutputError, TileTableError
from pipeline.grid import TileGrid
from pipeline.legend import EUROSAT, Legend
from pipeline.results.table import (
    LEGEND,
    TileAnswers,
    read_legend,
    read_metadata,
    read_table,
    rounded,
    tile_hectares,
    tile_table,
    tiles_by_grid,
    with_columns,
    write_table,
)
from pipeline.smoothing import smooth

MOMENT = datetime(2024, 6, 1, 10, 30, tzinfo=UTC)


def answers(n: int = 6) -> TileAnswers:
    rng = np.random.default_rng(1)
    index = np.stack([np.arange(n) % 3 + 10, np.arange(n) // 3 + 20], axis=1)
    probabilities = rng.dirichlet(np.ones(10), n).astype(np.float32)
    codes = probabilities.argmax(axis=1).astype(np.int8)
    codes[1], probabilities[1] = -1, np.nan
    return TileAnswers(index, codes, probabilities, np.ones(n, np.float32), np.zeros(n, np.float32))


def table() -> gpd.GeoDataFrame:
    return tile_table(answers(), TileGrid(32632), EUROSAT, "a-scene", MOMENT)


def test_a_table_survives_the_disk(tmp_path):
    path = tmp_path / "tiles.parquet"
    write_table(table(), path, {"software": "x", "grid": {"epsg": 32632}})
    again = read_table(path)
    assert again.crs == TileGrid(32632).crs
    assert again.drop(columns="geometry").equals(table().drop(columns="geometry"))
    assert again.geometry.geom_equals(table().geometry).all()
    assert read_metadata(path) == {"software": "x", "grid": {"epsg": 32632}}
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiles.parquet"]


def test_rows_run_from_north_to_south_and_west_to_east():
    found = table()
    assert list(zip(found["row"], found["col"], strict=True)) == sorted(
        zip(found["row"], found["col"], strict=True), key=lambda at: (-at[0], at[1])
    )


def test_a_tile_without_class_has_no_confidence():
    found = table().set_index("tile_id").loc["32632_11_20"]
    assert found["label"] == "no data"
    assert np.isnan(found[["confidence", "entropy", "margin", "p_Forest"]].astype(float)).all()


@given(hnp.arrays(np.float64, (5, 10), elements=st.floats(0.001, 1)))
def test_rounded_probabilities_keep_their_sum_and_their_winner(weights):
    probabilities = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    found = rounded(probabilities)
    assert np.allclose(found.sum(axis=1, dtype=np.float64), 1, atol=1e-6)
    at = np.arange(len(found))
    assert (found[at, probabilities.argmax(axis=1)] == found.max(axis=1)).all()
    assert np.abs(found - probabilities).max() < 1.001e-4


def test_uncertainty_spans_nought_to_one():
    probabilities = np.zeros((2, 10), np.float32)
    probabilities[0, 3] = 1
    probabilities[1] = 0.1
    index = np.array([[0, 1], [0, 0]])
    ones = np.ones(2, np.float32)
    found = tile_table(
        TileAnswers(index, np.array([3, 0], np.int8), probabilities, ones, ones), TileGrid(32632), EUROSAT, "s", MOMENT
    )
    assert found["entropy"].tolist() == pytest.approx([0, 1])
    assert found["margin"].tolist() == pytest.approx([1, 0])


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_table(table(), tmp_path / "file" / "tiles.parquet", {})


def test_damaged_tables_are_named(tmp_path):
    path = tmp_path / "tiles.parquet"
    path.write_bytes(b"PAR1 but no more")
    with pytest.raises(TileTableError, match="not a tile table"):
        read_table(path)
    table().drop(columns="code").to_parquet(path)
    with pytest.raises(TileTableError, match="lacks the columns code"):
        read_table(path)
    with pytest.raises(TileTableError, match="carries no pipeline metadata"):
        read_metadata(path)


def test_ids_come_apart_by_grid():
    ids = ["32633_5_-7", "32632_625_8280", "32633_6_9"]
    found = [(grid, at.tolist(), index.tolist()) for grid, at, index in tiles_by_grid(ids)]
    assert found == [(TileGrid(32632), [1], [[625, 8280]]), (TileGrid(32633), [0, 2], [[5, -7], [6, 9]])]
    assert list(tiles_by_grid([])) == []
    assert tile_hectares(ids).tolist() == [40.96] * 3
    for grid, _, index in tiles_by_grid(ids):
        assert set(grid.tile_ids(index.tolist())) <= set(ids)


@pytest.mark.parametrize("bad", ["32632_1", "x_1_2", "elsewhere"])
def test_what_is_no_tile_id_is_refused(bad):
    with pytest.raises(ValueError, match="tile id"):
        list(tiles_by_grid([bad]))


def test_a_table_tells_its_legend(tmp_path):
    path = tmp_path / "tiles.parquet"
    own = Legend("own", tuple(replace(entry, label=f"my {entry.label}") for entry in EUROSAT.classes[:3]))
    write_table(table(), path, {LEGEND: asdict(own)})
    assert read_legend(path) == own
    write_table(table(), path, {})
    with pytest.raises(TileTableError, match="does not tell its classes"):
        read_legend(path)


def test_more_columns_go_in_front_of_the_geometry_by_tile():
    before = table()
    more = pd.DataFrame({"share": [0.5, 0.25]}, index=before["tile_id"].iloc[[2, 0]].to_numpy())
    after = with_columns(before, more)
    assert list(after.columns) == [*before.columns.drop("geometry"), "share", "geometry"] and after.crs == before.crs
    assert after["share"].iloc[[0, 2]].tolist() == [0.25, 0.5] and after["share"].iloc[1:2].isna().all()
    assert after[before.columns].equals(before)
    assert with_columns(before, None) is before


def test_every_column_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    columns = smooth(table(), EUROSAT).columns
    assert "label_raw" in columns
    assert not [name for name in columns if f"`{name}`" not in page and not name.startswith("p_")]
    assert "`p_<class>`" in page
