"""Periods: spans of days whose looks become one answer."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import pairwise
from typing import Self

from pipeline.errors import BadPeriod
from pipeline.scenes.scene import UNKNOWN_DATE

_DAY = r"(\d{4}-\d{2}-\d{2})"
_EXAMPLE = "write first and last day like 2018-05-01/2018-09-30"


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A span of whole days (UTC)."""

    start: date
    """The first day."""
    end: date
    """The last day, which belongs to it."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """A period from an ISO 8601 interval of days.

        >>> Period.parse("2018-05-01/2018-09-30").end.month
        9

        Raises:
            BadPeriod: it is none, or ends before it begins.
        """
        told = re.fullmatch(f"{_DAY}/{_DAY}", text.strip())
        if told is None:
            raise BadPeriod(f"{text!r}: no period; {_EXAMPLE}")
        try:
            found = cls(*(date.fromisoformat(day) for day in told.groups()))
        except ValueError as error:
            raise BadPeriod(f"{text!r}: no period ({error}); {_EXAMPLE}") from error
        if found.end < found.start:
            raise BadPeriod(f"{text!r}: ends before it begins; write {found.end}/{found.start}")
        return found

    def __str__(self) -> str:
        return f"{self.start}/{self.end}"

    @property
    def name(self) -> str:
        """What its results' names begin with."""
        return f"{self.start}_{self.end}"

    @property
    def middle(self) -> datetime:
        """Noon of the day halfway, which stands for all of it where one moment is asked for."""
        return datetime.combine(self.start + (self.end - self.start) // 2, time(12), UTC)

    def holds(self, moment: datetime) -> bool:
        """Whether a scene of this moment is one of its looks; a scene of unknown date is none of any."""
        return moment != UNKNOWN_DATE and self.start <= moment.astimezone(UTC).date() <= self.end


def apart(periods: Iterable[Period]) -> tuple[Period, ...]:
    """Periods in order of time.

    Raises:
        BadPeriod: two of them share a day, so that a look would count twice.
    """
    ordered = sorted(periods)
    for one, other in pairwise(ordered):
        if other.start <= one.end:
            raise BadPeriod(f"{one} and {other}: share days, so looks would count twice; let one end before the other")
    return tuple(ordered)
