"""Verbs about models: what there is, how good it is, what it says of a picture."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.console import explain_errors, verbosity
from pipeline.errors import OutputError

if TYPE_CHECKING:
    from pipeline.evaluation.metrics import Figures

MODEL = click.option("--model", default="eurosat-resnet50", show_default=True, help="Name of the trained model under saved_models/, or its folder.")
ENGINE = click.option("--engine", default="auto", show_default=True, help="auto, openvino, openvino-int8, openvino-bf16, openvino-f32 or keras.")


@click.command()
@verbosity
@explain_errors
def models() -> None:
    """List the trained models with their accuracy and engines."""
    from pipeline.models import store

    for name in store.names():
        card = store.card(name)
        accuracy = card.metrics.get("spatial_val", {}).get("accuracy")
        known = "not measured" if accuracy is None else f"{accuracy:.1%} (spatial validation)"
        click.echo(f"{name}\n  {card.architecture}, {len(card.legend.classes)} classes, bands {' '.join(card.bands)}, accuracy {known}")
        click.echo(f"  engines {', '.join(card.engines)}")


def _names(split: str | None) -> list[str] | None:
    from pipeline.models.pictures import read_names

    return None if split is None else [name for path in split.split(",") for name in read_names(Path(path.strip()))]


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, path_type=Path), help="EuroSAT's zip, or a folder with one sub-folder a class.")
@click.option("--split", metavar="FILE[,FILE]", help="Only the file names listed here, one a line.")
@MODEL
@ENGINE
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the figures as JSON.")
@verbosity
@explain_errors
def evaluate(data: Path, split: str | None, model: str, engine: str, out: Path | None) -> None:
    """Measure a model on labelled pictures: accuracy, macro F1, per class, calibration, confusion."""
    from pipeline.evaluation.metrics import evaluate as measure
    from pipeline.models import store
    from pipeline.models.pictures import read_labelled

    classifier = store.load(model, engine=engine)
    found = measure(classifier, read_labelled(data, classifier.card.legend.labels, _names(split), classifier.card.patch_size))
    click.echo(_table(found, classifier.card.legend.labels, classifier.engine))
    if out is not None:
        try:
            out.write_text(json.dumps(found.as_json(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another place") from error


def _table(found: "Figures", labels: tuple[str, ...], engine: str) -> str:
    refused = "" if found.refused is None else f", unfamiliar {found.refused:.2%}"
    lines = [
        f"{found.n:,} pictures, engine {engine}",
        f"accuracy {found.accuracy:.2%}, macro F1 {found.macro_f1:.4f}, ECE {found.ece:.4f} (15 bins), Brier {found.brier:.4f}{refused}",
        "",
        f"{'class':<22}{'precision':>10}{'recall':>10}{'F1':>10}{'pictures':>10}",
        *(f"{entry.label:<22}{entry.precision:>10.3f}{entry.recall:>10.3f}{entry.f1:>10.3f}{entry.support:>10,}" for entry in found.per_class),
        "",
        "confusion (rows: truth, columns: answer)",
        " " * 22 + "".join(f"{label[:6]:>7}" for label in labels),
        *(f"{label:<22}" + "".join(f"{count:>7}" for count in row) for label, row in zip(labels, found.confusion, strict=True)),
    ]
    return "\n".join(lines)


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@MODEL
@ENGINE
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of text.")
@verbosity
@explain_errors
def classify(images: tuple[Path, ...], model: str, engine: str, as_json: bool) -> None:
    """Label pictures: 64x64 chips as EuroSAT's, or larger ones at 10 m a pixel, cut into patches."""
    from pipeline.models import store
    from pipeline.models.pictures import cut, read_picture

    classifier = store.load(model, engine=engine)
    labels, size = classifier.card.legend.labels, classifier.card.patch_size
    answers: list[dict[str, Any]] = []
    for path in images:
        places, patches = cut(read_picture(path), size)
        found = classifier.judge(patches)
        answers += [
            {
                "image": str(path),
                "x": int(x),
                "y": int(y),
                "label": "unclassified" if unfamiliar else labels[int(row.argmax())],
                "best_class": labels[int(row.argmax())],
                "confidence": round(float(row.max()), 4),
                "unfamiliar": bool(unfamiliar),
                "probabilities": {label: round(float(value), 4) for label, value in zip(labels, row, strict=True)},
            }
            for (x, y), row, unfamiliar in zip(places, found.probabilities, found.unfamiliar, strict=True)
        ]
    if as_json:
        click.echo(json.dumps(answers, indent=1))
        return
    for answer in answers:
        second = sorted(answer["probabilities"].items(), key=lambda entry: -entry[1])[1]
        place = f" at {answer['x']},{answer['y']}" if sum(other["image"] == answer["image"] for other in answers) > 1 else ""
        note = f"  unlike the training data: unclassified (nearest {answer['best_class']})" if answer["unfamiliar"] else ""
        click.echo(f"{answer['image']}{place}: {answer['label']} {answer['confidence']:.0%}, then {second[0]} {second[1]:.0%}{note}")
