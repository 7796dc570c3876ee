"""Dates of one place, a small disk."""

import subprocess
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from pipeline.batch.products import pixel_cover
from pipeline.batch.task import ModelChoice
from tests.builders import scene_on_disk
from tests.fakes import BrightPixels
from tests.runs import LEFT, TOP


@pytest.fixture
def dates(tmp_path):
    """Scenes of one place at three dates."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    rng = np.random.default_rng(4)
    shapes = [(3, 330, 210), (3, 200, 410), (3, 330, 210)]
    scenes = [
        scene_on_disk(folder, rng.integers(200, 2700, shape, dtype=np.uint16), LEFT, TOP, f"scene-{n}")
        for n, shape in enumerate(shapes)
    ]
    return [replace(scene, acquired=scene.acquired + timedelta(days=10 * n)) for n, scene in enumerate(scenes)]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command to make a small disk with")
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def cover(monkeypatch):
    """A network that names pixels by their brightness, in place of the stored one."""
    monkeypatch.setattr(pixel_cover, "verified_card", lambda choice: BrightPixels.card)
    monkeypatch.setattr(pixel_cover, "pixel_classifier", lambda choice: BrightPixels())
    return ModelChoice("bright")
