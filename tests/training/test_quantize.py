import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.labelled import LabelledPatches
from pipeline.models.card import ModelCard
from pipeline.models.engines import openvino
from pipeline.models.input import ModelInput
from pipeline.scenes.radiometry import Stretch
from pipeline.training import export, quantize
from tests.models.networks import PAIR, tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _data(n: int = 30) -> LabelledPatches:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    patches = rng.integers(1, 60, (n, 64, 64, 3)) + 150 * labels[:, None, None, None]
    return LabelledPatches(PAIR.labels, patches.astype(np.uint8), labels, tuple(f"{i}.png" for i in range(n)))


def test_the_margin_spares_no_more_than_the_residue() -> None:
    rng = np.random.default_rng(1)
    best = rng.uniform(0.5, 1, 20_000).astype(np.float32)
    exact = np.stack([best, 1 - best], axis=1)
    found = exact + np.float32(0.05) * np.array([-1, 1], np.float32)  # whatever lies within 0.1 of a tie turns
    margin = quantize.fit_margin(found, exact)
    asked = np.abs(found[:, 0] - found[:, 1]) < margin
    after = np.where(asked, exact.argmax(axis=1), found.argmax(axis=1))
    assert 0 < (after != exact.argmax(axis=1)).mean() <= quantize.RESIDUE
    assert asked.mean() < 0.25
    assert quantize.fit_margin(exact, exact) == 0


def test_the_reach_holds_nineteen_of_twenty_distances() -> None:
    exact = np.random.default_rng(3).uniform(5, 60, 5000).astype(np.float32)
    found = exact * np.random.default_rng(4).uniform(0.96, 1.04, 5000).astype(np.float32)
    reach = quantize.fit_reach(found, exact)
    assert reach == pytest.approx(0.038, abs=0.001)
    assert (np.abs(found / exact - 1) <= reach).mean() == pytest.approx(0.95, abs=0.001)
    assert quantize.fit_reach(exact, exact) == 0


def test_ordinary_patches_are_as_many_as_asked_for_whatever_the_data() -> None:
    patches = quantize.ordinary_patches(_data(), 100, np.random.default_rng(2))
    assert patches.shape == (100, 64, 64, 3)
    assert patches.dtype == np.uint8
    assert len(np.unique(patches[:, 0, 0, 0])) > 20


def test_the_int8_twin_answers_nearly_as_its_source(tmp_path: Path) -> None:
    if importlib.util.find_spec("nncf") is None:
        pytest.skip("NNCF is not installed; only the one who trains needs it")
    card = ModelCard("tiny", PAIR, ModelInput(stretch=Stretch()))
    export.save(tmp_path, tiny(2), card)
    quantize.quantize(tmp_path / "openvino/model.xml", tmp_path / quantize.FILE, _data(), 3)
    one, two = (
        openvino.load(tmp_path / file, card, "f32")(_data().patches).probabilities
        for file in ("openvino/model.xml", quantize.FILE)
    )
    np.testing.assert_allclose(one, two, atol=0.1)
    assert (one != two).any()
