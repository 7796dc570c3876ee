"""What `explore` finds in made and in real data."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

from pipeline.bands import EUROSAT_TIF
from pipeline.cli import main
from pipeline.exploration.measure import explore


def test_counts_sizes_twins_and_a_page_without_foreign_code(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    evil = "<script>alert(1)</script>.png".replace("/", "")
    for label, count in (("Wood", 3), ("Lake", 2)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (30, 50, 3) if i == 2 else (64, 64, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{i}.png")
    twin = tmp_path / "data" / "Lake" / evil
    twin.write_bytes((tmp_path / "data" / "Wood" / "0.png").read_bytes())
    answer = CliRunner().invoke(main, ["explore", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    assert answer.exit_code == 0, answer.output
    told = json.loads((tmp_path / "out" / "explore.json").read_text())
    assert told["counts"] == {"Lake": 3, "Wood": 3}
    assert told["other_sizes"] == {"2.png": [50, 30]}
    assert [entry[2] for entry in told["duplicates"]] == ["same"]
    page = (tmp_path / "out" / "explore.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "no map" in page
    with Image.open(tmp_path / "out" / "counts.png") as image:
        assert np.asarray(image.convert("L")).std() > 5


def test_georeferenced_patches_get_places_and_neighbours(tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 13, "dtype": "uint16", "crs": "EPSG:32632"}
    for label, east in (("Crop", 500_000.0), ("Lake", 500_640.0), ("Wood", 700_000.0)):
        (tmp_path / "data" / label).mkdir(parents=True)
        place = rasterio.Affine(10, 0, east, 0, -10, 5_300_640)
        with rasterio.open(tmp_path / "data" / label / "a.tif", "w", **profile, transform=place) as target:
            for at, band in enumerate(EUROSAT_TIF):
                target.write(np.full((64, 64), 10 if band == "B10" else 1000, np.uint16), at + 1)
    found = explore(tmp_path / "data")
    assert found.bands == EUROSAT_TIF
    np.testing.assert_allclose(found.places[0], (9.0043, 47.8545), atol=0.01)
    assert found.neighbours().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    mean, _ = found.by_class()
    assert mean[0, EUROSAT_TIF.index("B8A")] == pytest.approx(0.1, rel=1e-3)


def test_what_is_known_of_uc_merced_is_found(shared_data: Path) -> None:
    found = explore(shared_data / "ucmerced" / "UCMerced_train.zip")
    assert found.counts.tolist() == [80] * 21
    assert found.common_size == (256, 256)
    assert len(found.odd_sizes) == 34  # of the 44 of all 2,100 pictures
    named = {(found.files[pair.first], found.files[pair.second]): pair.same for pair in found.pairs}
    assert named["airplane01.jpg", "airplane02.jpg"] is True
    assert named["runway51.jpg", "runway53.jpg"] is False
    assert len(named) < 30
