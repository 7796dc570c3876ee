"""The recipes say only what `train` understands, and what the user says goes before."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pipeline.cli import main
from pipeline.cli.train import train
from pipeline.models import networks
from pipeline.training import recipes
from pipeline.training import run as training


@pytest.mark.parametrize("name", recipes.names())
def test_every_value_is_an_option_of_train(name: str) -> None:
    recipe = recipes.find(name)
    known = {parameter.name: parameter for parameter in train.params}
    for option, value in recipe.options.items():
        known[option].type_cast_value(None, value)
    networks.find(recipe.options["arch"])
    assert recipe.summary.endswith(".")


def test_the_users_options_go_before_the_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    asked: list[training.TrainRequest] = []

    def remembered(request: training.TrainRequest, *_: object, **__: object) -> None:
        asked.append(request)
        raise training.ModelError("enough")

    monkeypatch.setattr(training, "run", remembered)
    call = ["train", "--data", str(tmp_path / "data"), "--recipe", "ucmerced-xception"]
    answer = CliRunner().invoke(main, [*call, "--epochs", "3"])
    assert "enough" in answer.stderr
    options = asked[0].options
    assert (options.architecture, options.rate, options.epochs, options.frozen_epochs) == ("xception", 1e-5, 3, 20)
    assert (asked[0].patch_size, asked[0].sensor, options.augmentation.surface) == (150, "aerial", 0.0)
    assert options.augmentation.mixup == 0
    answer = CliRunner().invoke(main, ["train", "--data", str(tmp_path / "data"), "--recipe", "soup"])
    assert answer.exit_code == 2
    assert "no such recipe; choose one of atlas-europa" in answer.stderr


def test_training_of_ten_bands_needs_files_that_have_them(tmp_path: Path) -> None:
    for label in ("Lake", "Wood"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "data" / label / f"{i}.tif")
    call = ["train", "--data", str(tmp_path / "data"), "--recipe", "spectrumnet", "--run", str(tmp_path / "run")]
    answer = CliRunner().invoke(main, call)
    assert answer.exit_code == 1
    assert "holds 3 bands without names" in answer.stderr
    assert not (tmp_path / "run").exists()
