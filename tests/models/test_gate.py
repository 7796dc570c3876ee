"""The gate: each of its five conditions alone keeps an engine out."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.models.classifier import Prediction
from pipeline.models.gate import Gate, compare

GOOD = Gate(agreement=1.0, agreement_elsewhere=1.0, verdicts=1.0, accuracy_loss=0.0, ece_change=0.0)


def test_an_engine_that_answers_alike_passes():
    assert GOOD.passed
    assert replace(GOOD, agreement=0.995, agreement_elsewhere=0.995, verdicts=0.995, accuracy_loss=0.2).passed
    assert replace(GOOD, accuracy_loss=-3.0).passed  # a gain is no loss


@pytest.mark.parametrize(
    "bad",
    [
        {"agreement": 0.994},
        {"agreement_elsewhere": 0.994},
        {"verdicts": 0.994},
        {"accuracy_loss": 0.21},
        {"ece_change": 0.0051},
        {"ece_change": -0.0051},
    ],
)
def test_one_bad_figure_keeps_an_engine_out(bad):
    gate = replace(GOOD, **bad)
    assert not gate.passed and gate.as_json()["passed"] is False


def _answers(codes, unfamiliar=()):
    verdict = np.zeros(len(codes), bool)
    verdict[list(unfamiliar)] = True
    return Prediction(np.where(np.eye(3, dtype=bool)[codes], 0.8, 0.1).astype(np.float32), verdict)


def test_every_figure_is_measured_on_its_own_patches():
    labels = np.array([0, 1, 2, 0, 1])
    found = compare(
        _answers([0, 1, 2, 0, 1], unfamiliar=(0,)),
        _answers([0, 1, 2, 0, 2], unfamiliar=(1,)),  # one class and two verdicts turn
        labels,
        _answers([0, 0, 1, 1], unfamiliar=(0, 1, 2)),
        _answers([1, 1, 2, 1]),  # three classes turn; verdicts of other scenes do not count
    )
    assert (found.agreement, found.agreement_elsewhere, found.verdicts) == pytest.approx((0.8, 0.25, 0.6))
    assert found.accuracy_loss == pytest.approx(20)
    assert found.ece_change == pytest.approx(-0.2)
