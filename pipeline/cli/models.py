"""Verbs about models: what there is, how good it is, what it says of a picture."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.console import explain_errors, verbosity
from pipeline.errors import ModelError
from pipeline.files import write_text

if TYPE_CHECKING:
    from pipeline.evaluation.metrics import Figures
    from pipeline.models.card import ModelCard
    from pipeline.models.store import LoadedClassifier

MODEL = click.option(
    "--model",
    default="eurosat-resnet50",
    show_default=True,
    help="Name of the trained model under saved_models/, or its folder.",
)
ENGINE = click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="What runs the model: auto (the fastest that passed its gate), or an engine that `models` lists.",
)


@click.command()
@verbosity
@explain_errors
def models() -> None:
    """List the trained models: what they take, what runs them here, and what was measured on what."""
    from pipeline.models import store

    for name in store.names():
        try:
            card = store.card(name)
            here = store.choose_engine(card)
        except ModelError as error:
            click.echo(f"{name}\n  {error}")
            continue
        taken = card.input
        lines = [
            f"{card.architecture}, answers by {'tile' if card.kind == 'tile' else 'pixel'}, "
            f"{len(card.legend.classes)} classes",
            f"takes {taken.sensor} {' '.join(taken.bands)}, {taken.size} x {taken.size} pixels of {taken.gsd:g} m",
            f"engines {', '.join(card.engines)}; here {here}",
            *measured(card),
        ]
        click.echo("\n  ".join([name, *lines]))


def measured(card: "ModelCard") -> list[str]:
    """What a card's figures say of its weights, a line each: on how many pictures, and whether they knew them."""
    told, metrics = card.trained_on, card.metrics
    split = told.get("split", ())
    parts = "; ".join([split] if isinstance(split, str) else map(str, split))
    known = f" ({parts})" if parts else ""
    lines = [f"trained on {told['n']:,} pictures{known}"] if "n" in told else []
    own = metrics.get("shipped", {}).get("held_out")
    if own:
        lines.append(f"accuracy {_reached(own)} that these weights never saw")
    if "spatial_val" in metrics:
        whose = (
            "by the run before, which never saw them; these weights learned from most of them, so it is no figure of "
            "theirs"
            if own
            else "by these weights"
        )
        lines.append(f"accuracy {_reached(metrics['spatial_val'])} of the spatial validation part, {whose}")
    if "folds" in metrics.get("validation", {}):
        lines.append(
            f"accuracy {_reached(metrics['validation'])}, each answered by a fold's weights that never saw it; the "
            "stored weights learned from all, so it is no figure of theirs"
        )
    elif "validation" in metrics:
        lines.append(f"accuracy {_reached(metrics['validation'])} that also set its temperature and threshold")
    if not any(line.startswith("accuracy") for line in lines):
        lines.append("accuracy not measured")
    return lines


def _reached(part: Mapping[str, Any]) -> str:
    many = f"{part['n']:,} pictures" if "n" in part else "pictures"
    return f"{part['accuracy']:.1%} on {many}"


def _names(split: str | None) -> list[str] | None:
    from pipeline.datasets.labelled import read_names

    return None if split is None else [name for path in split.split(",") for name in read_names(Path(path.strip()))]


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="EuroSAT's zip, or a folder with one sub-folder a class.",
)
@click.option("--split", metavar="FILE[,FILE]", help="Only the file names listed here, one a line.")
@MODEL
@ENGINE
@click.option("--tta", is_flag=True, help="Average the answers to the eight flips and turns of each picture.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures as JSON.")
@verbosity
@explain_errors
def evaluate(data: Path, split: str | None, model: str, engine: str, tta: bool, out: Path | None) -> None:
    """Measure a model on labelled pictures: accuracy, macro F1, per class, calibration, confusion."""
    from pipeline.datasets.labelled import read_labelled
    from pipeline.evaluation.metrics import evaluate as measure
    from pipeline.models import store
    from pipeline.models.ensemble import Eightfold
    from pipeline.models.from_pictures import asked_by

    classifier = store.load(model, engine=engine)
    found = measure(
        Eightfold(classifier) if tta else classifier,
        read_labelled(data, asked_by(classifier.card, _names(split))),
    )
    click.echo(
        _table(
            found, classifier.card.legend.labels, classifier.engine + (", mean of eight flips and turns" if tta else "")
        )
    )
    if out is not None:
        write_text(out, json.dumps(found.as_json(), indent=1) + "\n")


def _table(found: "Figures", labels: tuple[str, ...], engine: str) -> str:
    refused = "" if found.refused is None else f", unfamiliar {found.refused:.2%}"
    lines = [
        f"{found.n:,} pictures, engine {engine}",
        f"accuracy {found.accuracy:.2%}, macro F1 {found.macro_f1:.4f}, ECE {found.ece:.4f} (15 bins), Brier "
        f"{found.brier:.4f}{refused}",
        "",
        f"{'class':<22}{'precision':>10}{'recall':>10}{'F1':>10}{'pictures':>10}",
        *(
            f"{entry.label:<22}{_share(entry.precision)}{_share(entry.recall)}{_share(entry.f1)}{entry.support:>10,}"
            for entry in found.per_class
        ),
        "",
        "confusion (rows: truth, columns: answer)",
        " " * 22 + "".join(f"{label[:6]:>7}" for label in labels),
        *(
            f"{label:<22}" + "".join(f"{count:>7}" for count in row)
            for label, row in zip(labels, found.confusion, strict=True)
        ),
    ]
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.3f'):>10}"


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@MODEL
@ENGINE
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of text.")
@verbosity
@explain_errors
def classify(images: tuple[Path, ...], model: str, engine: str, as_json: bool) -> None:
    """Label pictures: 64x64 chips as EuroSAT's, or larger ones at 10 m a pixel, cut into patches.

    A picture that cannot be read is told and left out: exit code 3, or 1 when none could be read.
    """
    from pipeline.models import store

    classifier = store.load(model, engine=engine)
    entries: list[dict[str, Any]] = []
    bad = 0
    for path in images:
        try:
            answers = _answers(path, classifier)
        except ModelError as error:
            bad += 1
            click.echo(f"{type(error).__name__}: {error}", err=True)
            answers = [{"image": str(path), "error": str(error)}]
        entries += answers
        for answer in answers if not as_json and "error" not in answers[0] else ():
            click.echo(_line(answer, several=len(answers) > 1))
    if as_json:
        click.echo(json.dumps(entries, indent=1))
    if bad:
        sys.exit(1 if bad == len(images) else 3)


def _answers(path: Path, classifier: "LoadedClassifier") -> list[dict[str, Any]]:
    """One entry a patch of a picture."""
    from pipeline.datasets.pictures import read_bytes
    from pipeline.models.answers import picture_answers
    from pipeline.models.from_pictures import patches_of

    places, patches = patches_of(read_bytes(path), str(path), classifier.card)
    return picture_answers(str(path), places, classifier.judge(patches), classifier.card.legend.labels)


def _line(answer: Mapping[str, Any], several: bool) -> str:
    second = sorted(answer["probabilities"].items(), key=lambda entry: -entry[1])[1]
    place = f" at {answer['x']},{answer['y']}" if several else ""
    note = f"  unlike the training data: unclassified (nearest {answer['best_class']})" if answer["unfamiliar"] else ""
    return (
        f"{answer['image']}{place}: {answer['label']} {answer['confidence']:.0%}, then {second[0]} "
        f"{second[1]:.0%}{note}"
    )
