"""Change between dates: how probable it is, what may be claimed, and how many claims are expected to be false."""

from pipeline.change.evidence import evidence
from pipeline.change.options import ChangeOptions
from pipeline.change.table import changes, scene_pairs, transitions

__all__ = ["ChangeOptions", "changes", "evidence", "scene_pairs", "transitions"]
