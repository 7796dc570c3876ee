"""What runs have measured between pairs of scenes, read back."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.results.layout import evidence_files

_log = logging.getLogger(__name__)


def kept_evidence(folders: Sequence[Path]) -> dict[tuple[str, str], pd.DataFrame]:
    """The evidence of every pair of these scenes' folders that a run has kept; damaged files are told and left out."""
    names = {folder.name for folder in folders}
    kept = {}
    for parent in dict.fromkeys(folder.parent for folder in folders):
        for path, pair in evidence_files(parent).items():
            if not names.issuperset(pair):
                continue
            try:
                kept[pair] = pd.read_parquet(path)
            except (OSError, ValueError):
                _log.warning(
                    "%s: what was measured between these scenes is damaged; run the pipeline on them again", path
                )
    return kept
