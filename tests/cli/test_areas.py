import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.grid import TileGrid
from pipeline.legend import EUROSAT
from pipeline.results.table import LEGEND, TileAnswers, read_table, tile_table, write_table


@pytest.fixture
def tiles(tmp_path):
    """Results of one scene: 60 forest tiles, 40 lake tiles, 5 without data."""
    index = np.stack([np.arange(105) % 15, np.arange(105) // 15], axis=1) + 1000
    codes = np.array([1] * 60 + [9] * 40 + [-1] * 5, np.int8)
    probabilities = np.full((105, 10), 0.01, np.float32)
    probabilities[np.arange(100), codes[:100]] = 0.91
    probabilities[100:] = np.nan
    ones = np.ones(105, np.float32)
    folder = tmp_path / "tiles" / "some-model" / "a-scene"
    folder.mkdir(parents=True)
    write_table(
        tile_table(
            TileAnswers(index, codes, probabilities, ones, ones),
            TileGrid(32632),
            EUROSAT,
            "a-scene",
            datetime(2024, 6, 1, 10, 30, tzinfo=UTC),
        ),
        folder / "tiles.parquet",
        {LEGEND: asdict(EUROSAT)},
    )
    (folder.parent / "run.json").write_text(json.dumps({"scenes": [{"id": "a-scene", "status": "done"}]}))
    return tmp_path / "tiles"


def invoke(*arguments):
    answer = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_hectares_by_class_and_region(tiles, tmp_path):
    told = invoke("areas", tiles)
    assert "Forest                         2,458 ha   60.0%" in told
    assert "2024-06-01  Cameroon" in told and "Natural Earth 1:110m; borders and coasts are good to about 25 km" in told
    region = {"type": "Polygon", "coordinates": [[[-180, -80], [180, -80], [180, 84], [-180, 84], [-180, -80]]]}
    regions = tmp_path / "regions.geojson"
    regions.write_text(
        json.dumps(
            {
                "type": "FeatureCollection",
                "features": [{"type": "Feature", "properties": {"name": "World"}, "geometry": region}],
            }
        )
    )
    assert "2024-06-01  World" in invoke("areas", tiles, "--regions", regions, "--csv", tmp_path / "areas.csv")
    assert pd.read_csv(tmp_path / "areas.csv")["hectares"].sum() == pytest.approx(100 * 40.96)


def test_a_sample_that_a_person_labelled_adjusts_the_areas(tiles, tmp_path):
    out = tmp_path / "sample.csv"
    invoke("sample", tiles, out, "--size", 40, "--least", 10)
    drawn = pd.read_csv(out, dtype=str)
    assert len(drawn) == 40 and drawn["label"].isna().all()
    map_labels = drawn["tile_id"].map(
        lambda name: (
            "Forest" if (int(name.split("_")[2]) - 1000) * 15 + int(name.split("_")[1]) - 1000 < 60 else "SeaLake"
        )
    )
    drawn["label"] = map_labels.where(map_labels.index % 8 > 0, "Pasture")
    drawn.to_csv(out, index=False)
    text = invoke("assess", tiles, out)
    assert "40 labelled tiles" in text and "Pasture" in text
    found = json.loads((tiles / "some-model" / "assessment.json").read_text())
    assert 0.75 < found["accuracy"] < 1
    assert sum(row["adjusted_ha"] for row in found["classes"]) == pytest.approx(100 * 40.96)


def test_labels_of_another_date_or_class_do_not_pass_in_silence(tiles, tmp_path):
    out = tmp_path / "sample.csv"
    invoke("sample", tiles, out, "--size", 30, "--least", 10)
    drawn = pd.read_csv(out, dtype=str)
    assert set(drawn["date"]) == {"2024-06-01"}
    drawn["label"] = "  forest"
    drawn.loc[:4, "label"] = "Dessert"
    drawn.to_csv(out, index=False)
    told = invoke("assess", tiles, out)
    assert "classes of their own: Dessert" in told and "fewer than 20 labelled tiles of" in told and "nan" not in told
    drawn.assign(date="2020-01-01").to_csv(out, index=False)
    answer = CliRunner().invoke(main, ["assess", str(tiles), str(out)])
    assert answer.exit_code == 1 and "has no date 2020-01-01" in answer.output
    answer = CliRunner().invoke(main, ["assess", str(tiles), str(out), "--date", "2024-06-01"])
    assert answer.exit_code == 1 and "the sample is of 2020-01-01" in answer.output


def test_export_keeps_every_tile(tiles, tmp_path):
    import geopandas as gpd

    for name in ("tiles.gpkg", "tiles.geojson"):
        invoke("export", tiles, tmp_path / name)
        found = gpd.read_file(tmp_path / name)
        assert len(found) == 105 and found.crs.to_epsg() == 4326 and found["tile_id"].is_unique
    invoke("export", tiles, tmp_path / "tiles.csv")
    assert len(pd.read_csv(tmp_path / "tiles.csv")) == 105


@pytest.fixture
def two_orbits(tiles):
    """The same place once more, seen from the next orbit 100 minutes later, a little worse."""
    first = tiles / "some-model" / "a-scene" / "tiles.parquet"
    table = read_table(first)
    later = table.assign(
        scene="b-scene", acquired=table["acquired"] + timedelta(minutes=100), valid_fraction=np.float32(0.9)
    )
    (tiles / "some-model" / "b-scene").mkdir()
    write_table(later, tiles / "some-model" / "b-scene" / "tiles.parquet", {LEGEND: asdict(EUROSAT)})
    return tiles


def test_two_orbits_of_a_day_count_a_place_once(two_orbits, tmp_path):
    assert "Forest                         2,458 ha   60.0%" in invoke("areas", two_orbits)
    invoke("sample", two_orbits, tmp_path / "sample.csv", "--size", 1000)
    drawn = pd.read_csv(tmp_path / "sample.csv", dtype=str)
    assert len(drawn) == 100 and drawn["tile_id"].is_unique
    drawn["label"] = np.where(np.arange(100) % 10, "Forest", "SeaLake")
    drawn.to_csv(tmp_path / "sample.csv", index=False)
    assert "100 labelled tiles" in invoke("assess", two_orbits, tmp_path / "sample.csv")


def test_results_without_data_are_told(tiles, tmp_path):
    place = tiles / "some-model" / "a-scene" / "tiles.parquet"
    table = read_table(place)
    write_table(table[table["code"] == -1], place, {LEGEND: asdict(EUROSAT)})
    answer = CliRunner().invoke(main, ["sample", str(tiles), str(tmp_path / "sample.csv")])
    assert answer.exit_code == 1 and "no tile of any scene holds data" in answer.output


def test_results_tell_their_own_legend(tiles, tmp_path):
    """Labels are matched with the classes that the table tells, whatever model has the name."""
    place = tiles / "some-model" / "a-scene" / "tiles.parquet"
    own = {"name": "own", "classes": [asdict(entry) | {"label": entry.label.lower()} for entry in EUROSAT.classes]}
    write_table(read_table(place), place, {LEGEND: own})
    pd.DataFrame({"tile_id": read_table(place)["tile_id"][:100], "label": "FOREST"}).to_csv(tmp_path / "l.csv")
    assert "forest " in invoke("assess", tiles, tmp_path / "l.csv")
    write_table(read_table(place), place, {})
    answer = CliRunner().invoke(main, ["assess", str(tiles), str(tmp_path / "l.csv")])
    assert answer.exit_code == 1 and "does not tell its classes" in answer.output
