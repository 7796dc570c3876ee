import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.bands import RGB
from pipeline.datasets.labelled import Asked, read_labelled, read_names
from pipeline.errors import ModelError
from pipeline.legend import EUROSAT
from pipeline.models import store

# Keras' own way to numpy; its TensorFlow variables do not know numpy 2's copy keyword.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RNG = np.random.default_rng
TWINS = ("openvino-f32", "keras")


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
    more = [entry | {"label": f"{entry['label']} again"} for entry in card["legend"]["classes"]]
    _change(copied, legend={"name": "more", "classes": card["legend"]["classes"] + more})
    with pytest.raises(ModelError, match="the card says"):
        store.load("tiny", engine, folder=copied)
    _change(copied, legend=card["legend"], input=card["input"] | {"bands": ["B04", "B03"]})
    with pytest.raises(ModelError, match="tiny"):
        store.load("tiny", engine, folder=copied)


def test_a_card_that_is_none_is_refused(copied: Path) -> None:
    (copied / "tiny" / "card.json").write_text("{}")
    with pytest.raises(ModelError, match="not a model card"):
        store.load("tiny", folder=copied)


def test_a_model_for_pixels_is_no_tile_classifier(copied: Path) -> None:
    _change(copied, kind="cover")
    with pytest.raises(ModelError, match="tiny: answers for pixels"):
        store.load("tiny", folder=copied)


@pytest.fixture(scope="module")
def shipped() -> store.LoadedClassifier:
    if store.DEFAULT not in store.names():
        pytest.skip("the trained model is not in saved_models/")
    return store.load(threads=1)


def test_the_shipped_model_takes_what_its_card_says(shipped: store.LoadedClassifier) -> None:
    taken = shipped.card.input
    assert (taken.sensor, taken.bands, taken.units, taken.size, taken.gsd) == ("sentinel-2", RGB, "code", 64, 10.0)
    assert shipped.card.legend == EUROSAT
    patches = _patches(70)
    whole = shipped.judge(patches)
    np.testing.assert_array_equal(shipped.judge(patches[66:]).probabilities, whole.probabilities[66:])
    assert whole.unfamiliar.all()  # noise is no land cover


def test_the_shipped_model_knows_pictures_of_every_class(shipped: store.LoadedClassifier, shared_data: Path) -> None:
    names = read_names(shared_data / "eurosat" / "eurosat-spatial-val.txt")[::20]
    data = read_labelled(shared_data / "eurosat" / "EuroSAT_RGB_trainval.zip", Asked(EUROSAT.labels, names))
    answer = shipped.judge(data.patches)
    right = answer.probabilities.argmax(axis=1) == data.labels
    assert data.counts.min() >= 4 and right.mean() >= 0.95
    assert min(right[data.labels == code].mean() for code in range(10)) >= 0.75
    assert answer.unfamiliar.mean() <= 0.03
    turned = shipped.judge(np.ascontiguousarray(data.patches[..., ::-1]))  # blue for red
    assert (turned.probabilities.argmax(axis=1) == data.labels).mean() < right.mean() - 0.1


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what of a file is in memory")
def test_the_file_of_a_loaded_network_is_not_in_memory(models: Path) -> None:
    weights = models / "tiny" / "openvino/model.bin"
    classifier = store.load("tiny", "openvino-f32", folder=models)
    resident = re.findall(rf" {re.escape(str(weights))}\n(?:.+\n)*?Rss: +(\d+)", Path("/proc/self/smaps").read_text())
    assert set(resident) == {"0"}
    assert classifier.predict(np.ones((1, 64, 64, 3), np.uint8)).sum() == pytest.approx(1)
