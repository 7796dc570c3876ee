"""The training loop: frozen start, fine-tuning, averaged weights, checkpoints, validation."""

import csv
import io
import json
import logging
import math
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.labelled import LabelledPatches
from pipeline.errors import ModelError, OutputError
from pipeline.files import write_text
from pipeline.models import networks
from pipeline.models.networks import Network, Plan
from pipeline.training import checkpoint
from pipeline.training.augment import Augmentation
from pipeline.training.batches import batches, class_weights, labels_alone
from pipeline.training.export import data_digest
from pipeline.training.head import fit_head, is_whole, pooled_features
from pipeline.training.layers import fused_normalisation, layered_adamw
from pipeline.training.options import Schedule, TrainOptions
from pipeline.training.teaching import Teaching, digests

log = logging.getLogger(__name__)

Logs = dict[str, float] | None
Callback = Any
Weights = list[npt.NDArray[Any]]
BEST = "best.npz"
# Options that change nothing about the weights.
ELSEWHERE = ("folder", "tensorboard")


def train(
    options: TrainOptions,
    data: LabelledPatches,
    validation: LabelledPatches | None = None,
    progress: Callable[[str], None] = log.info,
    bar: bool = False,
) -> Network:
    """Trains the network of `options.architecture` and returns it with its averaged weights (logits out).

    Continues a run found in `options.folder`.

    `progress` hears a line an epoch, `bar` shows keras' progress bar of each epoch.

    Writes there `last.npz` (everything needed to resume), `averaged.npz` (weights only), `history.csv` and
    TensorBoard's logs.

    Raises:
        ModelError: the loss is not finite, or the folder holds a run of other data or options.
        OutputError: a checkpoint cannot be written.
    """
    import keras

    keras.utils.set_random_seed(options.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if options.mixed_precision else "float32")
    try:
        run = _Run(options, data, validation, progress, bar)
        if run.epoch < run.frozen_epochs:
            run.frozen()
        run.fine_tune()
        return run.averaged_model()
    finally:
        keras.config.set_dtype_policy(policy)


def predict_logits(model: Network, patches: npt.NDArray[Any], batch: int = 256) -> npt.NDArray[np.float32]:
    """Logits (n, classes) of patches in 0..255, batch by batch."""
    parts = []
    for start in range(0, len(patches), batch):
        piece = patches[start : start + batch].astype(np.float32)
        missing = batch - len(piece) if len(patches) > batch else 0
        padded = np.concatenate([piece, np.repeat(piece[-1:], missing, axis=0)]) if missing else piece
        parts.append(np.asarray(model.predict_on_batch(padded))[: len(piece)])
    return np.concatenate(parts).astype(np.float32)


class _Run:
    """One run's state: the network, its averaged weights, the epoch reached and the history so far."""

    def __init__(
        self,
        options: TrainOptions,
        data: LabelledPatches,
        validation: LabelledPatches | None,
        progress: Callable[[str], None],
        bar: bool,
    ) -> None:
        self.options, self.data, self.validation, self.progress, self.verbose = (
            options,
            data,
            validation,
            progress,
            int(bar),
        )
        self.classes = data.classes
        self.network = networks.find(options.architecture)
        self.plan = plan_for(options, data)
        self.model = self.network.build(replace(self.plan, norm=fused_normalisation()))
        self.told = run_facts(options, data, validation)
        self.averaged: Weights = []
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.pretrained: tuple[str, ...] = ()
        try:
            options.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{options.folder}: cannot take checkpoints ({error.strerror}); choose another --run folder"
            ) from error
        self.last = options.folder / "last.npz"
        self.optimizer_state: Weights = []
        self.teaching = Teaching(options, data, progress) if options.teachers else None
        if self.last.is_file():
            self._resume()
        else:
            self._start()

    def _start(self) -> None:
        weights = self.options.weights
        if weights.endswith(".npz") and _is_checkpoint(Path(weights)):
            state, groups = checkpoint.load(Path(weights))
            self._same_classes(state, weights)
            self._set_weights(groups["averaged"], weights)
        elif weights != "none":
            self.pretrained = self.network.load(self.model, weights)
        self.averaged = self.model.get_weights()

    @property
    def frozen_epochs(self) -> int:
        """Epochs of the first round; none where no layer has published weights."""
        return self.options.frozen_epochs if self.pretrained else 0

    def _resume(self) -> None:
        state, groups = checkpoint.load(self.last)
        self._accept(state)
        self._set_weights(groups["model"], str(self.last))
        self.averaged, self.optimizer_state = groups["averaged"], groups.get("optimizer", [])
        self.epoch, self.history = int(state["epoch"]), state["history"]
        self.pretrained = tuple(state["pretrained"])
        self.progress(f"resumes after epoch {self.epoch} from {self.last}")

    def _accept(self, state: dict[str, Any]) -> None:
        """Only the same run goes on: other data, split, seed or options would be measured with weights of these."""
        self._same_classes(state, str(self.last))
        # Runs of earlier versions lack options that came later; they ran as these are left alone.
        known = {**_plain(TrainOptions(self.options.folder)), "teacher_cards": {}, **state.get("told", {})}
        other = sorted(name for name, value in self.told.items() if known.get(name) != value)
        if other:
            raise ModelError(
                f"{self.last}: is a run with other {', '.join(other)}; give those of that run again, or another --run "
                f"folder"
            )

    def _same_classes(self, state: dict[str, Any], source: str) -> None:
        if tuple(state["classes"]) != self.classes:
            raise ModelError(
                f"{source}: was trained for the classes {', '.join(state['classes'])}; give another run folder"
            )

    def _set_weights(self, weights: Weights, source: str) -> None:
        try:
            self.model.set_weights(weights)
        except ValueError as error:
            raise ModelError(
                f"{source}: holds weights of another network than {self.options.architecture} with these options; "
                f"give others, or --weights none"
            ) from error

    def frozen(self) -> None:
        """The first round: trains the layers that have no published weights."""
        options = self.options
        held = set(self.pretrained)
        if options.cached and not is_whole(self.model, self.pretrained):
            raise ModelError(
                f"{options.weights}: fills only a part of {options.architecture}, so the first round cannot learn from "
                f"fixed features; leave --cached out"
            )
        for layer in self.model.layers:
            layer.trainable = layer.name not in held
        self._compile(options.rate if options.frozen_rate is None else options.frozen_rate, steps=None)
        if options.cached:
            started = time.monotonic()
            features = pooled_features(self.model, self.data.patches, self.progress)
            losses, accuracy = fit_head(self.model, features, self.data.labels, options)
            self.averaged, self.epoch = self.model.get_weights(), self.frozen_epochs
            self._finish_epoch(losses[-1], accuracy, time.monotonic() - started)
        while self.epoch < self.frozen_epochs:
            self._epoch(options.augmentation.without_mixing(), [_guard()])
        for layer in self.model.layers:
            layer.trainable = True

    def fine_tune(self) -> None:
        """The second round: trains everything for the epochs that are left."""
        options, first = self.options, self.frozen_epochs
        steps = math.ceil(len(self.data) / options.batch)
        self._compile(options.rate, steps=steps)
        if self.epoch > first and self.optimizer_state:
            self.model.optimizer.build(self.model.trainable_variables)
            for variable, value in zip(self.model.optimizer.variables, self.optimizer_state, strict=True):
                if "learning_rate" not in variable.path:
                    variable.assign(value)
            self.model.optimizer.iterations.assign((self.epoch - first) * steps)
        if options.schedule is Schedule.PLATEAU and self.epoch > first:
            self.model.optimizer.learning_rate = self.history[-1]["rate"]
        callbacks = self._callbacks()
        while self.epoch < first + options.epochs:
            calm = first + options.epochs - self.epoch <= options.calm_epochs
            self._epoch(options.augmentation.without_mixing() if calm else options.augmentation, callbacks)

    def _epoch(self, plan: Augmentation, callbacks: list[Any]) -> None:
        started, options = time.monotonic(), self.options
        taught = self.teaching and self.teaching.lesson(self.epoch, plan)
        lesson = taught or labels_alone(self.data, plan)
        epoch = batches()(lesson, class_weights(self.data, options), options.batch, options.seed + self.epoch)
        logs = self._fit(epoch, initial_epoch=self.epoch, epochs=self.epoch + 1, callbacks=callbacks)
        self.epoch += 1
        if self.epoch <= self.frozen_epochs or self.options.ema == 0:
            self.averaged = self.model.get_weights()
        self._finish_epoch(logs["loss"][0], logs["accuracy"][0], time.monotonic() - started)

    def _fit(self, batches: Any, callbacks: list[Any], **epochs: int) -> dict[str, list[float]]:  # noqa: ANN401 - a keras dataset
        """One epoch; errors wait for its end, since keras' threads keep a process alive that leaves it midway."""
        found = self.model.fit(batches, verbose=self.verbose, shuffle=False, callbacks=callbacks, **epochs).history
        for callback in callbacks:
            if getattr(callback, "error", None) is not None:
                raise callback.error
        return found  # type: ignore[no-any-return]

    def _finish_epoch(self, loss: float, accuracy: float, seconds: float) -> None:
        options = self.options
        row = {
            "epoch": self.epoch,
            "loss": loss,
            "accuracy": accuracy,
            "rate": self._rate(),
            "seconds": round(seconds, 1),
        }
        due = (
            self.epoch % options.validate_every == 0
            or self.epoch == self.frozen_epochs + options.epochs
            or options.best
            or options.schedule is Schedule.PLATEAU
        )
        if self.validation is not None and due:
            row |= self._validate()
        self.history.append(row)
        losses = [earlier["val_loss"] for earlier in self.history if "val_loss" in earlier]
        if options.best and losses and losses[-1] == min(losses):
            checkpoint.store(options.folder / BEST, {"epoch": self.epoch}, averaged=self.averaged)
        self._store()
        self.progress(", ".join(f"{name} {value:.5g}" for name, value in row.items()))

    def _validate(self) -> dict[str, float]:
        chosen = self.validation
        if chosen is None:
            return {}
        current = self.model.get_weights()
        self.model.set_weights(self.averaged)
        logits = predict_logits(self.model, chosen.patches)
        self.model.set_weights(current)
        shifted = logits - logits.max(axis=1, keepdims=True)
        likelihood = shifted[np.arange(len(logits)), chosen.labels] - np.log(np.exp(shifted).sum(axis=1))
        found = {
            "val_loss": float(-likelihood.mean()),
            "val_accuracy": float((logits.argmax(axis=1) == chosen.labels).mean()),
        }
        if self.options.schedule is Schedule.PLATEAU and self.epoch > self.frozen_epochs:
            self._plateau(found["val_loss"])
        return found

    def _rate(self) -> float:
        return float(np.asarray(self.model.optimizer.learning_rate))

    def _plateau(self, loss: float) -> None:
        """Halves the rate when two validations in a row brought nothing."""
        seen = [row["val_loss"] for row in self.history if "val_loss" in row]
        if len(seen) >= 2 and min(loss, seen[-1]) >= min(seen[:-1]):
            self.model.optimizer.learning_rate = max(self._rate() * 0.5, self.options.lowest_rate)

    def _store(self) -> None:
        state = {
            "classes": self.classes,
            "epoch": self.epoch,
            "history": self.history,
            "pretrained": self.pretrained,
            "options": _plain(self.options),
            "told": self.told,
        }
        optimizer = [np.asarray(variable) for variable in self.model.optimizer.variables]
        checkpoint.store(self.last, state, model=self.model.get_weights(), averaged=self.averaged, optimizer=optimizer)
        checkpoint.store(self.options.folder / "averaged.npz", state, averaged=self.averaged)
        columns = ["epoch", "loss", "accuracy", "rate", "seconds", "val_loss", "val_accuracy"]
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.history)
        write_text(self.options.folder / "history.csv", table.getvalue())

    def _compile(self, rate: float, steps: int | None) -> None:
        import keras

        options = self.options
        schedule: Any = rate
        if steps is not None and options.schedule is Schedule.COSINE:
            total = steps * options.epochs
            warm = max(1, int(total * options.warmup))
            schedule = keras.optimizers.schedules.CosineDecay(
                0.0, max(1, total - warm), warmup_target=rate, warmup_steps=warm
            )
        held = set(self.pretrained)
        slow = {variable.path for layer in self.model.layers if layer.name in held for variable in layer.variables}
        for variable in self.model.trainable_variables:
            variable.regularizer = keras.regularizers.L2(options.l2) if options.l2 and len(variable.shape) > 1 else None
        optimizer = layered_adamw(
            lambda path: options.pretrained_rate if path in slow else 1.0,
            learning_rate=schedule,
            weight_decay=options.weight_decay,
        )
        # What teachers say is soft already.
        smoothing = options.label_smoothing * (1 - options.teaching if options.teachers else 1)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        # XLA makes a CPU step ten times slower; on a GPU keras decides.
        jit = False if keras.backend.backend() == "tensorflow" and not _has_gpu() else "auto"
        self.model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], jit_compile=jit)

    def _callbacks(self) -> list[Any]:
        import keras

        options, run = self.options, self

        class Averaging(keras.callbacks.Callback):  # type: ignore[misc]
            """Exponential average of all weights, batch statistics included, every few steps."""

            def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002
                if options.ema and batch % options.ema_every == 0:
                    # A young average follows quickly.
                    young = (run.epoch - run.frozen_epochs) * 10 + batch / options.ema_every
                    decay = min(options.ema, 0.5 + 0.05 * young)
                    for mean, value in zip(run.averaged, self.model.weights, strict=True):
                        mean += (np.asarray(value) - mean) * (1 - decay)

        callbacks: list[Any] = [_guard(), Averaging()]
        if options.tensorboard and keras.backend.backend() == "tensorflow":
            callbacks.append(keras.callbacks.TensorBoard(str(options.folder / "tensorboard"), write_graph=False))
        return callbacks

    def averaged_model(self) -> Network:
        """The network with averaged weights and keras' own layers, in float32."""
        import keras

        keras.config.set_dtype_policy("float32")
        model = self.network.build(self.plan)
        kept = self.options.folder / BEST
        best = self.options.best and kept.is_file()
        model.set_weights(checkpoint.load(kept)[1]["averaged"] if best else self.averaged)
        return model


def _guard() -> Callback:
    import keras

    class Guard(keras.callbacks.Callback):  # type: ignore[misc]
        error: ModelError | None = None

        def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
            loss = (logs or {}).get("loss", 0.0)
            if not math.isfinite(loss):
                said = (
                    f"the loss became {loss} at step {batch + 1}; lower --rate or look for broken pictures, the "
                    f"last checkpoint is kept"
                )
                self.error = self.error or ModelError(said)
                self.model.stop_training = True

    return Guard()


def _has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _is_checkpoint(path: Path) -> bool:
    try:
        with path.open("rb") as stream, np.load(stream) as stored:
            return "state" in stored.files
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: cannot read the weights ({error}); give an npz, imagenet or none") from error


def plan_for(options: TrainOptions, data: LabelledPatches) -> Plan:
    """What the network is built for; reflectance is centred and scaled by the training patches' own bands."""
    size, bands = data.patches.shape[1], data.patches.shape[-1]
    plan = Plan(len(data.classes), size, bands, options.dropout, options.upsample)
    if data.patches.dtype == np.uint8:
        return plan
    flat = data.patches.reshape(-1, bands)
    spread = np.maximum(flat.std(axis=0, dtype=np.float64), 1e-4)
    mean = flat.mean(axis=0, dtype=np.float64)
    return replace(plan, mean=tuple(mean.round(6).tolist()), spread=tuple(spread.round(6).tolist()))


def run_facts(options: TrainOptions, data: LabelledPatches, validation: LabelledPatches | None) -> dict[str, Any]:
    """What must agree for a run to go on: the pictures of both parts and every option that shapes the weights."""
    told = {name: value for name, value in _plain(options).items() if name not in ELSEWHERE}
    parts = {"training": data, "validation": validation}
    return (
        told
        | {part: None if held is None else data_digest(held.patches, held.labels) for part, held in parts.items()}
        | {"teacher_cards": digests(options)}
    )


def _plain(options: TrainOptions) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(options), default=str))  # type: ignore[no-any-return]
