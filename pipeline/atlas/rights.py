"""Whose pictures and classes a map shows, in the words that must stand beside it."""

from collections.abc import Mapping
from typing import Any

from pipeline.bands import SENSORS, SENTINEL_2, Sensor
from pipeline.legend import EUROSAT, UC_MERCED, Legend

_SOURCES = {
    EUROSAT.labels: "Classes after EuroSAT (Helber et al. 2019)",
    UC_MERCED.labels: "Classes after UC Merced Land Use (Yang and Newsam 2010)",
}


def sensor_of(model: Mapping[str, Any]) -> Sensor:
    """Whose pictures the model of a table read; tables that do not say are Sentinel-2's."""
    return SENSORS.get(str(model.get("sensor")), SENTINEL_2)


def classes_after(legend: Legend) -> str:
    """Where the classes come from, as a sentence without its full stop; empty for a user's own."""
    return _SOURCES.get(legend.labels, "")
