import numpy as np
import pytest
from sklearn import metrics as reference

from pipeline.evaluation.metrics import figures, risk_coverage, separation
from pipeline.evaluation.unfamiliar import made


def _answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.dirichlet(np.ones(4), 500), rng.integers(0, 3, 500)  # the fourth class never occurs


def test_figures_agree_with_scikit_learn() -> None:
    probabilities, labels = _answers()
    found, named = figures(probabilities, labels, ("a", "b", "c", "d")), probabilities.argmax(axis=1)
    assert found.accuracy == pytest.approx(reference.accuracy_score(labels, named))
    assert found.macro_f1 == pytest.approx(reference.f1_score(labels, named, average=None, labels=range(3)).mean())
    assert found.confusion == tuple(map(tuple, reference.confusion_matrix(labels, named, labels=range(4)).tolist()))
    assert set(found.as_json()) == {"accuracy", "macro_f1", "ece", "n", "per_class", "confusion"}
    assert found.as_json()["per_class"]["b"]["recall"] == pytest.approx(
        reference.recall_score(labels, named, average=None, labels=[1])[0]
    )


def test_what_is_undefined_is_none() -> None:
    found = figures(np.eye(4)[[0, 0, 1]], np.array([0, 0, 0]), ("a", "b", "c", "d"))
    shares = [(row.precision, row.recall, row.f1) for row in found.per_class]
    assert shares == [
        (1, pytest.approx(2 / 3), pytest.approx(0.8)),
        (0, None, 0),
        (None, None, None),
        (None, None, None),
    ]
    assert found.macro_f1 == pytest.approx(0.8)


def test_separation_is_the_area_under_the_roc_curve_ties_included() -> None:
    rng = np.random.default_rng(4)
    familiar, strange = rng.integers(0, 20, 300), rng.integers(8, 30, 200)
    truth = np.r_[np.zeros(300), np.ones(200)]
    assert separation(familiar, strange) == pytest.approx(reference.roc_auc_score(truth, np.r_[familiar, strange]))


def test_risk_at_full_coverage_is_the_error_rate() -> None:
    probabilities, labels = _answers()
    coverage, risk = risk_coverage(probabilities, labels)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx((probabilities.argmax(axis=1) != labels).mean())


def test_unfamiliar_patches_are_many_kinds_and_reproducible() -> None:
    one, two = (made(np.random.default_rng(5), 4) for _ in range(2))
    assert set(one) == {"cloud", "snow", "desert", "flat", "noise", "text", "photograph"}
    for name, patches in one.items():
        assert patches.shape == (4, 64, 64, 3)
        assert patches.dtype == np.uint8
        np.testing.assert_array_equal(patches, two[name])
    assert one["cloud"].mean() > 180
    assert np.ptp(one["flat"], axis=(1, 2)).max() == 0
