"""`classify`, `evaluate` and `train` as a person calls them, on good and bad data."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.cli.models import measured
from pipeline.cli.train import report
from pipeline.datasets.labelled import Asked, read_labelled
from pipeline.legend import EUROSAT
from pipeline.models import store
from pipeline.models.card import ModelCard
from pipeline.training.run import Trained
from tests.fakes import CARD, FakeClassifier, class_of

# What the fake takes for the class of the same number.
COLOURS = {class_of(red, 0, 0): red for red in range(10)}


class Engine(FakeClassifier):
    engine = "fake"


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine()
    monkeypatch.setattr(store, "load", lambda *_, **__: found)
    return found


def _chip(path: Path, code: int, size: tuple[int, int] = (64, 64)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (COLOURS[code], 0, 0)).save(path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for code in (0, 1, 3):
        for i in range(3):
            _chip(tmp_path / "data" / EUROSAT.labels[code] / f"{code}_{i}.png", code)
    return tmp_path / "data"


def _call(*arguments: object):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_classify_goes_on_after_a_bad_picture(tmp_path: Path) -> None:
    good, large = _chip(tmp_path / "good.png", 3), _chip(tmp_path / "large.png", 1, (130, 64))
    bad, small = tmp_path / "bad.jpg", _chip(tmp_path / "small.png", 1, (40, 40))
    bad.write_bytes(b"")
    answer = _call("classify", bad, good, small, large)
    assert answer.exit_code == 3
    assert [line.split(":")[0] for line in answer.stdout.splitlines()] == [
        str(good),
        f"{large} at 0,0",
        f"{large} at 64,0",
    ]
    assert f"{bad}: the picture is empty" in answer.stderr
    assert f"{small}: is 40x40 pixels" in answer.stderr
    entries = json.loads(_call("classify", bad, good, "--json").stdout)
    assert [entry.get("label") for entry in entries] == [None, "Highway"]
    assert "empty" in entries[0]["error"]
    assert _call("classify", bad, small).exit_code == 1
    assert _call("classify", good).exit_code == 0


def test_evaluate_measures_what_is_there(data: Path, tmp_path: Path) -> None:
    (data / EUROSAT.labels[3] / "3_1.png").unlink()
    (data / EUROSAT.labels[3] / "3_2.png").unlink()
    _chip(data / EUROSAT.labels[0] / "wrong.png", 1)
    answer = _call("evaluate", "--data", data, "--json", tmp_path / "out.json")
    assert answer.exit_code == 0, answer.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert list(found) == ["accuracy", "macro_f1", "ece", "n", "per_class", "confusion"]
    assert found["n"] == 8
    assert found["accuracy"] == pytest.approx(7 / 8)
    assert found["per_class"]["River"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    river = next(line for line in answer.stdout.splitlines() if line.startswith("River"))
    assert river.split()[1:] == ["-", "-", "-", "0"]
    turned = _call("evaluate", "--data", data, "--tta")
    assert "mean of eight flips and turns" in turned.stdout
    assert "accuracy 87.50%" in turned.stdout


def test_evaluate_refuses_what_holds_no_class(tmp_path: Path) -> None:
    _chip(tmp_path / "data" / "Beach" / "a.png", 1)
    answer = _call("evaluate", "--data", tmp_path / "data")
    assert answer.exit_code == 1
    assert "no pictures in class folders" in answer.stderr


@pytest.mark.parametrize("lists", [False, True])
def test_train_refuses_a_class_of_one_picture(data: Path, tmp_path: Path, lists: bool) -> None:
    split = []
    if lists:
        names = sorted(path.name for path in data.rglob("*.png"))
        (tmp_path / "train.txt").write_text("\n".join(name for name in names if name[-5] != "2" and name != "3_1.png"))
        (tmp_path / "val.txt").write_text("\n".join(name for name in names if name[-5] == "2"))
        split = ["--split", f"{tmp_path / 'train.txt'},{tmp_path / 'val.txt'}"]
    else:
        for i in (1, 2):
            (data / "Highway" / f"3_{i}.png").unlink()
    answer = _call(
        "train", "--data", data, *split, "--weights", "none", "--run", tmp_path / "run", "--out", tmp_path / "models"
    )
    assert answer.exit_code == 1
    assert "class Highway has 1 of at least 2 pictures" in answer.stderr
    assert not (tmp_path / "run").exists()


def test_the_report_lies_beside_the_model_and_its_figures_in_the_card(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "models" / "fake"
    place.mkdir(parents=True)
    CARD.write(place / "card.json")
    patches = read_labelled(data, Asked(EUROSAT.labels))
    rows = [
        {"epoch": i, "loss": 1 / i, "accuracy": 0.9, "rate": 1e-3, "val_loss": 0.5, "val_accuracy": 0.8} for i in (1, 2)
    ]
    found = report(Trained(place, CARD, patches, patches), {"mine, cosine schedule": rows, "other, no schedule": rows})
    assert found.accuracy == 1
    measured = ModelCard.read(place / "card.json").metrics["validation"]
    assert (measured["accuracy"], measured["n"], measured["engine"]) == (1, 9, "fake")
    with Image.open(place / "report" / "curves.png") as image:
        assert np.asarray(image.convert("RGB")).std() > 5


def _stored(folder: Path, name: str, **told: object) -> None:
    (folder / name).mkdir()
    replace(CARD, name=name, engines={"keras": {"file": "model.keras"}}, **told).write(folder / name / "card.json")


def _listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    monkeypatch.setattr(store.names, "__defaults__", (folder,))
    monkeypatch.setattr(store.card, "__defaults__", (folder, False))
    answer = _call("models")
    assert answer.exit_code == 0, answer.output
    found: dict[str, list[str]] = {}
    for line in answer.stdout.splitlines():
        found.setdefault(line, []) if not line.startswith(" ") else found[list(found)[-1]].append(line.strip())
    return found


def test_models_says_what_was_measured_on_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, own = {"accuracy": 0.963, "n": 5400}, {"held_out": {"accuracy": 0.985, "n": 540}}
    trained = {"n": 21060, "split": ["train.txt", "val.txt, nine tenths"]}
    _stored(tmp_path, "a", trained_on=trained, metrics={"spatial_val": other, "shipped": own})
    _stored(tmp_path, "b", metrics={"spatial_val": other})
    _stored(tmp_path, "c", metrics={"validation": {"accuracy": 0.9, "n": 12}})
    _stored(tmp_path, "d")
    _stored(tmp_path, "e", metrics={"validation": {"accuracy": 0.97, "n": 1680, "folds": [0.96, 0.98]}})
    found = _listed(tmp_path, monkeypatch)
    assert found["a"][:3] == [
        "resnet50, answers by tile, 10 classes",
        "takes sentinel-2 B04 B03 B02, 64 x 64 pixels of 10 m",
        "engines keras; here keras",
    ]
    assert found["a"][3] == "trained on 21,060 pictures (train.txt; val.txt, nine tenths)"
    assert found["a"][4] == "accuracy 98.5% on 540 pictures that these weights never saw"
    assert found["a"][5].startswith(
        "accuracy 96.3% on 5,400 pictures of the spatial validation part, by the run before"
    )
    assert "no figure of theirs" in found["a"][5]
    assert found["b"][3:] == ["accuracy 96.3% on 5,400 pictures of the spatial validation part, by these weights"]
    assert found["c"][3:] == ["accuracy 90.0% on 12 pictures that also set its temperature and threshold"]
    assert found["d"][3:] == ["accuracy not measured"]
    assert found["e"][3].startswith(
        "accuracy 97.0% on 1,680 pictures, each answered by a fold's weights that never saw it"
    )


def test_a_damaged_model_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stored(tmp_path, "bad")
    (tmp_path / "bad" / "card.json").write_text("{}")
    _stored(tmp_path, "good")
    found = _listed(tmp_path, monkeypatch)
    assert list(found) == ["bad", "good"]
    assert "not a model card" in found["bad"][0]


def test_the_shipped_model_s_own_figure_stands_before_the_reference_run_s() -> None:
    lines = [line for line in measured(store.card(store.DEFAULT)) if line.startswith("accuracy")]
    assert "540 pictures that these weights never saw" in lines[0]
    assert "no figure of theirs" in lines[1]
