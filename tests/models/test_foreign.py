"""Networks of others: added with a card, run by what they were saved for, wrong cards told at once."""

import json
import struct

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.errors import ModelError
from pipeline.models import foreign, store
from pipeline.models.pixels import load_pixels

BANDS = ("B03", "B08")
CLASSES = ("water", "trees", "grass")
# Logits of three classes from two bands.
WEIGHTS = np.array([[4.0, -8.0], [-2.0, 6.0], [1.0, 1.0]], np.float32)
# How Dynamic World's network takes its bands: https://github.com/google/dynamicworld (Apache-2.0).
DYNAMIC_WORLD = {
    "B02": (1.7417268007636313, 2.023298706048351),
    "B03": (1.7261204997060209, 2.038905204308012),
    "B04": (1.6798346251414997, 2.179592821212937),
    "B05": (1.7734969472909623, 2.2890068333026603),
    "B06": (2.289154079164943, 2.6171674549378166),
    "B07": (2.382939712192371, 2.773418590375327),
    "B08": (2.3828939530384052, 2.7578332604178284),
    "B11": (2.1952484264967844, 2.789092484314204),
    "B12": (1.554812948247501, 2.4140534947492487),
}


def field(number, value):
    """One field of a protobuf message: an integer or bytes."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    data = value.encode() if isinstance(value, str) else value
    size = bytearray()
    left = len(data)
    while left > 127:
        size.append(left & 127 | 128)
        left >>= 7
    return bytes([number << 3 | 2, *size, left]) + data


def tensor_type(name, *dims):
    shape = b"".join(field(1, field(1, dim) if isinstance(dim, int) else field(2, dim)) for dim in dims)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def onnx_file(path):
    """A convolution of one pixel, channels first: (1, 2, y, x) to (1, 3, y, x)."""
    weights = b"".join(field(1, dim) for dim in (3, 2, 1, 1)) + field(2, 1) + field(8, "w")
    weights += field(9, struct.pack("<6f", *WEIGHTS.ravel()))
    node = field(1, "pixels") + field(1, "w") + field(2, "logits") + field(4, "Conv")
    graph = field(1, node) + field(2, "tiny") + field(5, weights)
    graph += field(11, tensor_type("pixels", 1, 2, "y", "x")) + field(12, tensor_type("logits", 1, 3, "y", "x"))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)))
    return path


def card(tmp_path, **told):
    path = tmp_path / "card.json"
    said = {"name": "tiny", "kind": "cover", "classes": CLASSES, "bands": BANDS, "halo": 8}
    path.write_text(json.dumps(said | {"normalisation": [{"multiply": [10, 5]}, {"add": -1}]} | told))
    return path


def expected(pixels):
    logits = (np.maximum(pixels, 0) * [10, 5] - 1) @ WEIGHTS.T
    grown = np.exp(logits)
    return grown / grown.sum(axis=-1, keepdims=True)


@pytest.fixture
def pixels():
    found = np.random.default_rng(2).uniform(0, 0.5, (24, 40, 2)).astype(np.float32)
    found[3, 5, 1] = -1  # not measured
    return found


def test_an_onnx_file_answers_for_pixels_through_its_card(tmp_path, pixels):
    models = tmp_path / "models"
    source, told = onnx_file(tmp_path / "net.onnx"), card(tmp_path, channels_first=True)
    answer = CliRunner().invoke(main, ["models", "add", str(source), "--card", str(told), "--out", str(models)])
    assert answer.exit_code == 0, answer.output
    assert f"--cover {models / 'tiny'}" in answer.output
    network = load_pixels("tiny", folder=models)
    assert (network.engine, network.halo, network.card.legend.labels) == ("onnx", 8, CLASSES)
    np.testing.assert_allclose(network.predict(pixels), expected(pixels), atol=1e-5)
    with pytest.raises(ModelError, match="is there already"):
        foreign.add(source, told, models)
    (models / "tiny" / "onnx" / "model.onnx").write_bytes(b"other")
    with pytest.raises(ModelError, match="SHA-256"):
        load_pixels("tiny", folder=models)


@pytest.fixture
def saved_model(tmp_path):
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    call = tf.function(
        lambda pixels: tf.linalg.matmul(pixels, WEIGHTS.T.copy()),
        input_signature=[tf.TensorSpec([None, None, None, 2], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path / "net"), signatures={"serving_default": call})
    (tmp_path / "net" / "LICENSE").write_text("free")
    return tmp_path / "net"


@pytest.mark.filterwarnings("ignore")
def test_a_savedmodel_keeps_its_licence_and_answers(tmp_path, saved_model, pixels):
    made = foreign.add(saved_model, card(tmp_path), tmp_path / "models")
    assert "savedmodel/LICENSE" in made.sha256
    network = load_pixels("tiny", folder=tmp_path / "models")
    np.testing.assert_allclose(network.predict(pixels), expected(pixels), atol=1e-5)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"classes": ["water", "trees"]}, "its card says"),
        ({"bands": ["B02", "B03", "B08"], "normalisation": []}, "does not take pixels"),
        ({"normalisation": [{"cube": 3}]}, "known are multiply"),
        ({"normalisation": [{"add": [1, 2, 3]}]}, "3 numbers for 2 bands"),
        ({"name": "../up"}, "no name for a model"),
        ({"kind": "cube"}, "of kind 'cube'"),
        ({"units": "dn"}, "takes reflectance"),
    ],
)
def test_a_wrong_card_is_told_before_anything_is_kept(tmp_path, told, said):
    source = onnx_file(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match=said):
        foreign.add(source, card(tmp_path, channels_first=True, **told), tmp_path / "models")
    assert not list((tmp_path / "models").glob("*"))


def test_what_is_no_network_is_refused(tmp_path):
    with pytest.raises(ModelError, match="neither a TensorFlow SavedModel"):
        foreign.add(tmp_path, card(tmp_path), tmp_path / "models")


@pytest.mark.filterwarnings("ignore")
def test_dynamic_worlds_network_runs_and_gives_the_answers_that_are_stored(tmp_path, shared_data):
    """The shared labels are this network's answers for the same scene."""
    import rasterio
    from rasterio.windows import Window, from_bounds

    from pipeline.models.input import network_input
    from pipeline.scenes.finding.find import find_scenes
    from pipeline.scenes.reading.reader import SceneReader
    from pipeline.scenes.scene import ReadOptions

    pytest.importorskip("tensorflow")
    source = shared_data / "weights" / "dynamicworld"
    if not source.is_dir():
        pytest.skip("Dynamic World's network is not in the shared data")
    middle, spread = zip(*DYNAMIC_WORLD.values(), strict=True)
    steps = [{"multiply": 50.0}, {"log1p": 1.0}, {"add": [-value for value in middle]}]
    steps += [{"multiply": [5.0 / value for value in spread]}, {"add": -1.0}, {"sigmoid": 1.0}]
    classes = ("water", "trees", "grass", "flooded", "crops", "shrub", "built", "bare", "snow")
    told = card(tmp_path, name="dw", classes=classes, bands=[*DYNAMIC_WORLD], normalisation=steps, halo=64)
    made = foreign.add(source, told, tmp_path / "models")
    network = load_pixels("dw", folder=tmp_path / "models")
    assert store.card("dw", tmp_path / "models", verified=True) == made

    label = shared_data / "cover" / "bercy-2016-11-30.tif"
    options = ReadOptions(required=made.input.bands)
    scenes = list(find_scenes(shared_data / "scenes" / "oscd" / "bercy" / "imgs_1", options))
    scene = scenes[0]
    with rasterio.open(label) as raster:
        window = Window(40, 64, 256, 192)
        truth, bounds = raster.read(1, window=window), raster.window_bounds(window)
        assert from_bounds(*bounds, raster.transform).width == 256
    with SceneReader(scene) as reader:
        pixels, _ = reader.read(bounds, made.input.bands)
    answers = network.predict(np.moveaxis(network_input(pixels, scene, made.input), 0, -1)).argmax(axis=-1)
    inside = slice(48, -48)
    assert (answers[inside, inside] == truth[inside, inside]).mean() > 0.9
