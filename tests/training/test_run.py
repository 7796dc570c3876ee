from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.bands import RGB
from pipeline.datasets.folds import Look
from pipeline.errors import ModelError
from pipeline.legend import EUROSAT
from pipeline.models import store
from pipeline.scenes.radiometry import surface_to_top
from pipeline.training import fit
from pipeline.training.augment import Augmentation
from pipeline.training.options import TrainOptions
from pipeline.training.run import TrainRequest, legend_of, read_split, run, split_words
from tests.models import networks as tiny_network

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for code, label in enumerate(("Bright", "Dark", "Red")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(1, 60, (64, 64, 3)) + [(150, 150, 150), (0, 0, 0), (180, 0, 0)][code]
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "data" / label / f"{label}_{i}.png")
    return tmp_path / "data"


def test_a_folder_of_pictures_becomes_a_stored_model(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit.networks, "find", lambda _: tiny_network)
    plan = Augmentation(gain=0, surface=0)
    options = TrainOptions(
        tmp_path / "run",
        epochs=6,
        batch=16,
        rate=0.03,
        weights="none",
        mixed_precision=False,
        tensorboard=False,
        augmentation=plan,
    )
    card = run(TrainRequest(pictures, tmp_path / "models", options, name="simple"), progress=lambda _: None).card
    assert card.legend.labels == ("Bright", "Dark", "Red")
    assert card.trained_on["n"] == 48
    assert card.input.harmonisation == {"L2A": surface_to_top(RGB)}
    assert card.trained_on["seed"] == options.seed
    assert "openvino-f32" in card.metrics["gate"]
    classifier = store.load("simple", folder=tmp_path / "models")
    _, validation = read_split(pictures, None, options.seed)
    answer = classifier.judge(validation.patches)
    assert (answer.probabilities.argmax(axis=1) == validation.labels).mean() > 0.9
    assert answer.unfamiliar.mean() < 0.2


def test_a_split_without_lists_draws_a_fifth_of_each_class(pictures: Path) -> None:
    training, validation = read_split(pictures, None, 1)
    assert training.counts.tolist() == [16, 16, 16]
    assert validation.counts.tolist() == [4, 4, 4]
    assert not set(training.names) & set(validation.names)
    assert read_split(pictures, None, 1)[1].names == validation.names
    assert read_split(pictures, None, 2)[1].names != validation.names


def test_lists_that_overlap_are_refused(pictures: Path, tmp_path: Path) -> None:
    names = [path.name for path in sorted(pictures.rglob("*.png"))]
    (tmp_path / "a.txt").write_text("\n".join(names[::2]))
    (tmp_path / "b.txt").write_text("\n".join([*names[1::2], names[0]]))
    with pytest.raises(ModelError, match=r"1 pictures are also in a\.txt"):
        read_split(pictures, (tmp_path / "a.txt", tmp_path / "b.txt"), 1)
    (tmp_path / "b.txt").write_text("\n".join(names[1::2]))
    training, validation = read_split(pictures, (tmp_path / "a.txt", tmp_path / "b.txt"), 1)
    assert len(training) + len(validation) == 60


def test_a_fold_by_look_validates_and_the_others_train(pictures: Path) -> None:
    said: list[str] = []
    folds = [read_split(pictures, Look(3, number), 1, progress=said.append)[1] for number in (1, 2, 3)]
    named = [name for fold in folds for name in zip(fold.labels.tolist(), fold.names, strict=True)]
    assert len(named) == len(set(named)) == 60
    training, validation = read_split(pictures, Look(3, 2), 1)
    assert len(training) + len(validation) == 60
    assert set(training.names).isdisjoint(validation.names)
    assert said[0].startswith("fold 1 by look: ")
    assert len(said) == 9
    with pytest.raises(ModelError, match="20 pictures, too few for 12 folds by look"):
        read_split(pictures, Look(12, 1), 1)
    assert split_words(Look(5, 2)) == "by look, fold 2 of 5 kept out"


def test_an_unknown_architecture_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="vgg: no such architecture"):
        run(TrainRequest(pictures, tmp_path, TrainOptions(tmp_path, architecture="vgg")))


def test_other_classes_get_a_legend_of_their_own() -> None:
    assert legend_of(EUROSAT.labels) is EUROSAT
    assert legend_of(("Ice", "Sand")).labels == ("Ice", "Sand")
