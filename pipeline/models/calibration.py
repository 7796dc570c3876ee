"""Temperature scaling and calibration error (Guo et al. 2017)."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]


def softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """Rows of probabilities."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True).astype(np.float64))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def log_loss(logits: Floats, labels: Labels) -> float:
    """Mean negative log likelihood in nats."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(
        np.mean(np.log(np.exp(shifted.astype(np.float64)).sum(axis=1)) - shifted[np.arange(len(labels)), labels])
    )


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature that makes the labels most likely; log probabilities serve as logits."""
    low, high = np.log(0.05), np.log(20.0)
    step = (5**0.5 - 1) / 2
    for _ in range(40):  # golden section: the loss has one minimum in the temperature
        left, right = high - step * (high - low), low + step * (high - low)
        if log_loss(logits / np.exp(left), labels) < log_loss(logits / np.exp(right), labels):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def bins(
    confidence: Floats, correct: npt.NDArray[np.bool_], count: int = 15
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Size, mean confidence and accuracy of equally wide bins of confidence; NaN in empty ones."""
    place = np.clip(np.ceil(confidence * count).astype(np.int64) - 1, 0, count - 1)
    size = np.bincount(place, minlength=count)
    with np.errstate(invalid="ignore"):
        return size, np.bincount(place, confidence, count) / size, np.bincount(place, correct, count) / size


def calibration_error(probabilities: Floats, labels: Labels, count: int = 15) -> float:
    """Expected calibration error of the top class over `count` equal bins, 0..1."""
    size, confidence, accuracy = bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, count)
    filled = size > 0
    return float((size[filled] * np.abs(confidence[filled] - accuracy[filled])).sum() / size.sum())


def brier(probabilities: Floats, labels: Labels) -> float:
    """Mean squared distance of the probabilities to the truth, summed over classes (0..2)."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(np.square(probabilities - truth).sum(axis=1).mean())
