"""What a model says of a picture, in the words that the command line and the app share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.models.classifier import Prediction

UNCLASSIFIED = "unclassified"


def picture_answers(
    name: str, places: npt.NDArray[np.int64], found: Prediction, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """One entry a patch of a picture: where it lies in pixels (`places` (n, 2) as (x, y)), its class, all classes.

    A patch unlike the training data is called unclassified; `best_class` tells what it is nearest to.
    """
    return [
        {
            "image": name,
            "x": int(x),
            "y": int(y),
            "label": UNCLASSIFIED if unfamiliar else labels[int(row.argmax())],
            "best_class": labels[int(row.argmax())],
            "confidence": round(float(row.max()), 4),
            "unfamiliar": bool(unfamiliar),
            "probabilities": {label: round(float(value), 4) for label, value in zip(labels, row, strict=True)},
        }
        for (x, y), row, unfamiliar in zip(places, found.probabilities, found.unfamiliar, strict=True)
    ]
