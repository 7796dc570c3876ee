"""Every example that calls itself quick runs, and leaves what its page in docs/ promises."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
QUICK = [path for path in sorted(ROOT.glob("examples/*/*.py")) if re.search(r"^QUICK = True$", path.read_text(), re.M)]


@pytest.fixture(scope="module", params=QUICK, ids=[path.stem for path in QUICK])
def example(request, tmp_path_factory):
    """The folder that an example filled."""
    folder = tmp_path_factory.mktemp(request.param.stem)
    done = subprocess.run([sys.executable, request.param, folder], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return request.param.parent.name, folder


def test_there_is_a_quick_example():
    assert QUICK


def test_an_example_leaves_what_it_promises(example):
    name, folder = example
    {"district": _district, "reference": _reference}[name](folder)


def _district(folder):
    areas = pd.read_csv(folder / "areas.csv")
    inside = areas[areas["region"] != "elsewhere"]
    assert set(inside["region"]) == {"Upper Made", "Lower Made"}
    assert set(inside["date"]) == {"2021-07-23", "2023-07-23", "2023-08-12"}
    # Upper Made is where pasture became a town, Lower Made where forest became fields.
    hectares = inside.set_index(["date", "region", "label"])["hectares"]
    grown = hectares["2023-07-23", "Upper Made", "Residential"] - hectares["2021-07-23", "Upper Made", "Residential"]
    felled = hectares["2021-07-23", "Lower Made", "Forest"] - hectares["2023-07-23", "Lower Made", "Forest"]
    assert grown > 200 and felled > 150
    moves = pd.read_csv(folder / "change" / "regions.csv")
    claimed = moves[moves["state"] == "changed"].set_index(["region", "from_label", "to_label"])["hectares"]
    assert claimed["Upper Made", "Pasture", "Residential"] > 200
    assert claimed["Lower Made", "Forest", "AnnualCrop"] > 150
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "23 Jul 2021" in page and "23 Jul 2023" in page and "Residential" in page and "<script" not in page
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert (folder / "maps" / "atlas.html").is_file()


def _reference(folder):
    for name in ("landcover", "worldcover", "europe"):
        assert (folder / f"{name}.tif").is_file() and (folder / f"{name}.item.json").is_file()
    ipcc = pd.read_csv(folder / "ipcc.csv")
    assert set(ipcc["label"]) == {"Cropland", "ForestLand", "Grassland", "Settlements", "Wetlands", "unclassified"}
    found = json.loads((folder / "agreement" / "agreement.json").read_text(encoding="utf-8"))
    told = {name: (round(part["agreement"], 3), part["hectares"]) for name, part in found["regions"].items()}
    # The made land is known, so both maps agree where the network is right.
    assert told["all"][0] > 0.85 and told["Upper Made"][0] > 0.88 and told["Lower Made"][0] > 0.8
    assert told["all"][1] == pytest.approx(sum(told[name][1] for name in ("Upper Made", "Lower Made", "elsewhere")))
    assert (folder / "agreement" / "agreement.gpkg").is_file()
