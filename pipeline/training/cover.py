"""Fits a network that answers per pixel: loss, loop, checkpoints."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError, OutputError
from pipeline.models.networks import Network, cover_unet
from pipeline.training import checkpoint
from pipeline.training.cover_batches import CropMaker

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
Tensor = Any
Progress = Callable[[str], None]
# What is measured of a network under way, by name.
Watch = Callable[[Network], Mapping[str, float]]
CHECKPOINT = "last.npz"


@dataclass(frozen=True, slots=True)
class CoverOptions:
    """One run."""

    folder: Path
    """Takes checkpoints; a run found there goes on."""
    steps: int = 4400
    """Batches in all."""
    rate: float = 2e-3
    """Highest learning rate: a short warm-up, then a cosine to 0."""
    weight_decay: float = 0.01
    """Of AdamW."""
    shares: float = 1.0
    """Weight of how a whole picture's shares must come out."""
    store_every: int = 100
    """Batches between checkpoints."""
    mixed_precision: bool = True
    """Compute in bfloat16."""
    seed: int = 1
    """Of weights and crops."""
    start: str | None = None
    """A stored network whose weights it begins with; classes that it does not know begin anew."""


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """What a run ends with."""

    network: Network
    """Reflectance in, logits out, in float32."""
    history: tuple[Mapping[str, float], ...]
    """Step, loss and what was watched, at every checkpoint."""


def fit(
    options: CoverOptions, crops: CropMaker, bands: int, progress: Progress = log.info, watch: Watch | None = None
) -> FittedNetwork:
    """Fits a network; `progress` hears of every checkpoint, `watch` measures the network there.

    Raises:
        ModelError: the loss is not finite, or the folder holds a run of other covers, data or options.
        OutputError: a checkpoint cannot be written.
    """
    import keras

    try:
        options.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{options.folder}: cannot take checkpoints ({error.strerror}); choose another --run"
        ) from error
    keras.utils.set_random_seed(options.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if options.mixed_precision else "float32")
    try:
        network = cover_unet.unet(len(crops.covers), bands)
        if options.start is not None:
            begin_with(network, crops.covers, options.start)
        history = _run(options, crops, network, progress, watch)
    finally:
        keras.config.set_dtype_policy(policy)
    plain = cover_unet.unet(len(crops.covers), bands)
    plain.set_weights(network.get_weights())
    return FittedNetwork(plain, tuple(history))


def begin_with(network: Network, covers: Sequence[str], start: str) -> None:
    """Gives a network the weights of a stored one of the same form; each class takes those of its name.

    Raises:
        ModelError: there is no such network, or it is of another form.
    """
    from pipeline.models import store
    from pipeline.models.engines.keras import load_model

    card, place = store.card(start, verified=True), store.locate(start)
    if "keras" not in card.engines:
        raise ModelError(f"{start}: has no Keras model to begin with; choose a network that train-cover made")
    stored = load_model(place / card.engines["keras"]["file"])
    try:
        for layer in network.layers:
            given = stored.get_layer(layer.name).get_weights() if layer.weights else []
            if layer.name == "logits":
                mine = layer.get_weights()
                for at, name in enumerate(covers):
                    if name in card.legend.labels:
                        for own, other in zip(mine, given, strict=True):
                            own[..., at] = other[..., card.legend.labels.index(name)]
                given = mine
            if layer.weights:
                layer.set_weights(given)
    except ValueError as error:
        raise ModelError(f"{start}: is a network of another form ({str(error).splitlines()[0]})") from error


def pixel_loss(count: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross entropy of known pixels; of pictures' pixels how far they are from what their class may hold.

    The truth holds `count` weighted targets, then how well each cover fits, then whether only that is known.
    """

    def loss(truth: Tensor, logits: Tensor) -> Tensor:
        from keras import ops

        likely = ops.log_softmax(logits, axis=-1)
        known = -ops.sum(truth[..., :count] * likely, axis=-1)
        fitting = ops.sum(ops.exp(likely) * truth[..., count : 2 * count], axis=-1)
        return ops.mean(known - ops.log(fitting + 1e-6) * truth[..., 2 * count], axis=(1, 2))

    return loss


def share_loss(truth: Tensor, shares: Tensor) -> Tensor:
    """Cross entropy of a crop's shares; none where nothing is expected of them."""
    from keras import ops

    return ops.mean(-ops.sum(truth * ops.log(shares + 1e-4), axis=-1), axis=(1, 2))


def _run(
    options: CoverOptions, crops: CropMaker, network: Network, progress: Progress, watch: Watch | None
) -> list[Mapping[str, float]]:
    model, optimizer = _compiled(options, crops, network)
    last, done, history = options.folder / CHECKPOINT, 0, []
    asked = _asked(options, crops)
    if last.is_file():
        state, groups = checkpoint.load(last)
        if other := [name for name, value in asked.items() if state.get("asked", {}).get(name) != value]:
            raise ModelError(f"{last}: was fitted with other {', '.join(other)}; give another run folder")
        network.set_weights(groups["model"])
        for variable, value in zip(optimizer.variables, groups["optimizer"], strict=True):
            variable.assign(value)
        done, history = int(state["step"]), state["history"]
        progress(f"goes on after step {done} from {last}")
    while done < options.steps:
        count, started = min(options.store_every, options.steps - done), time.monotonic()
        batches = _batches()(crops, options.seed, done, count)
        told = model.fit(batches, epochs=1, shuffle=False, verbose=0).history
        loss = float(told["loss"][0])
        if not np.isfinite(loss):
            raise ModelError(f"the loss became {loss} before step {done + count}; lower --rate, the checkpoint is kept")
        done += count
        history.append({"step": done, "loss": round(loss, 5), **(watch(network) if watch else {})})
        held = [np.asarray(variable) for variable in optimizer.variables]
        state = {"asked": asked, "step": done, "history": history}
        checkpoint.store(last, state, model=network.get_weights(), optimizer=held)
        seen = ", ".join(f"{name} {value:.4g}" for name, value in history[-1].items() if name != "step")
        progress(f"step {done} of {options.steps}: {seen}, {time.monotonic() - started:.0f} s")
    return history


def _asked(options: CoverOptions, crops: CropMaker) -> dict[str, Any]:
    """What must agree for a run to go on, as JSON holds it; more steps may be asked for."""
    told = {name: value for name, value in asdict(options).items() if name not in ("folder", "steps", "store_every")}
    every = {"covers": crops.covers, **told, "mixture": asdict(crops.mixture), "data": crops.mark}
    found: dict[str, Any] = json.loads(json.dumps(every))
    return found


def _compiled(options: CoverOptions, crops: CropMaker, network: Network) -> tuple[Any, Any]:
    """The model that is fitted (logits and shares out) and its optimizer."""
    import keras
    from keras import layers

    likely = layers.Softmax(dtype="float32")(network.output)
    shares = layers.AveragePooling2D(crops.mixture.size, dtype="float32")(likely)
    model = keras.Model(network.input, [network.output, shares])
    warm = max(1, min(100, options.steps // 10))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, options.steps - warm), warmup_target=options.rate, warmup_steps=warm
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=options.weight_decay, clipnorm=1.0)
    losses = [pixel_loss(len(crops.covers)), share_loss]
    # XLA makes a CPU step ten times slower.
    model.compile(optimizer, loss=losses, loss_weights=[1.0, options.shares], jit_compile=False)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def _batches() -> type[Any]:
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        """Batches `first` to `first + count` of a run, made in a background thread."""

        def __init__(self, crops: CropMaker, seed: int, first: int, count: int) -> None:
            super().__init__(workers=1, use_multiprocessing=False, max_queue_size=6)
            self.crops, self.seed, self.first, self.count = crops, seed, first, count

        def __len__(self) -> int:
            return self.count

        def __getitem__(self, index: int) -> tuple[Floats, tuple[Floats, Floats]]:
            pixels, known, shares = self.crops.draw([self.seed, self.first + index])
            return pixels, (known, shares)

    return Batches


def probabilities(network: Network, pixels: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities (n, y, x, covers) of reflectances (n, y, x, bands) of any size, a few pieces at a time."""
    step = cover_unet.step()
    height, width = pixels.shape[1:3]
    room = ((0, 0), (0, -height % step), (0, -width % step), (0, 0))
    padded = np.pad(pixels, room, constant_values=cover_unet.UNMEASURED)
    found = np.empty((len(pixels), height, width, network.output_shape[-1]), np.float32)
    pieces = max(1, 600_000 // (height * width))
    for start in range(0, len(pixels), pieces):
        logits = np.asarray(network.predict_on_batch(padded[start : start + pieces]))[:, :height, :width] / temperature
        logits -= logits.max(axis=-1, keepdims=True)
        np.exp(logits, out=logits)
        found[start : start + pieces] = logits / logits.sum(axis=-1, keepdims=True)
    return found
