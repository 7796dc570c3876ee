"""The verb that compares combinations of bands."""

from pathlib import Path

import click

from pipeline.cli.console import explain_errors, verbosity


@click.command()
@click.option(
    "--data", required=True, type=click.Path(exists=True, path_type=Path), help="A zip or folder of 13-band files."
)
@click.option("--split", metavar="TRAIN,VAL", help="Two lists of names. [default: a random fifth validates]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/band-study"),
    show_default=True,
    help="Takes the runs, table, chart and JSON; combinations that are there already are not trained again.",
)
@click.option("--arch", default="cascade", show_default=True, help="Architecture.")
@click.option("--weights", default="none", show_default=True, help="As for `train`, for three channels.")
@click.option(
    "--epochs", type=click.IntRange(1), default=30, show_default=True, help="Times that all pictures are seen."
)
@click.option(
    "--seed", type=int, default=20, show_default=True, help="What all chance hangs on: split, order, augmentation."
)
@click.option(
    "--quick", is_flag=True, help="Eight epochs on halved patches: a smoke test; minutes on a few hundred patches."
)
@verbosity
@explain_errors
def band_study(
    data: Path, split: str | None, out: Path, arch: str, weights: str, epochs: int, seed: int, quick: bool
) -> None:
    """Compare single bands, RGB, colour infrared, shortwave infrared and all ten, with one network and one split."""
    from pipeline.models import networks
    from pipeline.training.band_study import SMOKE, study
    from pipeline.training.options import TrainOptions

    networks.find(arch)
    lists = [Path(part.strip()) for part in split.split(",")] if split else []
    if lists and len(lists) != 2:
        raise click.UsageError("--split takes two files: TRAIN,VAL")
    options = TrainOptions(
        out,
        architecture=arch,
        weights=weights,
        epochs=8 if quick else epochs,
        frozen_epochs=1,
        batch=32,
        rate=2e-3,
        ema=0.0,
        mixed_precision=False,
        tensorboard=False,
        seed=seed,
    )
    study(data, options, (lists[0], lists[1]) if lists else None, quick, click.echo)
    if quick:
        click.echo(SMOKE)
    click.echo(f"{out / 'band-study.png'}, band-study.md and band-study.json are written")
