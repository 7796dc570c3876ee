"""Change between dates: how probable it is, what may be claimed, and how many claims are expected to be false."""

from pipeline.change.measure import evidence
from pipeline.change.options import ChangeOptions
from pipeline.change.table import changes, scene_pairs, transitions
from pipeline.change.totals import from_to, totals

__all__ = ["ChangeOptions", "changes", "evidence", "from_to", "scene_pairs", "totals", "transitions"]
