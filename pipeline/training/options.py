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
    """One training run: a round of the new layers alone, then one of all layers."""

    folder: Path
    """Takes checkpoints and logs; the run resumes from it."""
    architecture: str = "resnet50"
    """A network's name."""
    epochs: int = 20
    """Epochs of the round that trains all layers."""
    frozen_epochs: int = 1
    """Epochs before them in which only the layers without published weights train."""
    frozen_rate: float | None = None
    """Learning rate of those; None for `rate`."""
    cached: bool = False
    """The first round learns from pooled features, computed once; only where every layer below has weights."""
    calm_epochs: int = 2
    """The last epochs, without mixup and cutmix."""
    batch: int = 128
    """Patches a step."""
    rate: float = 6e-4
    """Highest learning rate."""
    pretrained_rate: float = 0.5
    """Factor on the rate of layers with published weights."""
    warmup: float = 0.05
    """Share of the steps that the cosine schedule climbs."""
    schedule: Schedule = Schedule.COSINE
    """How the rate moves."""
    lowest_rate: float = 0.0
    """Where a plateau's halving ends."""
    weight_decay: float = 0.05
    """AdamW's, not on scales, offsets and biases."""
    l2: float = 0.0
    """Factor of the squared kernels in the loss, the older way to the same end."""
    label_smoothing: float = 0.1
    """Share of a target spread over all classes."""
    dropout: float = 0.3
    """Share of pooled features left out."""
    class_balance: float = 0.5
    """0: every patch weighs the same; 1: every class does."""
    ema: float = 0.9
    """Decay of the averaged weights; 0 takes the last weights as they are."""
    ema_every: int = 8
    """Steps between two updates of the average."""
    best: bool = False
    """Keep the epoch with the lowest validation loss instead of the last."""
    weights: str = "imagenet"
    """`imagenet`, `none`, a file of published weights, or an `averaged.npz` of an earlier run."""
    upsample: float = 1.0
    """Factor by which patches are resampled inside the network."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How patches are varied."""
    teachers: tuple[str, ...] = ()
    """Stored models whose answers are learned besides the labels."""
    teaching: float = 0.7
    """Share of a target that the teachers say, 0..1; the label says the rest."""
    views: int = 4
    """Fixed variations of the pictures that the teachers answer, one an epoch in turn."""
    mixed_precision: bool = True
    """Convolutions in bfloat16."""
    validate_every: int = 2
    """Epochs between validations."""
    tensorboard: bool = True
    """Write TensorBoard's logs."""
    seed: int = 20
    """Of everything drawn."""
