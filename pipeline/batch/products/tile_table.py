"""`tiles.parquet`: the tile table, with what must be known to read it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline import __version__
from pipeline.bands import SENSORS
from pipeline.batch.products.protocol import Outcome, Product, SceneFile, SceneJob
from pipeline.batch.task import SceneTask
from pipeline.models.card import ModelCard
from pipeline.results.layout import TABLE
from pipeline.results.table import LEGEND, write_table


def planned(task: SceneTask, card: ModelCard) -> Product:  # noqa: ARG001 - every plan is asked alike
    """Every scene has its table."""
    return TileTable()


class TileTable(Product):
    """Writes the table."""

    def begin(self, job: SceneJob) -> None:
        """Keeps what the metadata tell."""
        self._job = job

    def finish(self, outcome: Outcome) -> tuple[SceneFile, ...]:
        """Writes the table, whole or not at all."""
        write_table(outcome.table, self._job.folder / TABLE, metadata(self._job) | dict(outcome.facts))
        return (SceneFile(TABLE, "application/vnd.apache.parquet", ("data",)),)


def metadata(job: SceneJob) -> dict[str, Any]:
    """What a scene's table says of the software, the model, its legend, the grid and the scene."""
    task, card, scene = job.task, job.card, job.scene
    model: Mapping[str, Any] = {
        "name": card.name,
        "architecture": card.architecture,
        "sensor": card.input.sensor,
        "card_sha256": task.model.card_digest,
        "temperature": card.temperature,
        "metrics": card.metrics,
        "trained_on": card.trained_on,
    }
    return {
        "software": f"landcover-atlas {__version__}",
        "model": model,
        LEGEND: asdict(card.legend),
        "grid": asdict(job.grid),
        "sensor": scene.sensor,
        "attribution": SENSORS[scene.sensor].attribution,
        "level": str(scene.level),
        "radiometry": asdict(scene.radiometry),
        "warnings": list(scene.warnings),
        "options": {**asdict(task.classify), "smooth": task.smooth},
    }
