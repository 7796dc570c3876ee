import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.models import store
from pipeline.models.abstention import Abstention
from pipeline.models.card import ModelCard
from pipeline.models.input import ModelInput
from pipeline.scenes.radiometry import Stretch
from pipeline.training import export
from tests.models.networks import PAIR, tiny

# Keras' own way to numpy; its TensorFlow variables do not know numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng
TWINS = {"openvino-f32": {"file": "openvino/model.xml"}, "keras": {"file": "model.keras"}}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    rng = RNG(8)
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


@pytest.fixture
def copied(models: Path, tmp_path: Path) -> Path:
    shutil.copytree(models / "tiny", tmp_path / "tiny")
    return tmp_path


def _change(folder: Path, **changes: object) -> None:
    path = folder / "tiny" / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _patches(n: int) -> np.ndarray:
    return RNG(9).integers(1, 256, (n, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("engine", TWINS)
def test_a_patch_gets_the_same_answer_in_any_batch(models: Path, engine: str) -> None:
    classifier = store.load("tiny", engine, threads=1 if engine != "keras" else None, folder=models)
    patches = _patches(150)
    whole = classifier.judge(patches)
    assert whole.probabilities.shape == (150, 2)
    np.testing.assert_allclose(whole.probabilities.sum(axis=1), 1, rtol=1e-5)
    for chosen in ([0], [149], list(range(60, 130)), [5, 3, 5]):
        part = classifier.judge(patches[chosen])
        np.testing.assert_array_equal(part.probabilities, whole.probabilities[chosen])
        np.testing.assert_array_equal(part.unfamiliar, whole.unfamiliar[chosen])
    assert classifier.predict(patches[:0]).shape == (0, 2)


def test_the_twin_answers_as_the_keras_model_does(models: Path) -> None:
    one, two = (store.load("tiny", engine, folder=models) for engine in TWINS)
    np.testing.assert_allclose(one.predict(_patches(20)), two.predict(_patches(20)), atol=2e-3)


def test_temperature_is_inside_the_stored_graph(models: Path) -> None:
    from pipeline.models.engines.keras import load_model

    model = load_model(models / "tiny" / "model.keras")
    assert model.get_layer("temperature").scale == pytest.approx(1 / 0.7)
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}


def test_models_are_found_by_name_and_by_path(models: Path) -> None:
    assert store.names(models) == ("tiny",)
    assert store.locate(str(models / "tiny")) == models / "tiny"
    with pytest.raises(ModelError, match=r"other: no such model .*tiny"):
        store.load("other", folder=models)


def test_the_first_engine_of_the_card_is_chosen(models: Path) -> None:
    card = store.card("tiny", models)
    assert store.choose_engine(card) == "openvino-f32"
    assert store.choose_engine(card, "keras") == "keras"
    for engine, message in (("openvino-int8", "has no openvino-int8"), ("onnx", "no such engine")):
        with pytest.raises(ModelError, match=message):
            store.choose_engine(card, engine)


@pytest.mark.parametrize("name", ["model.keras", "openvino/model.bin", "openvino/model.xml", "abstention.npz"])
def test_a_changed_or_missing_file_is_refused_whatever_the_engine(copied: Path, name: str) -> None:
    path = copied / "tiny" / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    for engine in TWINS:
        with pytest.raises(ModelError, match=f"{path.name}: SHA-256"):
            store.load("tiny", engine, folder=copied)
    path.unlink()
    with pytest.raises(ModelError, match="missing"):
        store.load("tiny", folder=copied)


@pytest.mark.parametrize("engine", TWINS)
def test_a_network_of_another_shape_than_its_card_is_refused(copied: Path, engine: str) -> None:
    card = json.loads((copied / "tiny" / "card.json").read_text())
    _change(copied, legend={"name": "three", "classes": card["legend"]["classes"] * 2})
    with pytest.raises(ModelError, match="the card says"):
        store.load("tiny", engine, folder=copied)
    _change(copied, legend=card["legend"], input=card["input"] | {"bands": ["B04", "B03"]})
    with pytest.raises(ModelError, match="tiny"):
        store.load("tiny", engine, folder=copied)


def test_patches_of_another_shape_or_type_are_refused(models: Path) -> None:
    classifier = store.load("tiny", folder=models)
    for patches in (_patches(2).astype(np.float32), _patches(2)[:, :32], _patches(2)[0]):
        with pytest.raises(ModelError, match="the model takes"):
            classifier.predict(patches)


def test_a_card_that_is_none_is_refused(copied: Path) -> None:
    (copied / "tiny" / "card.json").write_text("{}")
    with pytest.raises(ModelError, match="not a model card"):
        store.load("tiny", folder=copied)


def test_the_shipped_model_is_what_its_card_says() -> None:
    if store.DEFAULT not in store.names():
        pytest.skip("the trained model is not in saved_models/")
    classifier = store.load()
    assert classifier.card.input.size == 64
    assert len(classifier.card.legend.classes) == 10
    patches = _patches(70)
    whole = classifier.judge(patches)
    np.testing.assert_array_equal(classifier.predict(patches[66:]), whole.probabilities[66:])
    assert whole.unfamiliar.all()  # noise is no land cover
