"""What a training run is asked to do."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pipeline.training.augment import Augmentation


class Schedule(StrEnum):
    """How the learning rate moves: warm-up and cosine to 0, down on a plateau of the validation loss, or not at all."""

    COSINE = "cosine"
    PLATEAU = "plateau"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """One training run.

    `folder` takes checkpoints and logs (the run resumes from it); `frozen_epochs` train only the layers without
    pretrained weights, then all `epochs` train, the pretrained ones at `pretrained_rate` times the learning rate.
    `calm_epochs` are the last ones, without mixup and cutmix. `weights` is "imagenet", "none", an npz or a
    `.weights.npz` of an earlier run.
    """

    folder: Path
    epochs: int = 20
    frozen_epochs: int = 1
    calm_epochs: int = 2
    batch: int = 128
    rate: float = 6e-4
    pretrained_rate: float = 0.5
    warmup: float = 0.05
    schedule: Schedule = Schedule.COSINE
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    dropout: float = 0.3
    class_balance: float = 0.5
    ema: float = 0.9
    ema_every: int = 8
    weights: str = "imagenet"
    upsample: float = 1.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    mixed_precision: bool = True
    validate_every: int = 2
    tensorboard: bool = True
    seed: int = 20
