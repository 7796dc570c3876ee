"""A cover network's report: its training's course, scores by class and place, confusion, reliability, in one folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.evaluation import figures
from pipeline.evaluation.cover import CoverScore, calibration_error, total


@dataclass(frozen=True, slots=True)
class CoverReport:
    """What is told of a network."""

    name: str
    """The model."""
    scores: Mapping[str, CoverScore]
    """By place that nothing was learnt from."""
    curve: Sequence[tuple[float, float, int]]
    """Reliability there: mean confidence, part right, pixels."""
    history: Sequence[Mapping[str, float]]
    """Step, loss and what was watched, at every checkpoint."""
    pictures: Sequence[Mapping[str, tuple[float, int]]] = ()
    """Of every set of pictures left out: the part of each class that fits, and how many pictures it has."""


def write_cover_report(folder: Path, told: CoverReport) -> None:
    """Writes README.md with its pictures and scores.json.

    Raises:
        OutputError: the folder cannot be written.
    """
    overall, error = total(told.scores.values()), calibration_error(told.curve)
    found = {
        "all": overall.as_json(),
        "places": {place: score.as_json() for place, score in told.scores.items()},
        "history": list(told.history),
        "pictures": [{name: list(part) for name, part in one.items()} for one in told.pictures],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if told.history:
            figures.course(told.history, folder / "curves.png")
        figures.pixel_confusion(overall.classes, overall.confusion, folder / "confusion.png")
        figures.pixel_reliability(told.curve, error, folder / "reliability.png")
        (folder / "scores.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(_text(told, overall, error), encoding="utf-8")
    except OSError as problem:
        raise OutputError(
            f"{folder}: cannot write the report ({problem.strerror}); free some space and run it again"
        ) from problem


def _text(told: CoverReport, overall: CoverScore, error: float) -> str:
    lines = [
        f"# {told.name}: report",
        "",
        f"Places held out: {overall.accuracy:.1%} of {overall.pixels:,} pixels as their truth says, mean IoU "
        f"{overall.mean_iou():.3f}, calibration error {error:.3f} (the temperature was fitted there).",
        "",
        "| class | pixels | recall | precision | IoU | F1 |",
        "|---|---|---|---|---|---|",
        *(
            f"| {label} | {int(overall.confusion[at].sum()):,} | {_part(overall.recall[at])} | "
            f"{_part(overall.precision[at])} | {_part(overall.iou[at])} | {_part(overall.f1[at])} |"
            for at, label in enumerate(overall.classes)
        ),
        "",
        "| place | pixels | right |",
        "|---|---|---|",
        *(f"| {place} | {score.pixels:,} | {_part(score.accuracy)} |" for place, score in told.scores.items()),
    ]
    for number, one in enumerate(told.pictures, start=1):
        mean = sum(part for part, _ in one.values()) / max(len(one), 1)
        lines += ["", f"Pictures left out, set {number}: mean over classes {mean:.3f}.", ""]
        lines += ["| class | part of the pixels that fits | pictures |", "|---|---|---|"]
        lines += [f"| {name} | {part:.3f} | {count} |" for name, (part, count) in one.items()]
    lines += ["", "![confusion](confusion.png)", "![reliability](reliability.png)"]
    return "\n".join([*lines, *(["![curves](curves.png)"] if told.history else [])]) + "\n"


def _part(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
