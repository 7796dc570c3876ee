import json
from datetime import date

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.atlas.collect import OUTSIDE, collect
from pipeline.errors import OutputError, TileTableError
from pipeline.results.table import read_table, write_table
from tests.atlas import worlds


def test_scenes_come_in_order_of_date_with_all_they_say(collected):
    assert [scene.day for scene in collected.scenes] == sorted(day.date() for day in worlds.days(3))
    scene = collected.scenes[0]
    assert scene.codes.shape == (30, 20)
    assert (scene.epsg, scene.first_col, scene.top_row) == (32632, 937, 8281)
    assert scene.quicklook is not None
    assert scene.truecolour is not None
    assert collected.model["name"] == "made"
    assert [refusal.error for refusal in collected.refusals] == ["IncompleteScene"]


def test_planes_say_what_the_table_says(world, collected):
    for scene in collected.scenes:
        table = read_table(next(world.glob(f"{scene.id}/tiles.parquet")))
        for row in table.iloc[::37].itertuples():
            at = scene.top_row - row.row, row.col - scene.first_col
            assert scene.codes[at] == row.code
            if row.code >= 0:
                shares = np.array([getattr(row, f"p_{label}") for label in collected.labels])
                assert scene.confidence[at] == round(100 * float(row.confidence))
                assert scene.runner_up[at] == np.argsort(shares)[-2]


def test_tiles_without_a_row_are_outside(tmp_path):
    drop = np.zeros((6, 4), bool)
    drop[3, 1] = True
    worlds.write_scene(
        tmp_path, "a", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))), drop=drop
    )
    scene = collect(tmp_path).scenes[0]
    assert scene.codes[3, 1] == OUTSIDE
    assert (scene.codes == OUTSIDE).sum() == 1


def test_a_folder_without_tables_says_what_to_do(tmp_path):
    with pytest.raises(OutputError, match="run the pipeline"):
        collect(tmp_path)


def test_unfinished_scenes_are_left_out(tmp_path):
    worlds.write_scene(tmp_path, "a", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    worlds.write_scene(tmp_path, ".b", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    assert [scene.id for scene in collect(tmp_path).scenes] == ["a"]


@pytest.mark.parametrize("text", ["{", '{"scenes": 3}', "[]]"])
def test_a_damaged_run_report_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(TileTableError, match=r"run\.json"):
        collect(tmp_path)


def test_a_damaged_table_is_refused(tmp_path):
    place = worlds.write_scene(tmp_path, "a", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    (place / "tiles.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(TileTableError, match="run the pipeline on its scene again"):
        collect(tmp_path)


def test_a_table_that_lacks_a_column_is_refused(tmp_path):
    place = worlds.write_scene(tmp_path, "a", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    pq.write_table(pq.read_table(place / "tiles.parquet").drop_columns(["cloud_fraction"]), place / "tiles.parquet")
    with pytest.raises(TileTableError, match="cloud_fraction"):
        collect(tmp_path)


def test_models_must_not_be_mixed(tmp_path):
    worlds.write_scene(tmp_path, "a", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    few = worlds.EUROSAT.classes[:7]
    legend = worlds.Legend("few", few)
    worlds.write_scene(
        tmp_path, "b", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4), classes=7)), legend=legend
    )
    with pytest.raises(TileTableError, match="other classes"):
        collect(tmp_path)


def test_changes_name_scenes_and_become_days(tmp_path):
    worlds.write_world(tmp_path, dates=2, size=(6, 4), pictures=False, clouds=False)
    first, second = (path.parent.name for path in sorted(tmp_path.glob("*/tiles.parquet")))
    table = read_table(tmp_path / second / "tiles.parquet")[["tile_id", "geometry"]].iloc[5:9]
    changes = gpd.GeoDataFrame(
        {
            "tile_id": table["tile_id"],
            "before": first,
            "after": second,
            "from_label": "Forest",
            "to_label": "Pasture",
            "p_change": [0.1, 0.9, 0.5, np.nan],
            "state": ["stable", "changed", "undecided", "undecided"],
            "change_vector": [0.2, 0.8, np.nan, np.nan],
            "change_class": np.nan,
        },
        geometry=table["geometry"],
        crs=32632,
    )
    write_table(changes, tmp_path / "changes.parquet", {})
    (found,) = collect(tmp_path).changes
    assert (found.before, found.after) == (date(2019, 4, 2), date(2019, 7, 5))
    assert found.p_change.tolist() == [10, 90, 50, 255]
    assert found.state.tolist() == [0, 2, 1, 1]
    assert found.vector is not None
    assert found.vector.tolist() == [20, 80, 255, 255]
    assert found.label is None
    assert [f"32632_{col}_{row}" for col, row in found.index] == table["tile_id"].tolist()


def test_the_run_report_says_which_scenes_belong(tmp_path):
    for name in ("a", "b"):
        worlds.write_scene(tmp_path, name, worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    refusal = {"id": "c", "status": "refused", "error": "NotAScene", "reason": "c: no raster"}
    (tmp_path / "run.json").write_text(json.dumps({"scenes": [{"id": "a", "status": "cached"}, refusal]}))
    found = collect(tmp_path)
    assert [scene.id for scene in found.scenes] == ["a"]
    assert found.refusals[0].reason == "c: no raster"


def test_an_assessment_is_taken_along_and_a_damaged_one_refused(tmp_path):
    worlds.write_scene(tmp_path, "a", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    assert collect(tmp_path).assessment is None
    (tmp_path / "assessment.json").write_text('{"accuracy": 0.9, "accuracy_ci": 0.02, "classes": []}')
    assert collect(tmp_path).assessment["accuracy"] == 0.9
    (tmp_path / "assessment.json").write_text('{"accuracy": 0.9}')
    with pytest.raises(TileTableError, match="accuracy_ci"):
        collect(tmp_path)
