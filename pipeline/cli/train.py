"""The verb that fits a model."""

from pathlib import Path
from typing import Any

import click

from pipeline.cli.console import explain_errors, verbosity


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="EuroSAT's zip, or a folder with one sub-folder a class.")
@click.option("--split", metavar="TRAIN,VAL", help="Two files that list the pictures to train on and to validate with. [default: a random fifth validates]")
@click.option("--name", default="my-model", show_default=True, help="Name of the model; it is written to OUT/NAME.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("saved_models"), show_default=True, help="Folder of models.")
@click.option("--run", "folder", type=click.Path(file_okay=False, path_type=Path), help="Checkpoints and logs, to continue from. [default: runs/NAME]")
@click.option("--arch", default="resnet50", show_default=True, help="Architecture.")
@click.option("--weights", default="imagenet", show_default=True, help="imagenet (downloads), none, or an .npz of converted weights.")
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--frozen-epochs", type=click.IntRange(0), default=1, show_default=True, help="Epochs before those, with the pretrained layers frozen.")
@click.option("--batch", type=click.IntRange(2), default=128, show_default=True)
@click.option("--rate", type=float, default=6e-4, show_default=True, help="Highest learning rate.")
@click.option("--pretrained-rate", type=float, default=0.5, show_default=True, help="Factor on the rate of pretrained layers.")
@click.option("--schedule", type=click.Choice(["cosine", "plateau", "none"]), default="cosine", show_default=True)
@click.option("--weight-decay", type=float, default=0.05, show_default=True)
@click.option("--label-smoothing", type=float, default=0.1, show_default=True)
@click.option("--dropout", type=float, default=0.3, show_default=True)
@click.option("--ema", type=float, default=0.9, show_default=True, help="Decay of the averaged weights; 0 switches averaging off.")
@click.option("--upsample", type=click.IntRange(1), default=1, show_default=True, help="Factor by which patches are enlarged inside the network.")
@click.option("--augment/--no-augment", default=True, show_default=True, help="Flips, shifts, radiometry, mixup and cutmix.")
@click.option("--mixed-precision/--full-precision", default=True, show_default=True)
@click.option("--tensorboard/--no-tensorboard", default=True, show_default=True)
@click.option("--seed", type=int, default=20, show_default=True)
@verbosity
@explain_errors
def train(data: Path, split: str | None, name: str, out: Path, folder: Path | None, arch: str, augment: bool, schedule: str, **options: Any) -> None:  # noqa: ANN401 - the options above
    """Train a classifier on labelled pictures, calibrate it, and store it with its card, its fast twins and its report."""
    import sys

    from pipeline.training.augment import NONE, Augmentation
    from pipeline.training.options import Schedule, TrainOptions
    from pipeline.training.run import TrainRequest
    from pipeline.training.run import run as fit

    lists = [Path(part.strip()) for part in split.split(",")] if split else []
    if lists and len(lists) != 2:
        raise click.UsageError("--split takes two files: TRAIN,VAL")
    request = TrainRequest(
        data=data,
        folder=out,
        options=TrainOptions(folder or Path("runs") / name, schedule=Schedule(schedule), augmentation=Augmentation() if augment else NONE, **options),
        name=name,
        architecture=arch,
        split=(lists[0], lists[1]) if lists else None,
    )
    card = fit(request, click.echo, bar=sys.stderr.isatty())
    accuracy = card.metrics.get("spatial_val" if lists else "validation", card.metrics).get("accuracy")
    click.echo(f"{out / name}: accuracy {accuracy:.2%} on validation" if accuracy is not None else f"{out / name}: stored")
