from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.models.abstention import Abstention


def _features() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 900)
    spread = np.array([3.0, 1.0, 0.3, 0.1, 2.0])
    return (5 * np.eye(5)[labels] + spread * rng.standard_normal((900, 5))).astype(np.float32), labels


def test_distance_counts_in_units_of_the_spread_within_the_classes() -> None:
    features, labels = _features()
    score = Abstention.fit(features, labels, rank=5)
    centre = features[labels == 1].mean(axis=0)
    wide, narrow = centre.copy(), centre.copy()
    wide[0] += 3.0
    narrow[3] += 3.0
    at_centre, along, across = score.score(np.stack([centre, wide, narrow]))
    assert at_centre < 0.2
    assert along == pytest.approx(1.0, abs=0.2)
    assert across > 20


def test_what_is_stored_scores_the_same(tmp_path: Path) -> None:
    features, labels = _features()
    score = Abstention.fit(features, labels, rank=4)
    score.write(tmp_path / "a.npz")
    np.testing.assert_array_equal(Abstention.read(tmp_path / "a.npz").score(features), score.score(features))
    (tmp_path / "a.npz").write_bytes(b"x")
    with pytest.raises(ModelError, match="abstention"):
        Abstention.read(tmp_path / "a.npz")
