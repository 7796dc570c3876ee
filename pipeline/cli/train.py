"""The verb that fits a model."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.console import explain_errors, verbosity
from pipeline.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.evaluation.metrics import Figures
    from pipeline.evaluation.report import History
    from pipeline.training.run import Split, Trained


def _take_recipe(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    """Makes a recipe's values the defaults of the options that the user leaves out."""
    from pipeline.training import recipes

    if name is not None:
        try:
            ctx.default_map = dict(recipes.find(name).options)
        except ModelError as error:
            raise click.BadParameter(str(error)) from error


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="EuroSAT's zip, or a folder with one sub-folder a class.",
)
@click.option(
    "--split",
    metavar="TRAIN,VAL|look:K/J",
    help="Two files that list the pictures to train on and to validate with, or look:5/2: pictures of one look stay "
    "together, the second of five such folds validates. [default: a random fifth validates]",
)
@click.option("--name", default="my-model", show_default=True, help="Name of the model; it is written to OUT/NAME.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("saved_models"),
    show_default=True,
    help="Folder of models.",
)
@click.option(
    "--run",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Checkpoints and logs, to continue from. [default: runs/NAME]",
)
@click.option(
    "--recipe",
    is_eager=True,
    expose_value=False,
    callback=_take_recipe,
    help="Set the options below as a known system did: ucmerced-xception, ucmerced-efficientnet-lite, eurosat-wide, "
    "atlas-europa or spectrumnet. What you give yourself goes before.",
)
@click.option(
    "--arch",
    default="resnet50",
    show_default=True,
    help="resnet50, wide-resnet50-2, xception, cascade, spectrumnet or efficientnet-lite.",
)
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    help="imagenet (keras.applications downloads them, where it has the network), none, or a file: .npz, .pth, "
    ".weights.h5, or the averaged.npz of an earlier run.",
)
@click.option(
    "--bands",
    metavar="B02,B03,...",
    help="Bands of 13-band GeoTIFFs or npz files, in the order for the network. [default: 8-bit RGB pictures]",
)
@click.option(
    "--sensor",
    type=click.Choice(["sentinel-2", "aerial"]),
    default="sentinel-2",
    show_default=True,
    help="Whose pixels the pictures hold; scenes of the other sensor are refused.",
)
@click.option("--gsd", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Metres a pixel.")
@click.option(
    "--epochs", type=click.IntRange(0), default=20, show_default=True, help="Times that all pictures are seen."
)
@click.option(
    "--frozen-epochs",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Epochs before those, with the pretrained layers frozen.",
)
@click.option("--frozen-rate", type=float, help="Learning rate of those. [default: --rate]")
@click.option(
    "--cached",
    is_flag=True,
    help="The frozen epochs learn from pooled features that are computed once: minutes instead of hours.",
)
@click.option("--batch", type=click.IntRange(2), default=128, show_default=True, help="Pictures a step.")
@click.option("--rate", type=float, default=6e-4, show_default=True, help="Highest learning rate.")
@click.option(
    "--pretrained-rate", type=float, default=0.5, show_default=True, help="Factor on the rate of pretrained layers."
)
@click.option(
    "--schedule",
    type=click.Choice(["cosine", "plateau", "none"]),
    default="cosine",
    show_default=True,
    help="How the learning rate falls.",
)
@click.option("--lowest-rate", type=float, default=0.0, show_default=True, help="Where a plateau's halving ends.")
@click.option("--best", is_flag=True, help="Keep the epoch with the lowest validation loss instead of the last.")
@click.option("--l2", type=float, default=0.0, show_default=True, help="Factor of squared kernels in the loss.")
@click.option(
    "--weight-decay",
    type=float,
    default=0.05,
    show_default=True,
    help="Pull of the weights towards 0, decoupled (AdamW).",
)
@click.option(
    "--label-smoothing",
    type=float,
    default=0.1,
    show_default=True,
    help="Share of the truth that is spread over all classes.",
)
@click.option(
    "--dropout",
    type=float,
    default=0.3,
    show_default=True,
    help="Share of the features that are left out at random in training.",
)
@click.option(
    "--ema", type=float, default=0.9, show_default=True, help="Decay of the averaged weights; 0 keeps the last ones."
)
@click.option(
    "--patch-size",
    type=click.IntRange(32),
    default=64,
    show_default=True,
    help="Side of the patches; other pictures are resampled. Maps take tiles of this side.",
)
@click.option(
    "--upsample",
    type=click.FloatRange(0.25, 8),
    default=1.0,
    show_default=True,
    help="Factor by which patches are resampled inside the network.",
)
@click.option(
    "--augment/--no-augment", default=True, show_default=True, help="Flips, shifts, radiometry, mixup and cutmix."
)
@click.option(
    "--mixing/--no-mixing", default=True, show_default=True, help="Mixup and cutmix, where patches are varied."
)
@click.option(
    "--teacher",
    metavar="NAME[,NAME]",
    help="Trained models whose answers are learned besides the labels; they answer fixed variations of the pictures, "
    "once.",
)
@click.option(
    "--teaching",
    type=click.FloatRange(0, 1),
    default=0.7,
    show_default=True,
    help="How much of what is learned the teachers say; the labels say the rest.",
)
@click.option(
    "--views",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Variations of each picture that teachers answer, one an epoch in turn.",
)
@click.option("--mixed-precision/--full-precision", default=True, show_default=True, help="16-bit arithmetic inside.")
@click.option("--tensorboard/--no-tensorboard", default=True, show_default=True, help="Logs for TensorBoard.")
@click.option(
    "--seed", type=int, default=20, show_default=True, help="What all chance hangs on: split, order, augmentation."
)
@click.option(
    "--compare",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Run folder of another training, drawn into this one's curves; may be repeated.",
)
@verbosity
@explain_errors
def train(
    data: Path,
    split: str | None,
    name: str,
    out: Path,
    folder: Path | None,
    arch: str,
    bands: str | None,
    sensor: str,
    gsd: float,
    augment: bool,
    mixing: bool,
    schedule: str,
    patch_size: int,
    compare: tuple[Path, ...],
    teacher: str | None,
    **options: Any,  # noqa: ANN401 - the options above
) -> None:
    """Train a classifier on labelled pictures, calibrate it, and store it with its card, its fast twins and its report.

    A killed run continues when the same command is given again; a finished one only writes its model and report anew.
    """
    import sys

    from pipeline.evaluation.report import read_history
    from pipeline.models import store
    from pipeline.training.augment import NONE, Augmentation
    from pipeline.training.options import Schedule, TrainOptions
    from pipeline.training.run import TrainRequest
    from pipeline.training.run import run as fit

    place = folder or Path("runs") / name
    others = {f"{run.name}, {schedule_of(run)}": read_history(run / "history.csv") for run in compare}
    plan = NONE if not augment else Augmentation(surface=0.0) if sensor == "aerial" else Augmentation()
    request = TrainRequest(
        data=data,
        folder=out,
        options=TrainOptions(
            place,
            architecture=arch,
            schedule=Schedule(schedule),
            augmentation=plan if mixing else plan.without_mixing(),
            teachers=store.members(teacher) if teacher else (),
            **options,
        ),
        name=name,
        split=_split(split),
        patch_size=patch_size,
        bands=tuple(band.strip().upper() for band in bands.split(",")) if bands else None,
        sensor=sensor,
        gsd=gsd,
    )
    done = fit(request, click.echo, bar=sys.stderr.isatty())
    own = {f"{name}, {schedule_of(place)}": read_history(place / "history.csv")}
    found = report(done, {**own, **others})
    reached = f"accuracy {found.accuracy:.2%}, macro F1 {found.macro_f1:.4f}, ECE {found.ece:.4f} on validation"
    click.echo(f"{done.folder}: {reached}; its report is in {done.folder / 'report'}")


def _split(told: str | None) -> "Split":
    """Two lists, a fold by look, or None."""
    from pipeline.datasets.folds import Look

    if told is None or told.startswith("look:"):
        return Look.parse(told) if told else None
    lists = [Path(part.strip()) for part in told.split(",")]
    if len(lists) != 2:
        raise click.UsageError("--split takes two files TRAIN,VAL, or look:K/J")
    return lists[0], lists[1]


def report(done: "Trained", histories: "Mapping[str, History]") -> "Figures":
    """Measures a stored model on its validation patches; writes its report folder and the figures of its card."""
    from pipeline.evaluation.report import write_report
    from pipeline.models import store
    from pipeline.training import export

    classifier = store.load(str(done.folder))
    found = write_report(done.folder / "report", classifier, done.training, done.validation, histories)
    measured = {
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "ece": found.ece,
        "brier": found.brier,
        "n": found.n,
        "refused": found.refused,
    }
    export.write_card(
        done.folder,
        replace(done.card, metrics={**done.card.metrics, "validation": measured | {"engine": classifier.engine}}),
    )
    return found


def schedule_of(run: Path) -> str:
    """How a run's learning rate moved, in words for the curves."""
    from pipeline.training import checkpoint

    name = checkpoint.load_state(run / "averaged.npz")["options"]["schedule"]
    return {"cosine": "cosine schedule", "plateau": "reduced on plateau", "none": "no schedule"}[name]
