from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.labelled import LabelledPatches
from pipeline.errors import ModelError
from pipeline.training import checkpoint, fit
from pipeline.training.augment import Augmentation
from pipeline.training.batches import class_weights
from pipeline.training.options import Schedule, TrainOptions
from tests.models import networks as tiny_network

# Keras' own way to numpy; its variables do not know numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit.networks, "find", lambda _: tiny_network)


def _data(n: int = 48, seed: int = 0) -> LabelledPatches:
    """Dark and bright patches."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    patches = rng.integers(1, 60, (n, 64, 64, 3)) + 150 * labels[:, None, None, None]
    return LabelledPatches(("Dark", "Bright"), patches.astype(np.uint8), labels, tuple(f"{i}.png" for i in range(n)))


def _options(folder: Path, **changes: object) -> TrainOptions:
    plan = Augmentation(gain=0, surface=0)
    plain = TrainOptions(
        folder,
        epochs=3,
        batch=16,
        rate=0.02,
        dropout=0.0,
        weights="none",
        mixed_precision=False,
        tensorboard=False,
        augmentation=plan,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", list(Schedule))
def test_a_network_learns_what_is_easy(tmp_path: Path, schedule: Schedule) -> None:
    said: list[str] = []
    model = fit.train(_options(tmp_path, epochs=4, schedule=schedule), _data(), _data(20, 1), said.append)
    logits = fit.predict_logits(model, _data(20, 2).patches, batch=8)
    assert (logits.argmax(axis=1) == np.arange(20) % 2).all()
    state, _ = checkpoint.load(tmp_path / "last.npz")
    assert [row["epoch"] for row in state["history"]] == [1, 2, 3, 4]
    assert state["history"][-1]["val_accuracy"] == 1
    assert (state["history"][-1]["rate"] == pytest.approx(0, abs=1e-6)) == (schedule is Schedule.COSINE)
    assert len(said) == 4


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit.train(_options(tmp_path / "whole"), _data())
    finish = fit._Run._finish_epoch

    def killed(run: fit._Run, *values: float) -> None:
        finish(run, *values)
        if run.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(fit._Run, "_finish_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        fit.train(_options(tmp_path / "killed"), _data())
    monkeypatch.setattr(fit._Run, "_finish_epoch", finish)
    said: list[str] = []
    resumed = fit.train(_options(tmp_path / "killed"), _data(), progress=said.append)
    assert said[0].startswith("resumes after epoch 2")
    assert len(said) == 2
    for one, two in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-3)  # sums of many threads differ in the last digits


def test_a_run_of_other_classes_is_not_continued(tmp_path: Path) -> None:
    fit.train(_options(tmp_path, epochs=1), _data())
    other = replace(_data(), classes=("Low", "High"))
    with pytest.raises(ModelError, match="trained for the classes Dark, Bright"):
        fit.train(_options(tmp_path, epochs=2), other)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the loss became"):
        fit.train(_options(tmp_path, rate=float("inf"), schedule=Schedule.NONE), _data())


def test_training_starts_from_an_earlier_runs_average(tmp_path: Path) -> None:
    first = fit.train(_options(tmp_path / "first", epochs=1), _data())
    second = fit.train(
        _options(tmp_path / "second", epochs=0, weights=str(tmp_path / "first" / "averaged.npz")), _data()
    )
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("changes", [{"seed": 3}, {"rate": 0.01}, {"epochs": 4}])
def test_a_run_goes_on_only_with_the_same_options(tmp_path: Path, changes: dict[str, object]) -> None:
    fit.train(_options(tmp_path, epochs=1), _data())
    with pytest.raises(ModelError, match=f"is a run with other {next(iter(changes))}"):
        fit.train(_options(tmp_path, **({"epochs": 1} | changes)), _data())


def test_a_run_goes_on_only_with_the_same_pictures(tmp_path: Path) -> None:
    fit.train(_options(tmp_path, epochs=1), _data(), _data(20, 1))
    with pytest.raises(ModelError, match="is a run with other training"):
        fit.train(_options(tmp_path, epochs=1), _data(48, 5), _data(20, 1))
    with pytest.raises(ModelError, match="is a run with other validation"):
        fit.train(_options(tmp_path, epochs=1), _data(), _data(20, 2))


def test_without_averaging_the_last_weights_are_kept(tmp_path: Path) -> None:
    model = fit.train(_options(tmp_path, ema=0.0, ema_every=2, epochs=2), _data())
    _, groups = checkpoint.load(tmp_path / "last.npz")
    for kept, last in zip(model.get_weights(), groups["model"], strict=True):
        np.testing.assert_array_equal(kept, last)


def test_the_first_round_leaves_published_layers_alone_and_is_recorded(tmp_path: Path) -> None:
    start = tiny_network.build(fit.plan_for(_options(tmp_path), _data()))
    start.save_weights(tmp_path / "start.weights.h5")
    seen: list[np.ndarray] = []

    class Published:
        KIND, SIZE, build = "tile", 64, staticmethod(tiny_network.build)

        @staticmethod
        def load(model, source):
            seen.append(model.get_layer("conv1_conv").get_weights()[0])
            return tiny_network.load(model, source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit.networks, "find", lambda _: Published)
        options = _options(tmp_path / "run", weights="imagenet", frozen_epochs=2, epochs=0, frozen_rate=0.05)
        model = fit.train(options, _data())
        np.testing.assert_array_equal(model.get_layer("conv1_conv").get_weights()[0], seen[0])
        assert (fit.predict_logits(model, _data().patches).argmax(axis=1) == _data().labels).mean() > 0.9
        rows = checkpoint.load_state(tmp_path / "run" / "last.npz")["history"]
        assert [row["epoch"] for row in rows] == [1, 2]
        cached = fit.train(replace(options, folder=tmp_path / "cached", cached=True, frozen_epochs=60), _data())
        np.testing.assert_array_equal(cached.get_layer("conv1_conv").get_weights()[0], seen[-1])
        assert (fit.predict_logits(cached, _data().patches).argmax(axis=1) == _data().labels).mean() > 0.9


def test_the_best_epoch_is_kept_when_asked_for(tmp_path: Path) -> None:
    options = _options(tmp_path, epochs=3, best=True, ema=0.0, schedule=Schedule.NONE, rate=0.3)
    model = fit.train(options, _data(), _data(20, 1))
    state, groups = checkpoint.load(tmp_path / fit.BEST)
    losses = [row["val_loss"] for row in checkpoint.load_state(tmp_path / "last.npz")["history"]]
    assert state["epoch"] == 1 + int(np.argmin(losses))
    np.testing.assert_array_equal(model.get_weights()[0], groups["averaged"][0])


def test_rare_classes_weigh_more() -> None:
    data = replace(_data(), labels=np.array([0] * 40 + [1] * 8))
    weights = class_weights(data, _options(Path("x"), class_balance=1.0))
    assert weights[1] / weights[0] == pytest.approx(5)


def test_an_unfinished_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    options = _options(tmp_path, epochs=1)
    fit.train(options, _data())
    state, groups = checkpoint.load(tmp_path / "last.npz")
    for later in ("teachers", "teaching", "views", "teacher_cards"):
        del state["told"][later]
    checkpoint.store(tmp_path / "last.npz", state, **groups)
    said: list[str] = []
    fit.train(options, _data(), progress=said.append)
    assert said[0].startswith("resumes after epoch 1")
    with pytest.raises(ModelError, match="is a run with other views"):
        fit.train(replace(options, views=7), _data())


def test_reflectance_is_centred_by_the_training_patches(tmp_path: Path) -> None:
    patches = np.random.default_rng(0).normal([0.1, 0.3], [0.02, 0.05], (20, 64, 64, 2)).astype(np.float32)
    data = LabelledPatches(("A", "B"), patches, np.arange(20) % 2, ("x",) * 20, ("B04", "B08"))
    plan = fit.plan_for(_options(tmp_path), data)
    assert plan.bands == 2
    assert plan.mean == pytest.approx((0.1, 0.3), abs=0.001)
    assert plan.spread == pytest.approx((0.02, 0.05), abs=0.001)
