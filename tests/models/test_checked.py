"""The second opinion: near ties of a twin in low precision are asked again in float32."""

import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.models.card import ModelCard
from pipeline.models.engines import checked
from pipeline.models.engines.checked import CheckedClassifier, lead
from pipeline.models.input import ModelInput
from pipeline.scenes.radiometry import Stretch
from tests.models.networks import PAIR

ENGINES = {"openvino-int8": {"file": "small.xml", "margin": 0.3}, "openvino-f32": {"file": "model.xml"}}
CARD = ModelCard("pair", PAIR, ModelInput(stretch=Stretch()), engines=ENGINES)


class Twin:
    """Dark by the first pixel; int8 is off by 0.1 towards Bright, which turns only near ties."""

    made: list[str] = []  # noqa: RUF012

    def __init__(self, card: ModelCard, folder: Path, model: Path, precision: str, threads: int | None = None) -> None:
        self.precision, self.asked = precision, 0
        Twin.made.append(f"{precision} {model.name}")

    def outputs(self, patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.asked += len(patches)
        dark = patches[:, 0, 0, 0] / 100 - (0.1 if self.precision == "int8" else 0)
        return np.stack([dark, 1 - dark], axis=1).astype(np.float32), np.full(
            (len(patches), 4), len(self.precision), np.float32
        )


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> CheckedClassifier:
    monkeypatch.setattr(checked, "OpenVinoClassifier", Twin)
    Twin.made.clear()
    return CheckedClassifier(CARD, Path("models"), "openvino-int8")


def _patches(*codes: int) -> np.ndarray:
    patches = np.zeros((len(codes), 64, 64, 3), np.uint8)
    patches[:, 0, 0, 0] = codes
    return patches


def test_near_ties_get_the_exact_answer_and_the_others_keep_the_fast_one(classifier: CheckedClassifier) -> None:
    codes = (95, 55, 52, 20, 62)
    found, features = classifier.outputs(_patches(*codes))
    assert found[:, 0].tolist() == pytest.approx([0.85, 0.55, 0.52, 0.1, 0.62])
    assert features[:, 0].tolist() == [4, 3, 3, 4, 3]
    assert (found.argmax(axis=1) == (np.array(codes) < 50)).all()
    assert not classifier.judge(_patches(*codes)).unfamiliar.any()


def test_a_patch_gets_the_same_answer_in_any_batch(classifier: CheckedClassifier) -> None:
    whole = classifier.predict(_patches(95, 55, 52, 20))
    for i, code in enumerate((95, 55, 52, 20)):
        np.testing.assert_array_equal(classifier.predict(_patches(code))[0], whole[i])
    assert classifier.predict(_patches()).shape == (0, 2)


def test_the_float32_twin_is_loaded_when_it_is_first_needed(classifier: CheckedClassifier) -> None:
    classifier.predict(_patches(95, 5))
    assert Twin.made == ["int8 small.xml"]
    classifier.predict(_patches(55, 95))
    assert Twin.made == ["int8 small.xml", "f32 model.xml"]
    classifier.predict(_patches(55))
    assert len(Twin.made) == 2


def test_the_lead_is_the_distance_of_the_two_best() -> None:
    assert lead(np.array([[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]], np.float32)).tolist() == pytest.approx([0.5, 0.0])


def test_openvino_tells_nobody_that_it_is_used() -> None:
    import openvino  # noqa: F401

    assert sys.modules["openvino_telemetry"] is None
