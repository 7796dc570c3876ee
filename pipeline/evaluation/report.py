"""A model's report: figures, tables and pictures in one folder."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.labelled import LabelledPatches
from pipeline.errors import ModelError, OutputError
from pipeline.evaluation import figures
from pipeline.evaluation.metrics import Figures
from pipeline.evaluation.metrics import figures as measure
from pipeline.models.calibration import softmax
from pipeline.models.classifier import TileClassifier

History = Sequence[Mapping[str, float]]


def write_report(
    folder: Path,
    classifier: TileClassifier,
    training: LabelledPatches,
    validation: LabelledPatches,
    histories: Mapping[str, History],
) -> Figures:
    """Measures a classifier on the validation patches and writes the report.

    `histories` maps a run's name to its epochs.

    Raises:
        OutputError: the folder cannot be written.
    """
    answer = classifier.judge(validation.patches)
    probabilities = answer.probabilities
    raw = softmax(np.log(np.maximum(probabilities, 1e-30)) * classifier.card.temperature)
    found = measure(probabilities, validation.labels, validation.classes, float(answer.unfamiliar.mean()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if histories:
            figures.curves(histories, folder / "curves.png")
            figures.rates(histories, folder / "rates.png")
        figures.confusion(found, folder / "confusion.png")
        figures.reliability(raw, probabilities, validation.labels, folder / "reliability.png")
        figures.risk(probabilities, validation.labels, folder / "risk-coverage.png")
        figures.counts({"training": training, "validation": validation}, folder / "class-counts.png")
        figures.mistakes(validation, probabilities, folder / "mistakes.png")
        figures.samples(validation, probabilities, folder / "samples.png")
        table = found.as_json() | {"brier": found.brier, "refused": found.refused}
        (folder / "validation.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        (folder / "per-class.md").write_text(class_table(found), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot write the report ({error.strerror}); free some space and run it again"
        ) from error
    return found


def class_table(found: Figures) -> str:
    """Figures of each class as Markdown."""
    lines = ["| class | precision | recall | F1 | patches |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.label} | {_percent(row.precision)} | {_percent(row.recall)} | {_percent(row.f1)} | {row.support} |"
        for row in found.per_class
    ]
    lines.append(f"| all | | accuracy {100 * found.accuracy:.2f} | macro {100 * found.macro_f1:.2f} | {found.n} |")
    return "\n".join(lines) + "\n"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def read_history(path: Path) -> list[dict[str, Any]]:
    """The epochs of a run's `history.csv`; empty cells are left out.

    Raises:
        ModelError: the file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(stream)]
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot read the training history ({error}); give a run folder of `train`") from error
