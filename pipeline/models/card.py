"""The model card: everything that must be known to use a trained model rightly."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pipeline.errors import ModelError
from pipeline.files import digest
from pipeline.legend import LandCoverClass, Legend
from pipeline.scenes.radiometry import Harmonisation, Stretch


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A trained model's description, stored as `card.json` beside its weights.

    `units` says what a patch holds: `code` (uint8 through `stretch`) or `reflectance` (float32). `temperature`
    divides the logits inside the shipped graph. `unfamiliar` holds the abstention score's name and threshold.
    `sha256` maps each weight file, relative to the card, to its digest; `engines` lists twins, fastest first.
    """

    name: str
    legend: Legend
    bands: tuple[str, ...]
    patch_size: int
    units: str
    stretch: Stretch
    temperature: float
    sha256: Mapping[str, str]
    architecture: str = "resnet50"
    unfamiliar: Mapping[str, Any] = field(default_factory=dict)
    engines: Mapping[str, Any] = field(default_factory=dict)
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The card in a `card.json`.

        Raises:
            ModelError: the file is missing or not a card.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            data["legend"] = Legend(
                data["legend"]["name"], tuple(LandCoverClass(**entry) for entry in data["legend"]["classes"])
            )
            stretch = data["stretch"]
            levels = stretch.get("harmonisation", {})
            stretch["harmonisation"] = {
                level: Harmonisation(tuple(line["scale"]), tuple(line["offset"])) for level, line in levels.items()
            }
            data["stretch"] = Stretch(**stretch)
            data["bands"] = tuple(data["bands"])
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: not a model card ({error}); train or copy the model again") from error

    def write(self, path: Path) -> None:
        """Stores the card as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def verify(self, folder: Path) -> None:
        """Checks every weight file in `folder` against its digest.

        Raises:
            ModelError: a file is missing or differs from the card.
        """
        for name, expected in self.sha256.items():
            path = folder / name
            if not path.is_file():
                raise ModelError(f"{path}: the model's file is missing; copy the model folder again")
            found = digest(path)
            if found != expected:
                raise ModelError(
                    f"{path}: SHA-256 is {found[:12]}..., the card says {expected[:12]}...; copy the model folder again"
                )
