import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.bands import TEN_BANDS
from pipeline.datasets.labelled import LabelledPatches
from pipeline.errors import ModelError
from pipeline.evaluation import report
from pipeline.evaluation.metrics import evaluate
from pipeline.evaluation.report import class_table, read_history, write_report
from pipeline.legend import EUROSAT
from pipeline.models.calibration import softmax
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction
from pipeline.models.ensemble import Eightfold
from pipeline.models.input import ModelInput
from pipeline.scenes.radiometry import Stretch


class Redness:
    """Names the class whose number is a tenth of the red code; white patches are unfamiliar."""

    card = ModelCard("redness", EUROSAT, ModelInput(stretch=Stretch()), temperature=1.5)

    def predict(self, patches: np.ndarray) -> np.ndarray:
        return self.judge(patches).probabilities

    def judge(self, patches: np.ndarray) -> Prediction:
        code = np.minimum(patches[:, 0, 0, 0] // 10, 9)
        return Prediction(
            (0.1 * 0.2 + 0.8 * np.eye(10)[code] + 0.018 * 10 / 10).astype(np.float32), patches[:, 0, 0, 0] == 255
        )


def _data(n: int = 60) -> LabelledPatches:
    labels = np.arange(n) % 10
    patches = np.zeros((n, 64, 64, 3), np.uint8)
    patches[..., 0] = (labels * 10)[:, None, None]
    patches[:3] = 35  # Highway, whatever the label says
    return LabelledPatches(EUROSAT.labels, patches, labels, tuple(f"{i}.jpg" for i in range(n)))


def test_evaluation_counts_hits_and_refusals() -> None:
    data = _data()
    data.patches[59] = 255
    found = evaluate(Redness(), data)
    assert found.accuracy == pytest.approx(57 / 60)
    assert found.confusion[0][3] == 1
    assert found.refused == pytest.approx(1 / 60)


def test_eight_flips_and_turns_are_averaged() -> None:
    data = _data(10)
    data.patches[...] = 0
    data.patches[:, 0, 0, 0] = 30  # one corner says Highway; a flip or turn leaves it there in two of eight views
    alone, mean = evaluate(Redness(), data), evaluate(Eightfold(Redness()), data)
    assert [row[3] for row in alone.confusion] == [1] * 10
    assert [row[0] for row in mean.confusion] == [1] * 10


def test_the_report_holds_its_figures_and_small_pictures(tmp_path: Path) -> None:
    rows = [
        {"epoch": i, "loss": 1 / i, "accuracy": 0.9, "rate": 1e-3}
        | ({"val_loss": 0.5, "val_accuracy": 0.8} if i % 2 == 0 else {})
        for i in range(1, 5)
    ]
    found = write_report(tmp_path, Redness(), _data(), _data(), {"run": rows, "run without schedule": rows[:3]})
    pictures = {"curves", "rates", "confusion", "reliability", "risk-coverage", "class-counts", "mistakes", "samples"}
    assert {path.stem for path in tmp_path.glob("*.png")} == pictures
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            assert len(image.getcolors(256) or []) > 2
        assert path.stat().st_size < 400_000
    assert json.loads((tmp_path / "validation.json").read_text())["accuracy"] == found.accuracy
    assert "| Highway | 66.7 | 100.0 |" in class_table(found)


def test_a_sheet_of_samples_holds_every_class_and_marks_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(report.figures, "_save", lambda figure, _: drawn.append(figure))
    data = _data()
    report.figures.samples(data, Redness().predict(data.patches), tmp_path / "samples.png", count=20)
    titles = [axis.title for axis in drawn[0].axes if axis.get_title()]
    truths = [title.get_text().splitlines()[0] for title in titles]
    assert truths == [label for label in EUROSAT.labels for _ in range(2)]
    for title in titles:
        truth, answer = title.get_text().splitlines()
        assert (title.get_color() == "black") is answer.startswith(f"as {truth} ")
    report.figures.samples(data, Redness().predict(data.patches), tmp_path / "samples.png", count=60)
    assert any(axis.title.get_color() != "black" for axis in drawn[1].axes if axis.get_title())


def test_patches_of_many_bands_are_shown_in_true_colour(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ground = np.zeros((4, 8, 8, 10), np.float32)
    ground[..., TEN_BANDS.index("B04")] = rng.uniform(0.2, 0.3, (4, 8, 8))  # red land
    data = LabelledPatches(EUROSAT.labels, ground, np.arange(4), ("a", "b", "c", "d"), TEN_BANDS)
    report.figures.samples(data, np.eye(10, dtype=np.float32)[:4], tmp_path / "samples.png")
    with Image.open(tmp_path / "samples.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    red = (pixels[..., 0] > 100) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)
    assert red.mean() > 0.05


def test_the_curve_of_raw_answers_undoes_the_temperature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's graph divides logits by the temperature; the report's raw curve is what they said before."""
    logits = np.random.default_rng(1).normal(0, 2, (60, 10))

    class Tempered(Redness):
        def judge(self, patches: np.ndarray) -> Prediction:
            answers = softmax(logits / self.card.temperature).astype(np.float32)
            return Prediction(answers, np.zeros(len(patches), np.bool_))

    seen: list[np.ndarray] = []
    monkeypatch.setattr(report.figures, "reliability", lambda raw, found, *_: seen.extend((raw, found)))
    write_report(tmp_path, Tempered(), _data(), _data(), {})
    np.testing.assert_allclose(seen[0], softmax(logits), atol=1e-5)
    np.testing.assert_allclose(seen[1], softmax(logits / 1.5), atol=1e-5)


def test_every_run_has_a_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(report.figures, "_save", lambda figure, _: drawn.append(figure))
    rows = [{"epoch": 1, "loss": 1.0, "accuracy": 0.5, "rate": 1e-3}]
    report.figures.curves({f"run {number}": rows for number in range(7)}, tmp_path / "curves.png")
    assert len(drawn[0].axes[0].lines) == 14


def test_history_is_read_without_its_empty_cells(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch,loss,val_loss\n1,0.5,\n2,0.4,0.3\n")
    assert read_history(tmp_path / "history.csv") == [
        {"epoch": 1, "loss": 0.5},
        {"epoch": 2, "loss": 0.4, "val_loss": 0.3},
    ]
    with pytest.raises(ModelError, match="history"):
        read_history(tmp_path / "gone.csv")
