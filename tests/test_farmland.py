"""The farmland example runs as it is written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(shutil.which("sh") is None, reason="the example is a shell script")
def test_farmland_from_an_extract_to_its_scores(tmp_path):
    script = ["sh", "examples/farmland/run.sh", str(tmp_path), "2", sys.executable]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "of held-out places right" in done.stdout
    extract = tmp_path / "extract.geojson"
    assert extract.stat().st_size <= 300_000
    told = json.loads(extract.read_text())
    assert "CC0-1.0" in told["license"]
    assert {"landuse": "farmland"} in [feature["properties"] for feature in told["features"]]
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(scores["places"]) == {"north_20220612", "south_20220612"}
