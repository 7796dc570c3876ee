"""A classifier that knows the answer: it reads the class out of the patch itself."""

from dataclasses import dataclass, field

import numpy as np

from pipeline.legend import COVER, EUROSAT, Legend
from pipeline.models.card import COVER as COVER_KIND
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction
from pipeline.models.input import REFLECTANCE, ModelInput
from pipeline.scenes.radiometry import Stretch

CARD = ModelCard(
    name="fake",
    legend=EUROSAT,
    input=ModelInput(stretch=Stretch()),
)


def class_of(red: float, green: float, blue: float) -> int:
    """The class that the fake gives to a patch of these mean codes: swapped bands give another answer."""
    return int(red + 3 * green + 7 * blue) % len(EUROSAT.classes)


@dataclass
class FakeClassifier:
    """Answers from a patch's north-west quarter, so that swapped axes, bands or tiles show."""

    card: ModelCard = CARD
    seen: list[np.ndarray] = field(default_factory=list)
    unfamiliar_above: float = 256.0

    def predict(self, patches):
        self.seen.append(patches)
        probabilities = np.full((len(patches), len(self.card.legend.classes)), 0.02, np.float32)
        for row, patch in zip(probabilities, patches, strict=True):
            row[class_of(*patch[:32, :32].astype(float).mean(axis=(0, 1)).round())] += 1 - 0.02 * len(row)
        return probabilities

    def judge(self, patches):
        return Prediction(self.predict(patches), patches.mean(axis=(1, 2, 3)) > self.unfamiliar_above)


class BrightPixels:
    """Names a pixel by its green reflectance: below 0.1 the first class, below 0.2 the second, else the third."""

    card = ModelCard(
        "bright", Legend("cover", COVER.classes[:3]), ModelInput(bands=("B03",), units=REFLECTANCE), COVER_KIND
    )
    halo = 8

    def predict(self, pixels):
        code = np.digitize(pixels[..., 0], [0.1, 0.2])
        return (np.eye(3, dtype=np.float32) * 0.7 + 0.1)[code]


def fake_model(folder, monkeypatch, card=CARD):
    """A stored model whose runs ask the fake; its card lies in a folder like a real one."""
    from pipeline.batch import main_job, work
    from pipeline.batch.task import ModelChoice

    models = folder / "models"
    (models / card.name).mkdir(parents=True)
    card.write(models / card.name / "card.json")
    fake = FakeClassifier(card)
    for module in (main_job, work):
        monkeypatch.setattr(module, "classifier", lambda choice: fake)
    return ModelChoice(card.name, models), fake
