"""Wide ResNet50-2 (Zagoruyko and Komodakis 2016, torchvision's form): the 3x3 convolutions are twice as wide.

keras.applications has no such network. Published weights are torchvision's file `wide_resnet50_2-95faca4d.pth`
(BSD-3-Clause), read as it is where PyTorch is installed; without it, convert once where it is:
`np.savez("wide.npz", **{k: v.numpy() for k, v in torch.load(FILE, weights_only=True).items()})`.
"""

from pipeline.errors import ModelError
from pipeline.models.networks import Network, Plan, Tensor, door, head, load_torch, normalised, stored_arrays

KIND, SIZE = "tile", 64
# torchvision's normalisation, in 0..255.
MEAN, SPREAD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
EPSILON = 1e-5
HIDDEN = 256
# Filters of the 3x3 convolution, blocks, stride of the first block.
STAGES = ((128, 3, 1), (256, 4, 2), (512, 6, 2), (1024, 3, 2))


def build(plan: Plan) -> Network:
    """The network with a head of 256 units; the layer `features` gives 2,048 pooled features."""
    import keras
    from keras import layers

    def conv(x: Tensor, filters: int, kernel: int, stride: int, name: str, activate: bool = True) -> Tensor:
        if kernel > 1:  # PyTorch pads both sides alike, `same` does not at stride 2
            x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
        x = layers.Conv2D(filters, kernel, stride, use_bias=False, name=f"{name}_conv")(x)
        return normalised(x, plan, name, EPSILON, "relu" if activate else None)

    inputs, x = door(plan, MEAN, SPREAD)
    x = conv(x, 64, 7, 2, "stem")
    x = layers.ZeroPadding2D(1, name="pool_pad")(x)  # of what ReLU left, so zero never wins over a value
    x = layers.MaxPooling2D(3, strides=2, name="pool")(x)
    for stage, (width, blocks, first_stride) in enumerate(STAGES, start=1):
        for block in range(blocks):
            name, stride = f"layer{stage}_{block}", first_stride if block == 0 else 1
            shortcut = conv(x, 2 * width, 1, stride, f"{name}_downsample", activate=False) if block == 0 else x
            x = conv(x, width, 1, 1, f"{name}_1")
            x = conv(x, width, 3, stride, f"{name}_2")
            x = conv(x, 2 * width, 1, 1, f"{name}_3", activate=False)
            x = layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, x]))
    return keras.Model(inputs, head(x, plan, HIDDEN), name="wide-resnet50-2")


def load(model: Network, source: str) -> tuple[str, ...]:
    """Fills everything but the head from torchvision's file (`.pth`) or an npz with its names.

    Raises:
        ModelError: the file cannot be read or holds another network.
    """
    if source == "imagenet":
        raise ModelError(
            "imagenet: keras.applications has no wide ResNet50-2; give --weights torchvision's "
            "wide_resnet50_2-95faca4d.pth or an npz of it, or --weights none"
        )
    layers = {"stem_conv": "conv1", "stem_bn": "bn1"}
    for stage, (_, blocks, _) in enumerate(STAGES, start=1):
        for block in range(blocks):
            ours, theirs = f"layer{stage}_{block}", f"layer{stage}.{block}"
            for part in (1, 2, 3):
                layers |= {f"{ours}_{part}_conv": f"{theirs}.conv{part}", f"{ours}_{part}_bn": f"{theirs}.bn{part}"}
            if block == 0:
                down = f"{theirs}.downsample"
                layers |= {f"{ours}_downsample_conv": f"{down}.0", f"{ours}_downsample_bn": f"{down}.1"}
    return load_torch(model, stored_arrays(source), layers, source)
