"""The model card: everything that must be known to use a trained model rightly."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pipeline.errors import ModelError
from pipeline.files import digest
from pipeline.legend import LandCoverClass, Legend
from pipeline.models.input import ModelInput

TILE, COVER = "tile", "cover"
KINDS = (TILE, COVER)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A trained model's description, stored as `card.json` beside its weights."""

    name: str
    """The model's name, which its folder and its results carry."""
    legend: Legend
    """The classes in the order of the network's outputs."""
    input: ModelInput
    """What the network takes; the tile grid follows from it."""
    kind: str = TILE
    """`tile`: one answer a patch; `cover`: one answer a pixel."""
    temperature: float = 1.0
    """Divides the logits inside the stored graphs."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Each weight file, relative to the card, with its digest."""
    architecture: str = "resnet50"
    """The network's name."""
    unfamiliar: Mapping[str, Any] = field(default_factory=dict)
    """The abstention score: its name, file and threshold; empty without one."""
    confidence: Mapping[str, Any] = field(default_factory=dict)
    """How sure to be of mixed and strange patches: its name and file; empty without it."""
    engines: Mapping[str, Any] = field(default_factory=dict)
    """What runs the model, fastest first: its file, and below which lead a second opinion is asked."""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """Data, split, options, versions."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, by the part that it was measured on."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ModelError(f"{self.name}: is of kind {self.kind!r}, known are {', '.join(KINDS)}; correct its card")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The card in a `card.json`; those of version 0.1, which had no `input`, are understood as well.

        Raises:
            ModelError: the file is missing or not a card.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if "input" not in data:
                data = _from_first_version(data)
            data["legend"] = Legend(
                data["legend"]["name"], tuple(LandCoverClass(**entry) for entry in data["legend"]["classes"])
            )
            data["input"] = ModelInput.from_json(data["input"])
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path}: not a model card ({error}); train or copy the model again") from error
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

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


def _from_first_version(data: Mapping[str, Any]) -> dict[str, Any]:
    """A card of version 0.1, whose models all took 10 m pixels of Sentinel-2, in today's form."""
    kept = {name: value for name, value in data.items() if name not in ("bands", "patch_size", "units", "stretch")}
    stretch = dict(data["stretch"])
    lines = stretch.pop("harmonisation", {})
    taken = {"bands": data["bands"], "units": data["units"], "size": data["patch_size"]}
    return {**kept, "input": {**taken, "stretch": stretch, "harmonisation": lines}}
