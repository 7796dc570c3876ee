"""Xception (Chollet 2017) from keras.applications, with a head of 1,024 units."""

from pathlib import Path

from pipeline.errors import ModelError
from pipeline.models.networks import Network, Plan, door, head

KIND, SIZE = "tile", 150
# keras.applications scales Xception's input to -1..1.
MEAN, SPREAD = (127.5,) * 3, (127.5,) * 3
BASE = "xception"
HIDDEN = 1024


def build(plan: Plan) -> Network:
    """The network; the layer `features` gives 2,048 pooled features."""
    import keras

    inputs, x = door(plan, MEAN, SPREAD)
    within = keras.Input(tuple(x.shape[1:]))  # as a shape, keras warns of other than three bands
    base = keras.applications.Xception(include_top=False, weights=None, input_tensor=within, name=BASE)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # 0.99 lags for the first epochs
    return keras.Model(inputs, head(base(x), plan, HIDDEN), name="xception-classifier")


def load(model: Network, source: str) -> tuple[str, ...]:
    """Fills the base from keras.applications ("imagenet") or from a file of its weights (`.h5`, `.weights.h5`).

    Raises:
        ModelError: the weights cannot be had or belong to another network.
    """
    import keras

    base = model.get_layer(BASE)
    try:
        if source == "imagenet":
            shape = tuple(base.input_shape[1:])
            base.set_weights(keras.applications.Xception(include_top=False, input_shape=shape).get_weights())
        elif not Path(source).is_file():
            raise ModelError(f"{source}: no such file of weights; give imagenet, a .weights.h5 or none")
        else:
            base.load_weights(source)
    except ModelError:
        raise
    except Exception as error:  # keras raises a plain Exception when a download fails, h5py its own
        raise ModelError(
            f"{source}: no weights of Xception can be had ({str(error).splitlines()[0]}); give a .weights.h5 of "
            f"keras.applications' base, or --weights none"
        ) from error
    return (BASE,)
