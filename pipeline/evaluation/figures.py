"""The report's pictures: small PNGs."""

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.bands import RGB
from pipeline.datasets.labelled import LabelledPatches
from pipeline.evaluation.metrics import Figures, risk_coverage
from pipeline.models.calibration import bins

Floats = npt.NDArray[np.floating]
Axes = Any  # matplotlib ships no types for what subplots returns
BLUE, RED, GREY = "#2b55c0", "#d00c37", "#8a8f98"


def curves(histories: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Loss and accuracy by epoch of one or more runs."""
    figure, (left, right) = _axes(1, 2, (9, 3.4))
    colours = islice(cycle((BLUE, RED, "#0b5410", "#e8750f", "#936fd3")), len(histories))
    for (name, rows), colour in zip(histories.items(), colours, strict=True):
        for axis, value in ((left, "loss"), (right, "accuracy")):
            axis.plot(
                [row["epoch"] for row in rows],
                [row[value] for row in rows],
                color=colour,
                alpha=0.45,
                ls="--",
                label=f"{name}, training (augmented)",
            )
            seen = [row for row in rows if f"val_{value}" in row]
            axis.plot(
                [row["epoch"] for row in seen],
                [row[f"val_{value}"] for row in seen],
                color=colour,
                marker="o",
                ms=3,
                label=f"{name}, validation",
            )
    left.set(xlabel="epoch", ylabel="loss")
    right.set(xlabel="epoch", ylabel="accuracy")
    right.legend(fontsize=7, frameon=False)
    _save(figure, path)


def rates(histories: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """The learning rate at each epoch's end."""
    figure, axis = _axes(1, 1, (4.5, 2.8))
    for name, rows in histories.items():
        axis.plot([row["epoch"] for row in rows], [row["rate"] for row in rows], marker="o", ms=3, label=name)
    axis.set(xlabel="epoch", ylabel="learning rate")
    axis.legend(fontsize=7, frameon=False)
    _save(figure, path)


def confusion(found: Figures, path: Path) -> None:
    """Confusion matrix in percent of the true class, counts where they are few."""
    table = np.array(found.confusion)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    labels = [entry.label for entry in found.per_class]
    figure, axis = _axes(1, 1, (6.4, 5.6))
    axis.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(table):
        if value:
            axis.text(
                column,
                row,
                str(value),
                ha="center",
                va="center",
                fontsize=7,
                color="white" if share[row, column] > 0.4 else "black",
            )
    axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set(xlabel="predicted", ylabel="true", title=f"{found.n} patches, accuracy {100 * found.accuracy:.2f} %")
    _save(figure, path)


def reliability(before: Floats, after: Floats, labels: npt.NDArray[np.integer], path: Path) -> None:
    """Accuracy against confidence, raw and calibrated, and how many patches each bin holds."""
    figure, (top, low) = _axes(2, 1, (4.6, 5.2), height_ratios=(3, 1), sharex=True)
    top.plot([0, 1], [0, 1], color=GREY, lw=0.8)
    for name, probabilities, colour in (("raw", before, RED), ("calibrated", after, BLUE)):
        size, confidence, accuracy = bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
        filled = size >= 5
        error = float((size[size > 0] * np.abs(confidence - accuracy)[size > 0]).sum() / size.sum())
        top.plot(confidence[filled], accuracy[filled], marker="o", ms=4, color=colour, label=f"{name}, ECE {error:.4f}")
        low.step(np.linspace(0, 1, len(size) + 1), np.append(size, size[-1]), where="post", color=colour)
    top.set(ylabel="accuracy", ylim=(0, 1.02))
    top.legend(fontsize=8, frameon=False)
    low.set(xlabel="confidence", ylabel="patches", yscale="log", xlim=(0, 1))
    _save(figure, path)


def risk(probabilities: Floats, labels: npt.NDArray[np.integer], path: Path) -> None:
    """Error rate among the most confident share of patches."""
    coverage, error = risk_coverage(probabilities, labels)
    figure, axis = _axes(1, 1, (4.6, 3.2))
    axis.plot(100 * coverage, 100 * error, color=BLUE)
    axis.set(
        xlabel="patches kept, most confident first (%)", ylabel="errors among them (%)", xlim=(0, 100), ylim=(0, None)
    )
    _save(figure, path)


def counts(parts: Mapping[str, LabelledPatches], path: Path) -> None:
    """Patches of each class in each part of the data."""
    figure, axis = _axes(1, 1, (6.4, 3.2))
    start = np.zeros(len(next(iter(parts.values())).classes))
    for (name, part), colour in zip(parts.items(), (BLUE, "#e8750f", GREY), strict=False):
        axis.barh(part.classes, part.counts, left=start, label=f"{name} ({len(part)})", color=colour)
        start = start + part.counts
    axis.invert_yaxis()
    axis.set(xlabel="patches")
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, 1.15), ncols=2)
    _save(figure, path)


def mistakes(data: LabelledPatches, probabilities: Floats, path: Path, count: int = 40) -> None:
    """The most confident mistakes as a sheet of chips."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != data.labels)
    _sheet(data, probabilities, wrong[np.argsort(-probabilities[wrong].max(axis=1))][:count], path)


def samples(data: LabelledPatches, probabilities: Floats, path: Path, count: int = 40, seed: int = 20) -> None:
    """Pictures drawn at random with their true and their predicted class, classes in turn; wrong ones in red."""
    drawn = np.random.default_rng(seed).permutation(len(data))
    # The first of every class, then the second of every class, and so on.
    turn = np.zeros(len(data), np.int64)
    for code in range(len(data.classes)):
        members = drawn[data.labels[drawn] == code]
        turn[members] = np.arange(len(members))
    shown = drawn[np.argsort(turn[drawn], kind="stable")][:count]
    _sheet(data, probabilities, shown[np.argsort(data.labels[shown], kind="stable")], path)


def course(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """What was measured of a network under way, by step: the loss on the left, parts that are right on the right."""
    figure, (left, right) = _axes(1, 2, (9, 3.2))
    steps = [row["step"] for row in history]
    left.plot(steps, [row["loss"] for row in history], color=BLUE, marker="o", ms=3)
    left.set(xlabel="step", ylabel="loss")
    for name, colour in zip(
        dict.fromkeys(key for row in history for key in row if key not in ("step", "loss")),
        cycle((BLUE, RED, "#0b5410", "#e8750f")),
        strict=False,
    ):
        seen = [row for row in history if name in row]
        right.plot(
            [row["step"] for row in seen], [row[name] for row in seen], color=colour, marker="o", ms=3, label=name
        )
    right.set(xlabel="step", ylabel="part that is right")
    if right.lines:
        right.legend(fontsize=7, frameon=False)
    _save(figure, path)


def pixel_confusion(labels: Sequence[str], counts: npt.NDArray[np.integer], path: Path) -> None:
    """Percent of the pixels of each true class (rows) by answer."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axis = _axes(1, 1, (5.6, 4.8))
    axis.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    for (row, column), part in np.ndenumerate(share):
        if part >= 0.005:
            colour = "white" if part > 0.4 else "black"
            axis.text(column, row, f"{100 * part:.0f}", ha="center", va="center", fontsize=8, color=colour)
    axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set(xlabel="answer", ylabel="truth, percent of its pixels")
    _save(figure, path)


def pixel_reliability(curve: Sequence[tuple[float, float, int]], error: float, path: Path) -> None:
    """Part of the pixels right against how sure the answers were."""
    figure, axis = _axes(1, 1, (4.2, 3.6))
    axis.plot([0, 1], [0, 1], color=GREY, lw=0.8)
    axis.plot([sure for sure, *_ in curve], [right for _, right, _ in curve], marker="o", ms=4, color=BLUE)
    axis.set(xlabel="confidence", ylabel="part right", xlim=(0, 1), ylim=(0, 1), title=f"calibration error {error:.3f}")
    _save(figure, path)


def _sheet(data: LabelledPatches, probabilities: Floats, shown: npt.NDArray[np.integer], path: Path) -> None:
    columns = 8
    rows = max(1, -(-len(shown) // columns))
    figure, axes = _axes(rows, columns, (columns * 1.25, rows * 1.55), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, shown, strict=False):
        axis.imshow(_seen(data, int(i)))
        code = int(probabilities[i].argmax())
        axis.set_title(
            f"{data.classes[data.labels[i]]}\nas {data.classes[code]} {100 * probabilities[i].max():.0f} %",
            fontsize=5.5,
            pad=2,
            color="black" if code == data.labels[i] else "#b3261e",
        )
    _save(figure, path)


def _seen(data: LabelledPatches, at: int) -> npt.NDArray[Any]:
    """A patch as a person sees it: true colour where its bands hold it, else its first band in grey.

    Reflectance is stretched between its own 2nd and 98th percentile.
    """
    bands = RGB if set(RGB) <= set(data.bands) else data.bands[:1] * len(RGB)
    shown: npt.NDArray[Any] = data.patches[at][..., [data.bands.index(band) for band in bands]]
    if shown.dtype == np.uint8:
        return shown
    low, high = np.percentile(shown, (2, 98))
    return np.asarray(((shown - low) / max(float(high - low), 1e-6)).clip(0, 1))


def _axes(
    rows: int,
    columns: int,
    size: tuple[float, float],
    squeeze: bool = True,
    sharex: bool = False,
    height_ratios: Sequence[float] | None = None,
) -> Axes:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    ratios = {} if height_ratios is None else {"height_ratios": height_ratios}
    return pyplot.subplots(rows, columns, figsize=size, squeeze=squeeze, sharex=sharex, gridspec_kw=ratios)


def _save(figure: Axes, path: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(128)  # a third of the size; the repository keeps every version
    small.save(path, optimize=True)
