"""A stored model: the second opinion on near ties, the patches it takes, and many threads at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.models import store, stored
from pipeline.models.abstention import Abstention
from pipeline.models.card import ModelCard
from pipeline.models.confidence import Confidence
from pipeline.models.engines import Outputs, openvino
from pipeline.models.input import ModelInput
from pipeline.models.stored import StoredClassifier, lead
from pipeline.scenes.radiometry import Stretch
from tests.models.networks import PAIR

ENGINES = {"openvino-int8": {"file": "small.xml", "margin": 0.3}, "openvino-f32": {"file": "model.xml"}}
CARD = ModelCard("pair", PAIR, ModelInput(stretch=Stretch()), engines=ENGINES)


class Twin:
    """Dark by the first pixel; int8 is off by 0.1 towards Bright, which turns only near ties."""

    made: list[str] = []  # noqa: RUF012

    def __init__(
        self, path: Path, card: ModelCard, precision: str, threads: int | None = None, batch: int | None = None
    ) -> None:
        self.precision = precision
        Twin.made.append(f"{precision} {path.name}")

    def __call__(self, patches: np.ndarray) -> Outputs:
        dark = patches[:, 0, 0, 0] / 100 - (0.1 if self.precision == "int8" else 0)
        probabilities = np.stack([dark, 1 - dark], axis=1).astype(np.float32)
        return Outputs(probabilities, np.full((len(patches), 4), len(self.precision), np.float32))


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> StoredClassifier:
    monkeypatch.setattr(openvino, "load", Twin)
    Twin.made.clear()
    return StoredClassifier(CARD, Path("models"), "openvino-int8")


def _patches(*codes: int) -> np.ndarray:
    patches = np.zeros((len(codes), 64, 64, 3), np.uint8)
    patches[:, 0, 0, 0] = codes
    return patches


def test_near_ties_get_the_exact_answer_and_the_others_keep_the_fast_one(classifier: StoredClassifier) -> None:
    codes = (95, 55, 52, 20, 62)
    found, features = classifier.outputs(_patches(*codes))
    assert found[:, 0].tolist() == pytest.approx([0.85, 0.55, 0.52, 0.1, 0.62])
    assert features[:, 0].tolist() == [4, 3, 3, 4, 3]
    assert (found.argmax(axis=1) == (np.array(codes) < 50)).all()
    assert not classifier.judge(_patches(*codes)).unfamiliar.any()


def test_a_patch_gets_the_same_answer_in_any_batch(classifier: StoredClassifier) -> None:
    whole = classifier.predict(_patches(95, 55, 52, 20))
    for i, code in enumerate((95, 55, 52, 20)):
        np.testing.assert_array_equal(classifier.predict(_patches(code))[0], whole[i])
    assert classifier.predict(_patches()).shape == (0, 2)


def test_a_card_with_a_confidence_says_less_of_strange_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "load", Twin)
    Abstention(np.zeros(4, np.float32), np.eye(4, dtype=np.float32), np.zeros((2, 4), np.float32)).write(
        tmp_path / "a.npz"
    )
    # The float32 twin's features lie at 3, the int8 twin's at 4: the farther, the less sure.
    distance = np.eye(7, 1, -4, dtype=np.float32)
    Confidence(distance, np.zeros(1, np.float32), np.array([-1], np.float32), 6.5).write(tmp_path / "c.npz")
    told = {"score": "mahalanobis", "file": "a.npz", "threshold": 7.0}
    card = replace(CARD, unfamiliar=told, confidence={"score": "network", "file": "c.npz"})
    classifier = StoredClassifier(card, tmp_path, "openvino-int8")
    codes = (95, 55)
    far, near = classifier.judge(_patches(*codes)).probabilities.max(axis=1)
    assert far == pytest.approx(0.5, abs=0.01)
    assert near == pytest.approx(1 / (1 + np.exp(6.0 - 6.5)), abs=0.01)
    np.testing.assert_allclose(classifier.predict(_patches(*codes))[:, 0], [0.85, 0.55], atol=1e-6)
    assert classifier.judge(_patches(*codes)).unfamiliar.tolist() == [True, False]


def test_the_float32_twin_is_loaded_when_it_is_first_needed(classifier: StoredClassifier) -> None:
    classifier.predict(_patches(95, 5))
    assert Twin.made == ["int8 small.xml"]
    classifier.predict(_patches(55, 95))
    assert Twin.made == ["int8 small.xml", "f32 model.xml"]
    classifier.predict(_patches(55))
    assert len(Twin.made) == 2


def test_threads_that_need_the_float32_twin_at_once_load_it_once(classifier: StoredClassifier) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(classifier.predict, [_patches(55, 95)] * 16))
    assert Twin.made == ["int8 small.xml", "f32 model.xml"]
    assert all(np.array_equal(one, found[0]) for one in found)


LINE = {
    "openvino-int8": {"file": "small.xml", "margin": 0.3, "reach": 0.2},
    "openvino-bf16": {"file": "model.xml", "margin": 0.1, "reach": 0.05},
    "openvino-f32": {"file": "model.xml"},
    "keras": {"file": "model.keras"},
}


class Ladder(Twin):
    """Every precision says who it is in the second feature; the first one is how strange the patch's second code is.

    The coarser the precision, the more familiar all patches seem.
    """

    def __call__(self, patches: np.ndarray) -> Outputs:
        dark = patches[:, 0, 0, 0] / 100
        strange = patches[:, 0, 1, 0] / 100 - {"int8": 0.1, "bf16": 0.02, "f32": 0.0}[self.precision]
        who = np.full(len(patches), ("int8", "bf16", "f32").index(self.precision))
        probabilities = np.stack([dark, 1 - dark], axis=1).astype(np.float32)
        return Outputs(probabilities, np.stack([strange, who], axis=1).astype(np.float32))


class Stranger:
    """The abstention score whose distance is the first feature."""

    @staticmethod
    def read(path: Path) -> type["Stranger"]:
        return Stranger

    @staticmethod
    def score(features: np.ndarray) -> np.ndarray:
        return features[:, 0] * np.float32(28)


@pytest.fixture
def ladder(monkeypatch: pytest.MonkeyPatch) -> StoredClassifier:
    monkeypatch.setattr(openvino, "load", Ladder)
    monkeypatch.setattr(openvino, "available", lambda precision: True)
    monkeypatch.setattr(stored, "Abstention", Stranger)
    Twin.made.clear()
    unfamiliar = {"file": "any.npz", "threshold": 28.0}
    return StoredClassifier(replace(CARD, engines=LINE, unfamiliar=unfamiliar), Path("models"), "openvino-int8")


def _strangers(*codes: tuple[int, int]) -> np.ndarray:
    patches = np.zeros((len(codes), 64, 64, 3), np.uint8)
    patches[:, 0, :2, 0] = codes
    return patches


def test_a_tie_climbs_only_as_far_as_it_stays_one(ladder: StoredClassifier) -> None:
    assert ladder.outputs(_strangers((90, 0), (60, 0), (53, 0), (60, 0)))[1][:, 1].tolist() == [0, 1, 2, 1]
    assert Twin.made == ["int8 small.xml", "bf16 model.xml", "f32 model.xml"]


def test_judging_asks_again_near_the_threshold_and_not_far_beyond_it(ladder: StoredClassifier) -> None:
    near, beyond, far_within = (90, 95), (53, 150), (90, 40)
    assert ladder.judge(_strangers(near, beyond, far_within, (90, 105))).unfamiliar.tolist() == [
        False,
        True,
        False,
        True,
    ]
    assert Twin.made == ["int8 small.xml", "bf16 model.xml", "f32 model.xml"]
    Twin.made.clear()
    ladder._runners.clear()
    ladder.judge(_strangers(beyond, far_within))
    assert Twin.made == ["int8 small.xml"]
    ladder.outputs(_strangers(beyond))  # nobody will judge this one
    assert Twin.made == ["int8 small.xml", "bf16 model.xml", "f32 model.xml"]


def test_what_does_not_run_well_here_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "load", Ladder)
    monkeypatch.setattr(openvino, "available", lambda precision: precision != "bf16")
    found = StoredClassifier(replace(CARD, engines=LINE), Path("models"), "openvino-int8").outputs(_strangers((60, 0)))
    assert found.features[0, 1] == 2


def test_without_a_margin_nobody_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "load", Twin)
    Twin.made.clear()
    card = replace(CARD, engines={"openvino-int8": {"file": "small.xml"}})
    assert StoredClassifier(card, Path("models"), "openvino-int8").predict(_patches(55))[0, 0] == pytest.approx(0.45)
    assert Twin.made == ["int8 small.xml"]


def test_the_lead_is_the_distance_of_the_two_best() -> None:
    assert lead(np.array([[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]], np.float32)).tolist() == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize("engine", ["openvino-f32", "keras"])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_eight_threads_get_the_answers_of_one(models: Path, engine: str) -> None:
    classifier = store.load("tiny", engine, threads=2 if engine != "keras" else None, folder=models)
    rng = np.random.default_rng(1)
    calls = [rng.integers(1, 256, (size, 64, 64, 3), dtype=np.uint8) for size in (1, 70, 16, 33, 0, 150, 5, 64) * 4]
    alone = [classifier.judge(patches) for patches in calls]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(classifier.judge, calls))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        np.testing.assert_array_equal(one.unfamiliar, other.unfamiliar)


@pytest.mark.parametrize("engine", ["openvino-f32", "keras"])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_one_by_one_gives_the_answers_of_many(models: Path, engine: str) -> None:
    patches = np.random.default_rng(3).integers(1, 256, (21, 64, 64, 3), dtype=np.uint8)
    many, single = (store.load("tiny", engine, folder=models, batch=batch).judge(patches) for batch in (None, 1))
    np.testing.assert_allclose(single.probabilities, many.probabilities, atol=1e-5)


def test_a_failed_call_leaves_every_request_to_the_next(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = store.load("tiny", "openvino-f32", threads=2, folder=models)
    patches = np.random.default_rng(2).integers(1, 256, (200, 64, 64, 3), dtype=np.uint8)
    expected = classifier.judge(patches).probabilities
    for _ in range(5):
        with monkeypatch.context() as broken, pytest.raises(RuntimeError, match="full"):
            broken.setattr(openvino, "padded", _second_fails())
            classifier.judge(patches)
    np.testing.assert_array_equal(classifier.judge(patches).probabilities, expected)


def _second_fails():
    asked = []

    def padded(piece, count):
        asked.append(piece)
        if len(asked) == 3:
            raise RuntimeError("the memory is full")
        return np.ascontiguousarray(piece)

    return padded


def test_patches_of_another_shape_or_type_are_refused(classifier: StoredClassifier) -> None:
    patches = _patches(95, 20)
    for wrong in (patches.astype(np.float32), patches[:, :32], patches[0]):
        with pytest.raises(ModelError, match="the model takes"):
            classifier.predict(wrong)
