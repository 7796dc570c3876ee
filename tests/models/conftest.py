"""A stored model small enough for tests."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.models.abstention import Abstention
from pipeline.models.card import ModelCard
from pipeline.models.input import ModelInput
from pipeline.scenes.radiometry import Stretch
from pipeline.training import export
from tests.models.networks import PAIR, tiny

TWINS = {"openvino-f32": {"file": "openvino/model.xml"}, "keras": {"file": "model.keras"}}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `tiny`."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(8)
    score = Abstention.fit(rng.normal(size=(200, 8)).astype(np.float32), rng.integers(0, 2, 200), rank=4)
    card = ModelCard(
        "tiny",
        PAIR,
        ModelInput(stretch=Stretch()),
        temperature=0.7,
        architecture="tiny",
        unfamiliar={"score": "mahalanobis", "file": "abstention.npz", "threshold": 3.0},
        engines=TWINS,
    )
    export.save(folder / "tiny", tiny(2), card, score)
    return folder
