"""Whose pictures and classes a map shows, in the words that must stand beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.atlas.collect import SceneTiles
from pipeline.bands import SENSORS, SENTINEL_2, Sensor
from pipeline.legend import EUROSAT, UC_MERCED, Legend
from pipeline.results.table import CROSSWALK

_SOURCES = {
    EUROSAT.labels: "Classes after EuroSAT (Helber et al. 2019)",
    UC_MERCED.labels: "Classes after UC Merced Land Use (Yang and Newsam 2010)",
}


def sensor_of(model: Mapping[str, Any]) -> Sensor:
    """Whose pictures the model of a table read; tables that do not say are Sentinel-2's."""
    return SENSORS.get(str(model.get("sensor")), SENTINEL_2)


def classes_after(legend: Legend, scenes: Sequence[SceneTiles]) -> str:
    """Where the classes come from, as a sentence without its full stop; empty for a user's own."""
    if told := _crosswalk(scenes):
        origins = " and ".join(str(name) for name in told.get("classes_of", ()))
        return f"Classes of {told.get('title')}, translated from those of {origins} after {told.get('source')}"
    return _SOURCES.get(legend.labels, "")


def class_notes(scenes: Sequence[SceneTiles]) -> tuple[str, ...]:
    """What classes that were translated from others cannot tell apart; empty for a model's own classes."""
    told = _crosswalk(scenes)
    own = "The accuracy of the model is that of its own classes, not of these."
    return (*(str(note) for note in told.get("notes", ())), own) if told else ()


def _crosswalk(scenes: Sequence[SceneTiles]) -> Mapping[str, Any]:
    """What tables in another legend tell of it."""
    told = next((scene.metadata[CROSSWALK] for scene in scenes if CROSSWALK in scene.metadata), None)
    return told if isinstance(told, Mapping) else {}
