"""Ten bands from a folder of band files to the network's door, each with its own constant."""

import numpy as np

from pipeline.bands import BY_NAME, NAMES, TEN_BANDS
from pipeline.classify import classify_scene
from pipeline.legend import EUROSAT
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction
from pipeline.models.input import ModelInput
from pipeline.scenes.finding.find import find_scenes
from pipeline.tiling import grid_for
from tests.builders import write_tif

LEFT, TOP = 640 * 1000, 640 * 8000
NUMBER = {band: 12 if band == "B10" else 1000 + 100 * place for place, band in enumerate(NAMES)}


class Door:
    """Remembers what stood at the network's door."""

    def __init__(self, card):
        self.card, self.seen = card, []

    def judge(self, patches):
        self.seen.append(patches)
        return Prediction(np.eye(10, dtype=np.float32)[np.zeros(len(patches), int)], np.zeros(len(patches), bool))


def test_every_band_of_a_scene_comes_to_its_own_channel(tmp_path):
    for band in NAMES:
        gsd = BY_NAME[band].gsd
        shape = (1, 64 * 3 * 10 // gsd + 1, 64 * 2 * 10 // gsd + 1)
        pixels = np.full(shape, NUMBER[band], np.uint16)
        write_tif(tmp_path / "scenes" / f"made_20200601_{band}.tif", pixels, west=LEFT, north=TOP, gsd=gsd)
    taken = ModelInput(bands=TEN_BANDS, units="reflectance")
    (scene,) = find_scenes(tmp_path / "scenes", taken.reading())
    door = Door(ModelCard("door", EUROSAT, taken))
    table = classify_scene(scene, door, grid_for(door.card, scene.epsg))
    assert (table["code"] == 0).sum() >= 6
    patches = np.concatenate(door.seen)
    assert patches.shape[1:] == (64, 64, 10)
    inside = patches[:, 8:56, 8:56].mean(axis=(1, 2))[np.isfinite(patches).all(axis=(1, 2, 3))]
    np.testing.assert_allclose(inside * 10_000, np.tile([NUMBER[b] for b in TEN_BANDS], (len(inside), 1)), rtol=1e-3)
