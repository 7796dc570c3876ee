"""What days of composites are called: each stands for a period."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from pipeline.atlas.collect import SceneTiles
from pipeline.results.period import Period


class Span(NamedTuple):
    """What a composite's day stands for."""

    short: str
    """Its months, where space is short."""
    days: str
    """First and last day."""


def spans(scenes: Sequence[SceneTiles]) -> dict[date, Span]:
    """The days that stand for one period alone, with that period."""
    found: dict[date, set[str]] = {}
    for scene in scenes:
        found.setdefault(scene.day, set()).add(str(scene.metadata.get("period", "")))
    return {
        day: Span(_months(Period.parse(told)), told) for day, (told, *others) in found.items() if told and not others
    }


def _months(period: Period) -> str:
    first, last = period.start, period.end
    if (first.year, first.month) == (last.year, last.month):
        return f"{last:%b %Y}"
    return f"{first:%b}{'' if first.year == last.year else first.strftime(' %Y')}\N{EN DASH}{last:%b %Y}"
