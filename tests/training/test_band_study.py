import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.bands import EUROSAT_TIF, TEN_BANDS
from pipeline.cli import main
from pipeline.datasets.labelled import LabelledPatches
from pipeline.errors import ModelError
from pipeline.training import band_study
from pipeline.training.band_study import COMBINATIONS, SMOKE, study
from pipeline.training.options import TrainOptions

TELLING = "B08"


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    """13-band files in a zip: two classes that B08 alone tells apart."""
    rng = np.random.default_rng(1)
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as packed:
        for label, bright in (("Bare", 1000), ("Wood", 4000)):
            for i in range(10):
                pixels = rng.integers(900, 1100, (13, 64, 64)).astype(np.uint16)
                pixels[EUROSAT_TIF.index("B10")] = 12
                pixels[EUROSAT_TIF.index(TELLING)] += bright
                held = io.BytesIO()
                np.savez_compressed(held, pixels)
                packed.writestr(f"made/{label}/{label}_{i}.npz", held.getvalue())
    return tmp_path / "made.zip"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """Trainings as (weights, bands); each yields a network that calls its brightest channel's mean over 0.3 a wood."""
    asked: list[tuple[str, tuple[str, ...]]] = []

    def train(plan: TrainOptions, training: LabelledPatches, *_: object) -> str:
        asked.append((plan.weights, training.bands))
        return "made"

    def answers(_: str, pixels: np.ndarray) -> np.ndarray:
        return np.eye(2)[(pixels.mean(axis=(1, 2)).max(axis=1) > 0.3).astype(int)]

    monkeypatch.setattr(band_study, "train", train)
    monkeypatch.setattr(band_study, "predict_logits", answers)
    return asked


def test_every_combination_meets_its_own_bands_on_one_split(patches, trained, tmp_path):
    found = {row.name: row for row in study(patches, TrainOptions(tmp_path / "out", weights="three.npz"))}
    assert list(found) == [*TEN_BANDS, "RGB", "CIR", "SWIR", "all ten"]
    assert [bands for _, bands in trained] == list(COMBINATIONS.values())
    assert {row.n for row in found.values()} == {4}
    seeing = {name for name, row in found.items() if row.accuracy == 1}
    assert seeing == {TELLING, "CIR", "all ten"}
    assert all(row.accuracy == 0.5 for name, row in found.items() if name not in seeing)
    assert all(row.low < row.accuracy < row.high or row.accuracy in (0, 1) for row in found.values())
    # Published weights fit three channels only.
    assert [weights for weights, bands in trained if len(bands) > 3] == ["none"]
    assert {weights for weights, bands in trained if len(bands) == 3} == {"three.npz"}


def test_a_study_goes_on_where_it_stopped_and_tells_the_same(patches, trained, tmp_path, monkeypatch):
    def killed(plan: TrainOptions, training: LabelledPatches, *rest: object) -> str:
        if training.bands[0] == "B04":
            raise KeyboardInterrupt
        return whole(plan, training, *rest)

    whole = band_study.train
    with monkeypatch.context() as stopped:
        stopped.setattr(band_study, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            study(patches, TrainOptions(tmp_path / "out"))
    assert not (tmp_path / "out" / "band-study.json").exists()
    before = len(trained)
    assert before == list(COMBINATIONS).index("B04")
    found = study(patches, TrainOptions(tmp_path / "out"))
    assert len(trained) == len(COMBINATIONS)
    assert study(patches, TrainOptions(tmp_path / "out")) == found
    assert len(trained) == len(COMBINATIONS)


def test_another_run_is_not_taken_for_this_one(patches, trained, tmp_path):
    study(patches, TrainOptions(tmp_path / "out", epochs=8))
    with pytest.raises(ModelError, match="epochs"):
        study(patches, TrainOptions(tmp_path / "out", epochs=9))


def test_the_command_writes_table_chart_and_json(patches, trained, tmp_path):
    told = ["band-study", "--data", str(patches), "--out", str(tmp_path / "out"), "--quick"]
    answer = CliRunner().invoke(main, told)
    assert answer.exit_code == 0, answer.output
    assert SMOKE in answer.output
    kept = json.loads((tmp_path / "out" / "band-study.json").read_text())
    assert kept["smoke_test"] is True
    assert [row["name"] for row in kept["rows"]] == list(COMBINATIONS)
    lines = (tmp_path / "out" / "band-study.md").read_text().splitlines()
    assert lines[0] == SMOKE
    assert lines[4].startswith((f"| {TELLING} | 100.0 %", f"| {TELLING} | 100.0%"))
    with Image.open(io.BytesIO((tmp_path / "out" / "band-study.png").read_bytes())) as chart:
        assert np.asarray(chart.convert("RGB")).std() > 20


def test_data_without_a_band_are_refused(trained, tmp_path):
    (tmp_path / "data" / "Wood").mkdir(parents=True)
    np.savez(tmp_path / "data" / "Wood" / "a.npz", bands=np.array(["B02"]), pixels=np.ones((64, 64, 1), np.uint16))
    answer = CliRunner().invoke(main, ["band-study", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])
    assert answer.exit_code != 0
    assert "ModelError" in answer.output
    assert not trained
