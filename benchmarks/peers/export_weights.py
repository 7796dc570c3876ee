"""Writes the trained Keras ResNet50 under torchvision's names: export_weights.py MODEL.keras OUT.npz."""

import sys

import keras
import numpy as np

STAGES = {"conv2": "layer1", "conv3": "layer2", "conv4": "layer3", "conv5": "layer4"}
NORMAL = ("weight", "bias", "running_mean", "running_var")


def torch_names(name: str) -> tuple[str, str]:
    """Convolution and normalisation of a Keras layer, such as `conv3_block2_1`."""
    if name == "conv1":
        return "conv1", "bn1"
    stage, block, part = name.split("_")
    place = f"{STAGES[stage]}.{int(block.removeprefix('block')) - 1}"
    if part == "0":
        return f"{place}.downsample.0", f"{place}.downsample.1"
    return f"{place}.conv{part}", f"{place}.bn{part}"


def main() -> None:
    model = keras.models.load_model(sys.argv[1], compile=False)
    found = {}
    for layer in model.layers:
        if layer.name.endswith("_conv"):
            name = layer.name.removesuffix("_conv")
            convolution, normal = torch_names(name)
            (kernel,) = layer.get_weights()
            found[f"{convolution}.weight"] = kernel.transpose(3, 2, 0, 1)
            values = model.get_layer(f"{name}_bn").get_weights()
            found |= {f"{normal}.{part}": value for part, value in zip(NORMAL, values, strict=True)}
    kernel, bias = model.get_layer("logits").get_weights()
    sharpness = model.get_layer("temperature").scale  # the network's last line, before softmax
    found |= {"fc.weight": kernel.T * sharpness, "fc.bias": bias * sharpness}
    picture = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    found |= {"picture": picture, "answer": model.predict(picture, verbose=0)}
    np.savez(sys.argv[2], **found)


if __name__ == "__main__":
    main()
