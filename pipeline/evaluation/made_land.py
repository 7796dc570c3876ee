"""The cover of the demo against what its made landscape knows of every pixel."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import from_bounds

from pipeline.evaluation.cover import CoverScore
from pipeline.legend import COVER, CoverState
from pipeline.results.layout import COVER as RASTER
from pipeline.results.record import SceneRecord
from pipeline.simulate.truth import cover_truth


def on_made_land(records: Iterable[SceneRecord], results: Path, made: Path) -> dict[str, CoverScore]:
    """By scene, how the cover in the folder `results` agrees with the masks in the folder `made`, where both are."""
    found = {}
    records = list(records)
    days = {record.id: record.acquired[:10] for record in records if record.acquired is not None}
    for record in records:
        if record.acquired is None:
            continue
        # Between a season's looks the made land stays as it is.
        day = days[record.looks[-1] if record.looks else record.id]
        answer, truth = results / record.id / RASTER, cover_truth(made, day)
        if answer.is_file() and truth.is_file():
            found[record.id] = _score(answer, truth)
    return found


def told(scores: dict[str, CoverScore]) -> list[str]:
    """Lines for people."""
    lines = [
        f"  {scene}: {score.accuracy:.1%} of {score.pixels:,} pixels; found of "
        + ", ".join(
            f"{label} {recall:.0%}"
            for label, recall in zip(score.classes, score.recall, strict=True)
            if np.isfinite(recall)
        )
        for scene, score in scores.items()
    ]
    return (
        ["\ncover as the made land is (its surfaces are painted: no accuracy of real ground)", *lines] if lines else []
    )


def _score(answer: Path, truth: Path) -> CoverScore:
    with rasterio.open(truth) as mask, rasterio.open(answer) as cover:
        wanted = mask.read(1)
        window = from_bounds(*mask.bounds, cover.transform).round_offsets().round_lengths()
        codes = cover.read(1, window=window, boundless=True, fill_value=int(CoverState.NO_DATA))
    return CoverScore.of(COVER.labels, wanted, codes)
