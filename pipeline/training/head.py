"""The first round at the price of one pass: the new layers learn from pooled features that are computed once.

Where all layers up to the pooling have published weights and stay as they are, each picture's features in its eight
positions can be kept; hundreds of epochs of the head then take seconds on a CPU.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.models.networks import Network
from pipeline.training.layers import layered_adamw
from pipeline.training.options import TrainOptions

Floats = npt.NDArray[np.float32]
FEATURES = "features"
BATCH = 32


def after_features(model: Network) -> list[Any]:
    """The layers behind the pooled features, in order."""
    listed = [layer.name for layer in model.layers]
    return list(model.layers[listed.index(FEATURES) + 1 :])


def is_whole(model: Network, filled: tuple[str, ...]) -> bool:
    """Whether published weights fill every layer up to the pooled features."""
    new = {layer.name for layer in after_features(model)}
    return all(layer.name in filled or layer.name in new or not layer.weights for layer in model.layers)


def pooled_features(model: Network, patches: npt.NDArray[Any], progress: Callable[[str], None]) -> Floats:
    """Pooled features (8, n, f) of patches in their eight flips and quarter turns."""
    import keras

    network = keras.Model(model.input, model.get_layer(FEATURES).output)
    found = np.empty((8, len(patches), network.output_shape[1]), np.float32)
    for position in range(8):
        for start in range(0, len(patches), BATCH):
            piece = np.rot90(patches[start : start + BATCH], position % 4, axes=(1, 2))
            piece = np.ascontiguousarray(piece[:, :, ::-1] if position >= 4 else piece, np.float32)
            found[position, start : start + BATCH] = np.asarray(network.predict_on_batch(piece))
        progress(f"features of position {position + 1} of 8")
    return found


def fit_head(
    model: Network, features: Floats, labels: npt.NDArray[np.int64], options: TrainOptions
) -> tuple[list[float], float]:
    """Trains the layers behind the features on (8, n, f) of them, in place.

    Returns each epoch's loss and the last one's accuracy.

    Every epoch sees each picture in one position, drawn anew; the rate falls along a cosine.
    """
    import keras

    keras.utils.set_random_seed(options.seed)
    inputs = keras.Input(features.shape[2:])
    x = inputs
    for layer in after_features(model):
        x = layer(x)
    network = keras.Model(inputs, x)
    rng = np.random.default_rng(options.seed)
    count = features.shape[1]
    steps = -(-count // options.batch) * options.frozen_epochs
    rate = options.rate if options.frozen_rate is None else options.frozen_rate
    network.compile(
        layered_adamw(
            lambda _: 1.0,
            learning_rate=keras.optimizers.schedules.CosineDecay(rate, steps),
            weight_decay=options.weight_decay,
        ),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=options.label_smoothing),
        metrics=["accuracy"],
        jit_compile=False,
    )
    targets = np.eye(network.output_shape[1], dtype=np.float32)[labels]
    losses, accuracy = [], 0.0
    for _ in range(options.frozen_epochs):
        seen = features[rng.integers(0, 8, count), np.arange(count)]
        fitted = network.fit(seen, targets, batch_size=options.batch, epochs=1, verbose=0)
        losses.append(float(fitted.history["loss"][0]))
        accuracy = float(fitted.history["accuracy"][0])
    return losses, accuracy
