"""The offset that newer processing baselines leave in stored numbers."""

import re


def baseline_pair(baseline: str | None) -> tuple[int, int]:
    """A baseline such as `05.09` as a pair of integers, (0, 0) where it is none."""
    match = re.fullmatch(r"(\d{1,2})\.(\d{1,2})", baseline or "")
    return (int(match[1]), int(match[2])) if match else (0, 0)
