"""Which bands tell the classes apart: one network, one split, one seed, many combinations of bands."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bands import RGB, TEN_BANDS
from pipeline.datasets.labelled import Asked, LabelledPatches
from pipeline.errors import ModelError, OutputError
from pipeline.files import whole_file, write_text
from pipeline.training.fit import predict_logits, run_facts, train
from pipeline.training.options import TrainOptions
from pipeline.training.run import read_split

log = logging.getLogger(__name__)

CHANNELS = 3
# Pixels along a patch; a smoke test takes a quarter of the pixels.
SIZE, QUICK_SIZE = 64, 32
COMBINATIONS: dict[str, tuple[str, ...]] = {
    **{band: (band,) * CHANNELS for band in TEN_BANDS},
    "RGB": RGB,
    "CIR": ("B08", "B04", "B03"),
    "SWIR": ("B12", "B8A", "B04"),
    "all ten": TEN_BANDS,
}
SMOKE = "A smoke test on few, small patches and epochs: it shows that the study runs, not which bands are good."


@dataclass(frozen=True, slots=True)
class Reached:
    """What one combination reached on the validation patches."""

    name: str
    """The combination."""
    bands: tuple[str, ...]
    """Its channels."""
    accuracy: float
    """Share of right answers."""
    low: float
    """Lower end of its 95 % interval (Wilson)."""
    high: float
    """Upper end."""
    n: int
    """Validation patches."""
    weights: str
    """What it started from."""


def study(
    data: Path,
    options: TrainOptions,
    split: tuple[Path, Path] | None = None,
    quick: bool = False,
    progress: Callable[[str], None] = log.info,
) -> list[Reached]:
    """Trains every combination that has no result in `options.folder` yet, and writes table, chart and JSON there.

    Single bands fill all three channels. Published weights fit three channels only, so all ten start from scratch.

    Raises:
        ModelError: the data lack a band, or the folder holds a study of other data or options.
        OutputError: the folder cannot be written.
    """
    whole = read_split(data, split, options.seed, Asked(size=QUICK_SIZE if quick else SIZE, bands=TEN_BANDS))
    _begin(options, run_facts(options, *whole))
    reached = []
    for name, bands in COMBINATIONS.items():
        kept = options.folder / name.replace(" ", "-") / "result.json"
        weights = options.weights if len(bands) == CHANNELS else "none"
        plan = replace(options, folder=kept.parent, weights=weights)
        if not kept.is_file():
            training, validation = (_channels(part, bands) for part in whole)
            model = train(plan, training, None, lambda _: None)
            answers = predict_logits(model, validation.patches).argmax(axis=1)
            hits = int((answers == validation.labels).sum())
            low, high = wilson(hits, len(validation))
            found = Reached(name, bands, hits / len(validation), low, high, len(validation), Path(weights).name)
            write_text(kept, json.dumps({name: getattr(found, name) for name in Reached.__slots__}) + "\n")
        told = json.loads(kept.read_text(encoding="utf-8"))
        reached.append(Reached(**{**told, "bands": tuple(told["bands"])}))
        progress(f"{name}: {reached[-1].accuracy:.1%} ({reached[-1].low:.1%} to {reached[-1].high:.1%})")
    _write(options, reached, quick)
    return reached


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927).

    >>> [round(value, 3) for value in wilson(20, 20)]
    [0.839, 1.0]
    """
    share = hits / n
    middle, half = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return float((middle - half) / (1 + z * z / n)), float(min((middle + half) / (1 + z * z / n), 1.0))


def table(reached: Sequence[Reached], quick: bool = False) -> str:
    """The study as Markdown, best first."""
    lines = [*([SMOKE, ""] if quick else []), "| bands | accuracy | 95 % interval | start |", "|---|---|---|---|"]
    for row in sorted(reached, key=lambda row: -row.accuracy):
        held = f"{row.name} ({' '.join(row.bands)})" if len(set(row.bands)) > 1 else row.name
        lines.append(f"| {held} | {row.accuracy:.1%} | {row.low:.1%} to {row.high:.1%} | {row.weights} |")
    return "\n".join([*lines, "", f"{reached[0].n} validation patches, the same for every row."]) + "\n"


def chart(reached: Sequence[Reached], path: Path, quick: bool = False) -> None:
    """Bars of accuracy with their intervals, in the order of the study."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 3.6))
    heights = np.array([row.accuracy for row in reached])
    ends = np.array([[row.accuracy - row.low, row.high - row.accuracy] for row in reached]).T.clip(0)
    colours = ["#8a8f98" if len(set(row.bands)) == 1 else "#2b55c0" for row in reached]
    axis.bar([row.name for row in reached], heights, yerr=ends, color=colours, capsize=3)
    axis.set(ylabel="accuracy, 95 % interval", ylim=(0, 1), title=SMOKE if quick else f"{reached[0].n} patches")
    axis.title.set_fontsize(8)
    axis.tick_params(axis="x", rotation=45)
    figure.tight_layout()
    with whole_file(path) as part:
        figure.savefig(part, dpi=110, format="png")
    pyplot.close(figure)


def _begin(options: TrainOptions, facts: dict[str, Any]) -> None:
    """Results of other pictures, split or options would stand in one table with these, so such a folder is refused."""
    kept = options.folder / "options.json"
    if kept.is_file():
        before = json.loads(kept.read_text(encoding="utf-8"))
        other = sorted(name for name in {*before, *facts} if before.get(name) != facts.get(name))
        if other:
            raise ModelError(
                f"{options.folder}: holds a study with other {', '.join(other)}; give those again, or another --out"
            )
        return
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps(facts, indent=1) + "\n")
    except OSError as error:
        raise OutputError(
            f"{options.folder}: cannot be written ({error.strerror}); give another --out folder"
        ) from error


def _write(options: TrainOptions, reached: list[Reached], quick: bool) -> None:
    rows: list[dict[str, Any]] = [{name: getattr(row, name) for name in Reached.__slots__} for row in reached]
    told = {"smoke_test": quick, "architecture": options.architecture, "seed": options.seed, "rows": rows}
    try:
        write_text(options.folder / "band-study.json", json.dumps(told, indent=1) + "\n")
        write_text(options.folder / "band-study.md", table(reached, quick))
        chart(reached, options.folder / "band-study.png", quick)
    except OSError as error:
        raise OutputError(f"{options.folder}: cannot write the study ({error.strerror}); free some space") from error


def _channels(data: LabelledPatches, bands: tuple[str, ...]) -> LabelledPatches:
    chosen = data.patches[..., [data.bands.index(band) for band in bands]]
    return replace(data, patches=np.ascontiguousarray(chosen), bands=bands)
