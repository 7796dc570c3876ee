"""What `python -m pipeline classify` says about pictures."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.legend import TileState
from pipeline.models.classifier import Classifier
from pipeline.models.pictures import cut, read_picture


@dataclass(frozen=True, slots=True)
class PatchAnswer:
    """One patch of a picture: its upper left corner in pixels, its label and the probability of each class.

    `label` is "unclassified" where the patch is unlike the training data; `best` names the class that would have been.
    """

    x: int
    y: int
    label: str
    best: str
    confidence: float
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class PictureAnswer:
    """One picture: its size in pixels and its patches, or why there are none."""

    picture: str
    width: int
    height: int
    patches: tuple[PatchAnswer, ...]
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def classify_pictures(paths: Iterable[Path], classifier: Classifier) -> Iterator[PictureAnswer]:
    """The answer for each picture; one that cannot be used carries its error and does not stop the others."""
    legend, size = classifier.card.legend, classifier.card.patch_size
    for path in paths:
        width = height = 0
        try:
            picture = read_picture(path)
            height, width = picture.shape[:2]
            corners, patches = cut(picture, size)
            answer = classifier.judge(patches)
        except ModelError as error:
            message = str(error) if str(path) in str(error) else f"{path}: {error}"
            yield PictureAnswer(str(path), width, height, (), message)
            continue
        found = []
        for (x, y), row, unfamiliar in zip(corners.tolist(), answer.probabilities, answer.unfamiliar, strict=True):
            best = legend.labels[int(row.argmax())]
            label = legend.label(TileState.UNCLASSIFIED) if unfamiliar else best
            chances = {name: round(float(value), 5) for name, value in zip(legend.labels, row, strict=True)}
            found.append(PatchAnswer(x, y, label, best, round(float(row.max()), 5), chances))
        yield PictureAnswer(str(path), width, height, tuple(found))
