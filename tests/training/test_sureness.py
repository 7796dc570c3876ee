"""How sure a network may be that reads one corner, and so is as sure of mosaics as of pure patches."""

import numpy as np
import pytest

from pipeline.datasets.labelled import LabelledPatches
from pipeline.models.abstention import Abstention
from pipeline.models.engines import Outputs
from pipeline.training import sureness

LEVELS = np.array([40, 120, 210])


@pytest.fixture(scope="module")
def data() -> LabelledPatches:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    patches = LEVELS[labels][:, None, None, None] + rng.integers(-8, 9, (600, 16, 16, 3))
    return LabelledPatches(("Low", "Middle", "High"), patches.astype(np.uint8), labels, tuple(map(str, range(600))))


def ask(patches: np.ndarray) -> Outputs:
    """Always .95 sure of the level nearest to one corner; the features hold mean and spread."""
    corner = patches[:, :4, :4].mean(axis=(1, 2, 3))
    best = np.abs(corner[:, None] - LEVELS).argmin(axis=1)
    probabilities = np.full((len(patches), 3), 0.025, np.float32)
    probabilities[np.arange(len(patches)), best] = 0.95
    spread = patches.std(axis=(1, 2, 3))
    return Outputs(probabilities, np.stack([patches.mean(axis=(1, 2, 3)), spread], axis=1).astype(np.float32))


@pytest.fixture(scope="module")
def listed(data: LabelledPatches) -> list[sureness.Sample]:
    return sureness.samples(ask, Abstention.fit(ask(data.patches).features, data.labels), data, 1)


def test_samples_hold_pure_strange_and_mixed_patches(listed: list[sureness.Sample]) -> None:
    assert [one.kind for one in listed] == ["pure", "far_off", "two_parts", "three_parts"]
    right = {one.kind: one.right.mean() for one in listed}
    assert right["pure"] == 1
    assert right["pure"] > right["two_parts"] > right["three_parts"]


def test_confidence_follows_what_is_mixed(listed: list[sureness.Sample]) -> None:
    alone = sureness.measured(listed, None)
    told = sureness.cross_fitted(listed, 3)
    assert alone["two_parts"]["confidence"] == pytest.approx(0.95, abs=1e-3)
    assert alone["three_parts"]["ece"] > 0.2
    for kind in ("two_parts", "three_parts"):
        assert told[kind]["ece"] < 0.6 * alone[kind]["ece"]
        assert told[kind]["accuracy"] == alone[kind]["accuracy"]
    assert told["pure"]["confidence"] > 0.9


def test_pure_patches_weigh_more_than_mixed_ones(
    listed: list[sureness.Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = sureness.measured(listed, sureness.fit_confidence(listed))["pure"]["confidence"]
    monkeypatch.setattr(sureness, "MIXED", 10.0)
    assert sureness.measured(listed, sureness.fit_confidence(listed))["pure"]["confidence"] < usual


def test_a_picture_is_never_measured_by_what_was_fitted_on_it(listed, monkeypatch) -> None:
    fitted: list[set[int]] = []
    fit = sureness.fit_confidence

    def watched(given: list[sureness.Sample]):
        fitted.append(set(given[0].source.tolist()))
        return fit(given)

    monkeypatch.setattr(sureness, "fit_confidence", watched)
    sureness.cross_fitted(listed, 3)
    left = [set(range(600)) - known for known in fitted]
    assert sorted(picture for part in left for picture in part) == list(range(600))
    assert min(map(len, left)) == 120
