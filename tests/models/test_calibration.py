import numpy as np
import pytest

from pipeline.models.calibration import bins, brier, calibration_error, fit_temperature, softmax


def _drawn(temperature: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times too steep for labels drawn from the true probabilities."""
    rng = np.random.default_rng(1)
    true = rng.normal(0, 2, (n, 4))
    labels = (softmax(true).cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return true * temperature, labels


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_temperature_undoes_over_and_underconfidence(temperature: float) -> None:
    logits, labels = _drawn(temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    assert calibration_error(softmax(logits / found), labels) < 0.015


def test_log_probabilities_serve_as_logits() -> None:
    logits, labels = _drawn(2.0)
    assert fit_temperature(np.log(softmax(logits)), labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)


def test_calibration_error_of_known_answers() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10)
    labels = np.array([0] * 6 + [1] * 4)
    assert calibration_error(probabilities, labels) == pytest.approx(0.3)
    assert brier(probabilities, labels) == pytest.approx(0.6 * 0.02 + 0.4 * 1.62)
    size, confidence, accuracy = bins(probabilities.max(axis=1), labels == 0)
    assert (size[13], confidence[13], accuracy[13]) == (10, pytest.approx(0.9), pytest.approx(0.6))


def test_full_confidence_falls_into_the_last_bin() -> None:
    assert bins(np.array([1.0, 0.0]), np.array([True, False]))[0].tolist() == [1, *[0] * 13, 1]
