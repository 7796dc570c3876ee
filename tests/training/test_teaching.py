from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets.labelled import LabelledPatches
from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction
from pipeline.models.input import ModelInput
from pipeline.scenes.radiometry import Stretch
from pipeline.training import fit, teaching
from pipeline.training.augment import Augmentation
from pipeline.training.options import TrainOptions
from tests.models import networks as tiny_network

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Reader:
    """A teacher that reads its answer off the patch: the brighter, the surer of the second class."""

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def judge(self, patches: np.ndarray) -> Prediction:
        self.asked.append(patches.copy())
        bright = patches.mean(axis=(1, 2, 3)) / 255
        return Prediction(np.stack([1 - bright, bright], axis=1).astype(np.float32), np.zeros(len(patches), np.bool_))


@pytest.fixture
def data() -> LabelledPatches:
    """Patches whose labels say the contrary of their brightness."""
    rng = np.random.default_rng(3)
    labels = np.arange(40) % 2
    patches = rng.integers(1, 50, (40, 64, 64, 3)) + 180 * labels[:, None, None, None]
    return LabelledPatches(("Dark", "Bright"), patches.astype(np.uint8), 1 - labels, tuple(map(str, range(40))))


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """The stored model `tiny` answers as a reader does."""
    found = Reader()
    card = ModelCard("tiny", tiny_network.PAIR, ModelInput(stretch=Stretch()))
    monkeypatch.setattr(teaching.store, "card", lambda _: card)
    monkeypatch.setattr(teaching.store, "card_digest", lambda name: f"digest of {name}")
    monkeypatch.setattr(teaching.store, "load", lambda _: found)
    return found


def _options(folder: Path, **changes: Any) -> TrainOptions:
    plain = TrainOptions(
        folder,
        epochs=4,
        batch=10,
        rate=0.02,
        dropout=0.0,
        weights="none",
        class_balance=0.0,
        mixed_precision=False,
        tensorboard=False,
        augmentation=Augmentation(gain=0.02, surface=0),
        teachers=("tiny",),
        teaching=0.75,
        views=2,
    )
    return replace(plain, **changes)


def _teach(folder: Path, data: LabelledPatches, **changes: Any) -> teaching.Teaching:
    folder.mkdir(parents=True, exist_ok=True)
    return teaching.Teaching(_options(folder, **changes), data, lambda _: None)


def test_targets_are_the_teachers_answers_on_the_views_that_the_student_sees(tmp_path, data, reader) -> None:
    taught = _teach(tmp_path, data)
    lesson = taught.lesson(0, Augmentation())
    np.testing.assert_array_equal(np.concatenate(reader.asked), lesson.patches)
    said = reader.judge(lesson.patches).probabilities
    label = np.eye(2)[data.labels]
    np.testing.assert_allclose(lesson.targets, 0.75 * said + 0.25 * label, atol=1e-6)
    assert not (lesson.patches == data.patches).all()


def test_views_differ_come_in_turn_and_are_answered_once(tmp_path, data, reader) -> None:
    taught = _teach(tmp_path, data)
    seen = [taught.lesson(epoch, Augmentation()).patches for epoch in range(4)]
    assert (seen[0] != seen[1]).mean() > 0.5
    np.testing.assert_array_equal(seen[0], seen[2])
    np.testing.assert_array_equal(seen[1], seen[3])
    assert sum(map(len, reader.asked)) == 2 * len(data)


def test_another_process_reads_the_answers_and_others_ask_anew(tmp_path, data, reader) -> None:
    first = _teach(tmp_path, data).lesson(0, Augmentation())
    reader.asked.clear()
    again = _teach(tmp_path, data).lesson(0, Augmentation())
    np.testing.assert_array_equal(first.targets, again.targets)
    assert not reader.asked
    _teach(tmp_path, data, seed=5).lesson(0, Augmentation())
    assert reader.asked


def test_what_varies_a_view_further_leaves_its_radiometry_and_place_alone(tmp_path, data, reader) -> None:
    plan = _teach(tmp_path, data).lesson(0, Augmentation()).plan
    assert (plan.shift, plan.zoom, plan.jitter, plan.surface) == (0, 0, 0, 0)
    assert (plan.mixup, plan.cutmix) == (Augmentation().mixup, Augmentation().cutmix)


def test_a_network_learns_what_the_teacher_says_against_the_labels(tmp_path, data, reader, monkeypatch) -> None:
    monkeypatch.setattr(fit.networks, "find", lambda _: tiny_network)
    plan = Augmentation(gain=0.02, surface=0, mixup=0, cutmix=0)
    options = _options(tmp_path / "taught", teaching=1.0, epochs=6, augmentation=plan)
    taught = fit.train(options, data)
    assert (fit.predict_logits(taught, data.patches).argmax(axis=1) == 1 - data.labels).mean() > 0.9
    alone = fit.train(_options(tmp_path / "alone", teachers=(), epochs=6, augmentation=plan), data)
    assert (fit.predict_logits(alone, data.patches).argmax(axis=1) == data.labels).mean() > 0.9


def test_a_run_goes_on_only_with_the_same_teacher(tmp_path, data, reader, monkeypatch) -> None:
    monkeypatch.setattr(fit.networks, "find", lambda _: tiny_network)
    fit.train(_options(tmp_path, epochs=1), data)
    monkeypatch.setattr(teaching.store, "card_digest", lambda name: "another")
    with pytest.raises(ModelError, match="is a run with other teacher_cards"):
        fit.train(_options(tmp_path, epochs=1), data)


def test_a_teacher_of_other_classes_or_sizes_is_refused(tmp_path, data, reader) -> None:
    with pytest.raises(ModelError, match="tiny: tells Dark, Bright, the data hold Low, High"):
        _teach(tmp_path, replace(data, classes=("Low", "High")))
    with pytest.raises(ModelError, match="train one with --upsample"):
        _teach(tmp_path, replace(data, patches=data.patches[:, :32, :32]))
