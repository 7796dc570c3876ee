"""Results seen in another legend: every verb takes them, and the results themselves stay as they are."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from click.testing import CliRunner

from pipeline.atlas.collect import collect
from pipeline.change import changes
from pipeline.cli import main
from pipeline.crosswalk.correspondence import find_crosswalk, read_crosswalk
from pipeline.crosswalk.view import Wanted, in_other_legend
from pipeline.errors import CrosswalkError, TileTableError
from pipeline.legend import EUROSAT
from pipeline.results.table import read_legend, read_metadata, read_table, write_table
from tests.made_results import results, scene, stripes
from tests.runs import folder_bytes

ALL = Wanted(cover=True, rasters=True, changes=True)


@pytest.fixture
def codes():
    """Fields, pasture and meadows in the west, a wood, a lake; not square."""
    plane = np.zeros((5, 7), int)
    plane[:, 2] = 5
    plane[:, 3] = 2
    plane[:3, 4] = 1
    plane[:, 5:] = 9
    plane[4, 6] = -2
    return plane


@pytest.fixture
def folder(tmp_path, codes):
    """Two dates of one place; between them the wood became fields, and fields became orchards."""
    place = results(tmp_path / "tiles" / "some-model", "one", "two")
    scene(place, "one", codes, cover=stripes(*codes.shape))
    later = codes.copy()
    later[:3, 4] = 0
    later[:, 0] = 6
    scene(place, "two", later, days=730)
    tables = [read_table(place / name / "tiles.parquet") for name in ("one", "two")]
    write_table(changes(tables, {}, {}, legend=EUROSAT), place / "changes.parquet", {"prior_per_year": 0.05})
    return place


def test_tables_rasters_items_and_changes_are_translated(folder, codes):
    with in_other_legend(folder, find_crosswalk("corine1"), ALL) as view:
        legend = read_legend(view / "one" / "tiles.parquet")
        table = read_table(view / "one" / "tiles.parquet")
        assert legend.labels == ("Artificial", "Agricultural", "ForestSeminatural", "Water")
        by_place = table.set_index(["col", "row"])["label"]
        assert by_place[780, 8004] == "Agricultural" and by_place[783, 8000] == "ForestSeminatural"
        assert by_place[784, 8004] == "ForestSeminatural" and by_place[786, 8000] == "cloud"
        told = read_metadata(view / "one" / "tiles.parquet")["crosswalk"]
        assert told["title"] == "CORINE Land Cover, level 1" and any("Orchards" in note for note in told["notes"])
        page = collect(view)
        assert page.labels == legend.labels
        cover = page.scenes[0].cover
        names = {one["value"]: one["name"] for one in cover.classes}
        with rasterio.open(cover.raster) as raster:
            pixels, sure = raster.read()
            assert raster.tags(1)["CLASS_0"] == names[0] and raster.tags(1)["CLASS_254"] == "cloud"
            assert raster.colormap(1)[0][:3] == tuple(bytes.fromhex(cover.classes[0]["colour"][1:]))
        with rasterio.open(folder / "one" / "cover.tif") as raster:
            own, own_sure = raster.read()
        becomes = ["Water", "ForestSeminatural", "GrasslandAnyUse", "Wetlands", "Agricultural", "ForestSeminatural"]
        becomes += ["Artificial", "ForestSeminatural"]
        assert [names[code] for code in np.unique(pixels[own == 4])] == [becomes[4]]
        known = own < 8
        assert [names[code] for code in pixels[known].tolist()] == [becomes[code] for code in own[known].tolist()]
        np.testing.assert_array_equal(pixels[~known], own[~known])
        np.testing.assert_array_equal(sure, own_sure)
        moved = pd.read_parquet(view / "changes.parquet", columns=["from_label", "to_label", "change_class"])
        own_moves = pd.read_parquet(folder / "changes.parquet", columns=["from_label", "to_label", "change_class"])
        # An orchard in place of a field is no change of these classes, fields in place of a wood are one.
        stays = moved[(moved["from_label"] == "Agricultural") & (moved["to_label"] == "Agricultural")]
        felled = moved[moved["from_label"] != moved["to_label"]]
        assert len(felled) == 3 and felled["change_class"].min() > 10 * stays["change_class"].max()
        orchards = own_moves[own_moves["to_label"] == "PermanentCrop"]["change_class"]
        assert orchards.min() > 3 * stays["change_class"].max()
        assert read_metadata(view / "changes.parquet")["prior_per_year"] == 0.05
    assert not view.exists()


def test_the_results_stay_as_they_are_and_nothing_is_left(folder):
    before, temporary = folder_bytes(folder), set(Path(tempfile.gettempdir()).glob("landcover-legend-*"))
    with in_other_legend(folder, find_crosswalk("ipcc"), ALL):
        pass
    with pytest.raises(ZeroDivisionError), in_other_legend(folder, find_crosswalk("ipcc"), ALL):
        raise ZeroDivisionError
    assert folder_bytes(folder) == before
    assert set(Path(tempfile.gettempdir()).glob("landcover-legend-*")) == temporary


def test_a_table_that_knows_tiles_alone_leaves_the_cover_out(folder, tmp_path, caplog):
    path = tmp_path / "tiles-only.csv"
    path.write_text("from,label\n" + "".join(f"{label},{'AB'[at % 2]}\n" for at, label in enumerate(EUROSAT.labels)))
    with in_other_legend(folder, read_crosswalk(path), Wanted(rasters=True)) as view:
        assert not (view / "one" / "cover.tif").exists() and collect(view).scenes[0].cover is None
    assert "knows nothing of the cover" in caplog.text
    with (
        pytest.raises(CrosswalkError, match="no row for any class of the cover"),
        in_other_legend(folder, read_crosswalk(path), Wanted(tiles=False, cover=True)),
    ):
        pass


def test_a_table_that_knows_the_cover_alone_serves_the_cover(folder, tmp_path):
    path = tmp_path / "cover-only.csv"
    labels = ("water", "trees", "grass", "flooded", "crops", "shrub", "built", "bare")
    path.write_text("from,label\n" + "".join(f"{label},{'wet' if label == 'water' else 'dry'}\n" for label in labels))
    told = invoke("areas", folder.parent, "--product", "cover", "--legend", path)
    assert "wet " in told and "dry " in told and "trees" not in told
    answer = CliRunner().invoke(main, ["areas", str(folder.parent), "--legend", str(path)])
    assert answer.exit_code == 1 and "has no row for any class of eurosat" in answer.output


def test_a_folder_without_scenes_is_told(tmp_path):
    with (
        pytest.raises(TileTableError, match="holds no finished scene"),
        in_other_legend(results(tmp_path / "m"), find_crosswalk("ipcc")),
    ):
        pass


def invoke(*arguments):
    answer = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_hectares_in_another_legend_are_sums_of_the_own(folder, tmp_path):
    invoke("areas", folder.parent, "--csv", tmp_path / "own.csv")
    told = invoke("areas", folder.parent, "--csv", tmp_path / "other.csv", "--legend", "corine1")
    own, other = (
        pd.read_csv(tmp_path / name).groupby(["date", "label"])["hectares"].sum() for name in ("own.csv", "other.csv")
    )
    day = "2024-06-01"
    assert other[day, "Agricultural"] == pytest.approx(own[day, "AnnualCrop"] + own[day, "Pasture"])
    assert other[day, "cloud"] == own[day, "cloud"] and "Agricultural" in told


def test_a_sample_of_another_legend_is_assessed_in_it_and_shown_on_its_page(folder, tmp_path):
    drawn = tmp_path / "sample.csv"
    asked = ("--date", "2024-06-01", "--legend", "corine1")
    told = invoke("sample", folder.parent, drawn, "--size", 30, "--least", 3, *asked)
    assert "--legend corine1" in told
    labels = pd.read_csv(drawn, dtype=str)
    west, north = (labels["tile_id"].str.split("_").str[at].astype(int) for at in (1, 2))
    wood = (west == 783) | ((west == 784) & (north >= 8002))
    labels["label"] = np.select([wood, west < 785], ["forestseminatural", "Agricultural"], "Water")
    labels.to_csv(drawn, index=False)
    assert "accuracy 100.0%" in invoke("assess", folder.parent, drawn, "--legend", "corine1")
    assert (folder / "assessment-corine1.json").is_file() and not (folder / "assessment.json").exists()
    invoke("atlas", folder.parent, "--legend", "corine1", "--maps", tmp_path / "maps")
    page = (tmp_path / "maps" / "atlas.html").read_text(encoding="utf-8")
    assert "Agricultural areas" in page and "What these classes cannot tell apart" in page
    assert "translated from those of eurosat and cover" in page and '"accuracy": 1.0' in page
    invoke("atlas", folder.parent, "--maps", tmp_path / "maps")
    assert '"classNotes": []' in (tmp_path / "maps" / "atlas.html").read_text(encoding="utf-8")
    wrong = CliRunner().invoke(main, ["assess", str(folder.parent), str(drawn)])
    assert wrong.exit_code == 1 and "drawn from map" in wrong.output


def test_export_report_and_change_take_another_legend(folder, tmp_path):
    invoke("export", folder.parent, tmp_path / "tiles.csv", "--legend", "lccs")
    assert {"p_A11", "p_B27B28"} <= set(pd.read_csv(tmp_path / "tiles.csv"))
    invoke("report", folder.parent, "--legend", "ipcc", "-o", tmp_path / "report.html", "--between", "2024,2026")
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Forest land" in report and "Sown grass within a crop rotation is cropland" in report
    assert "The accuracy of the model is that of its own classes" in report
    invoke("change", "one", "two", "--tiles", folder.parent, "--legend", "corine1", "--out", tmp_path / "change")
    moved = pd.read_parquet(tmp_path / "change" / "changes.parquet", columns=["from_label"])
    assert set(moved["from_label"].astype(str)) <= {"Agricultural", "ForestSeminatural", "Water"}


@pytest.mark.parametrize("verb", ["areas", "export", "atlas", "report", "mosaic"])
def test_a_legend_that_is_none_stops_every_verb_before_it_writes(folder, tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    out = {"export": ["out.csv"], "mosaic": ["out.tif"], "report": ["-o", "out.html"]}.get(verb, [])
    answer = CliRunner().invoke(main, [verb, str(folder.parent), *out, "--legend", "no-such"])
    assert answer.exit_code == 1 and "no legend of this name" in answer.output
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_notes_of_a_legend_reach_the_page_as_text_and_not_as_code(folder, tmp_path):
    path = tmp_path / "hostile.csv"
    lines = [f"{label},{'A' if at % 2 else 'B'},</script><b>{at}" for at, label in enumerate(EUROSAT.labels)]
    path.write_text("# title: </script><script>alert(1)\nfrom,label,note\n" + "\n".join(lines) + "\n")
    invoke("atlas", folder.parent, "--legend", path, "--maps", tmp_path / "maps")
    page = (tmp_path / "maps" / "atlas.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page and "</script><b>" not in page and "alert(1)" in page


def test_an_item_without_assets_is_kept(folder):
    (folder / "two" / "scene.json").write_text(json.dumps({"id": "two"}))
    with in_other_legend(folder, find_crosswalk("ipcc"), ALL) as view:
        assert json.loads((view / "two" / "scene.json").read_text())["id"] == "two"
