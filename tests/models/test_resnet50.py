from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.models.networks import Plan, resnet50
from tests.models.networks import tiny

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STORED = "weights/resnet50_imagenet_conv1_to_conv4.npz"


def test_published_weights_without_their_biases_give_the_same_features(shared_data: Path) -> None:
    import keras

    ours = resnet50.build(Plan(10, 64))
    assert ours.output_shape == (None, 10)
    filled = resnet50.load(ours, str(shared_data / STORED))
    assert {name.split("_")[0] for name in filled} == {"conv1", "conv2", "conv3", "conv4"}
    assert {"conv1_conv", "conv4_block6_3_bn"} < set(filled)
    theirs = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3))
    for name, (kernel, bias, normal) in resnet50._from_npz(shared_data / STORED).items():
        if not name.startswith("conv5"):
            theirs.get_layer(f"{name}_conv").set_weights([kernel, bias])
            theirs.get_layer(f"{name}_bn").set_weights(normal)
    codes = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    last = "conv4_block6_out"
    expected = keras.Model(theirs.input, theirs.get_layer(last).output)(
        keras.applications.resnet50.preprocess_input(codes.copy())
    )
    found = keras.Model(ours.input, ours.get_layer(last).output)(codes)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=1e-3)
    assert np.asarray(found).std() > 0.1


def test_files_that_hold_no_resnet50_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    (tmp_path / "broken.npz").write_bytes(b"broken")
    for name, message in (("other.npz", "no whole stage"), ("broken.npz", "cannot read"), ("gone.npz", "cannot read")):
        with pytest.raises(ModelError, match=message):
            resnet50.load(tiny(2), str(tmp_path / name))
