"""The verbs of the cover: fit a network that answers per pixel, and measure one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.console import explain_errors, verbosity

if TYPE_CHECKING:
    from pipeline.datasets.masks import Truth
    from pipeline.models.classifier import PixelClassifier
    from pipeline.models.pixel_ensemble import PixelEnsemble

_FOLDER = click.Path(exists=True, path_type=Path)
SCENES = click.option("--scenes", required=True, multiple=True, type=_FOLDER, help="Folder of scenes; may be repeated.")
TRUTH = click.option(
    "--truth",
    required=True,
    type=click.Path(path_type=Path),
    help="Masks (GeoTIFF) or polygons (GeoPackage, GeoJSON, shapefile).",
)
FIELD = click.option(
    "--field", default="class", show_default=True, help="Field that names a polygon's class; osm reads its tags."
)


@click.command("train-cover")
@SCENES
@TRUTH
@FIELD
@click.option(
    "--osm",
    metavar="ADDRESS",
    help="Overpass service, such as https://overpass-api.de/api/interpreter: its polygons of the scenes' extent are "
    "kept in the folder --truth, with their licence, and --field is osm.",
)
@click.option("--pictures", type=_FOLDER, help="Pictures of one class each as weak truth, such as EuroSAT's zip.")
@click.option("--patches", type=_FOLDER, help="Multispectral patches of one class each, such as EuroSAT's 13 bands.")
@click.option("--split", metavar="TRAIN,VAL", help="Lists of the pictures and patches to learn from and to leave out.")
@click.option("--teacher", type=_FOLDER, help="Folder of a cover network whose answers name the pixels of --patches.")
@click.option("--start", help="Stored network to begin with, such as cover-10m: little truth then goes further.")
@click.option("--hold-out", multiple=True, help="Place or scene to measure on. [default: a fifth of the places]")
@click.option("--leave-out", multiple=True, help="Class that the network shall not know.")
@click.option("--name", default="my-cover", show_default=True, help="Name of the model; it is written to OUT/NAME.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("saved_models"),
    show_default=True,
    help="Folder of models.",
)
@click.option("--run", "folder", type=click.Path(path_type=Path), help="Checkpoints. [default: runs/NAME]")
@click.option("--steps", type=click.IntRange(1), default=4400, show_default=True, help="Batches.")
@click.option("--rate", type=float, default=2e-3, show_default=True, help="Highest learning rate.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of weights and crops.")
@verbosity
@explain_errors
def train_cover(
    scenes: tuple[Path, ...],
    truth: Path,
    field: str,
    osm: str | None,
    pictures: Path | None,
    patches: Path | None,
    split: str | None,
    teacher: Path | None,
    start: str | None,
    hold_out: tuple[str, ...],
    leave_out: tuple[str, ...],
    name: str,
    out: Path,
    folder: Path | None,
    steps: int,
    rate: float,
    seed: int,
) -> None:
    """Fit a network that names every 10 m pixel to masks or polygons laid over scenes; store it with its report.

    A killed run continues when the same command is given again. Nothing is asked of the network without --osm.
    """
    from pipeline.datasets.masks import TAGS
    from pipeline.datasets.overpass import Overpass, fetch_polygons
    from pipeline.evaluation.cover import total
    from pipeline.training.cover import CoverOptions
    from pipeline.training.cover_pictures import PictureSources
    from pipeline.training.cover_run import CoverRequest, run_cover, scenes_of

    if osm is not None:
        files = fetch_polygons(Overpass(osm), scenes_of(scenes), truth)
        click.echo(f"{truth}: {len(files)} files of polygons, © OpenStreetMap contributors (ODbL-1.0)")
        field = TAGS
    options = CoverOptions(folder or Path("runs") / name, steps=steps, rate=rate, seed=seed, start=start)
    taught = PictureSources(pictures, patches, _split(split), teacher)
    asked = CoverRequest(scenes, truth, out, options, name, field, taught, hold_out, leave_out)
    done = run_cover(asked, click.echo)
    overall = total(done.scores.values())
    click.echo(
        f"{done.folder}: {overall.accuracy:.1%} of {overall.pixels} pixels of held-out places right, "
        f"mean IoU {overall.mean_iou():.3f}"
    )


def _split(text: str | None) -> tuple[Path, Path] | None:
    if text is None:
        return None
    paths = [Path(part.strip()) for part in text.split(",")]
    if len(paths) != 2:
        raise click.BadParameter(f"{text!r} is not TRAIN,VAL: two files with a list of names each")
    return paths[0], paths[1]


@click.command("evaluate-cover")
@SCENES
@TRUTH
@FIELD
@click.option("--cover", default="cover-10m", show_default=True, help="Network, or several with commas between them.")
@click.option("--tta", is_flag=True, help="Average the answers to the eight flips and turns of each scene.")
@click.option(
    "--calibrate",
    is_flag=True,
    help="Fit a temperature of their own to several networks' mean, and keep it for `run --cover` with the same names.",
)
@click.option("--json", "out", type=click.Path(path_type=Path), help="Also write everything to this file.")
@verbosity
@explain_errors
def evaluate_cover(
    scenes: tuple[Path, ...], truth: Path, field: str, cover: str, tta: bool, calibrate: bool, out: Path | None
) -> None:
    """Measure a cover network on masks or polygons: accuracy, IoU and F1 by class, by place."""
    from pipeline.evaluation.cover import calibration_error, total
    from pipeline.files import write_text
    from pipeline.models.pixel_ensemble import PixelEightfold
    from pipeline.models.pixels import load_pixels
    from pipeline.training.cover_scores import measured, truth_for

    network = load_pixels(cover)
    told = truth_for(network, scenes, truth, field)
    if calibrate:
        network = _calibrated(network, told)
    scores, curve = measured(PixelEightfold(network) if tta else network, told)
    overall = total(scores.values())
    for place, score in scores.items():
        click.echo(f"{place:<40} {score.accuracy:7.1%} of {score.pixels} pixels, mean IoU {score.mean_iou():.3f}")
    click.echo(
        f"{'all places':<40} {overall.accuracy:7.1%} of {overall.pixels} pixels, calibration error "
        f"{calibration_error(curve):.3f}"
    )
    for at, label in enumerate(overall.classes):
        click.echo(f"  {label:<12} IoU {overall.iou[at]:.3f}  F1 {overall.f1[at]:.3f}  recall {overall.recall[at]:.3f}")
    if out is not None:
        found = {"all": overall.as_json(), "places": {place: score.as_json() for place, score in scores.items()}}
        write_text(out, json.dumps(found, indent=1) + "\n")


def _calibrated(network: "PixelClassifier", truths: "list[Truth]") -> "PixelEnsemble":
    """An ensemble with the temperature that this truth asks for, which is kept."""
    from pipeline.models import store
    from pipeline.models.pixel_ensemble import PixelEnsemble, keep_temperature
    from pipeline.training.cover_scores import ensemble_temperature

    if not isinstance(network, PixelEnsemble):
        raise click.UsageError("--calibrate is for several networks (--cover A,B); a single one is calibrated already")
    temperature = ensemble_temperature(network, truths)
    kept = keep_temperature(network.card, temperature, store.FOLDER)
    click.echo(f"{kept}: temperature {temperature:.3f}; what follows was measured on the truth that it was fitted to")
    return PixelEnsemble.of(network.members, temperature)
