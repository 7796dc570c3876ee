"""What a run tells of every scene: the record, and the file `run.json` that holds them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from pipeline.errors import TileTableError
from pipeline.files import write_text
from pipeline.results.layout import RUN_REPORT, SceneStatus
from pipeline.scenes.safety.guard import printable
from pipeline.scenes.scene import Refusal, Scene


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """One scene's line in `run.json`."""

    id: str
    """The scene's id, which is also its folder's name."""
    status: SceneStatus
    """What became of it."""
    error: str | None = None
    """The error's class name where it was refused, or where no tile of it carries a class."""
    reason: str | None = None
    """The error's message: what, where and what to do next."""
    acquired: str | None = None
    """When it was acquired, as ISO 8601."""
    level: str | None = None
    """Its processing level."""
    layout: str | None = None
    """How its files are laid out."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Tiles by label, states among them."""
    classified: int = 0
    """How many of its tiles carry a class."""
    tile_hectares: float = 0.0
    """How much ground a tile covers."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the outputs by file name."""
    seconds: float = 0.0
    """How long the work took."""
    warnings: tuple[str, ...] = ()
    """What a person should know of it."""
    radiometry: Mapping[str, Any] = field(default_factory=dict)
    """The radiometry passport."""
    period: str | None = None
    """First and last day of a composite, as ISO 8601 with a slash between; None of a scene."""
    looks: tuple[str, ...] = ()
    """Ids of the scenes that a composite is made of, in order of time."""

    @property
    def mapped(self) -> bool:
        """Whether the scene has results."""
        return self.status is not SceneStatus.REFUSED

    @classmethod
    def described(cls, scene: Scene, status: SceneStatus = SceneStatus.DONE) -> Self:
        """What is known of a scene before its pixels are read."""
        return cls(
            id=scene.id,
            status=status,
            acquired=scene.acquired.isoformat(),
            level=str(scene.level),
            layout=scene.layout,
            warnings=scene.warnings,
            radiometry=asdict(scene.radiometry),
        )

    @classmethod
    def refused(cls, refusal: Refusal) -> Self:
        """A refused input as a line of the run's report."""
        return cls(id=refusal.id, status=SceneStatus.REFUSED, error=refusal.error, reason=printable(refusal.reason))


def write_run(model_folder: Path, facts: Mapping[str, Any], records: Sequence[SceneRecord]) -> None:
    """Writes `run.json`: `facts` of the run, and a record a scene.

    Raises:
        OutputError: the file cannot be written.
    """
    text = json.dumps(
        {**facts, "scenes": [asdict(record) for record in records]}, indent=1, ensure_ascii=False, default=str
    )
    # A lone surrogate in someone's metadata has no UTF-8.
    write_text(model_folder / RUN_REPORT, text.encode("utf-8", "replace").decode() + "\n")


def read_records(model_folder: Path) -> tuple[SceneRecord, ...]:
    """The records of `run.json`; none where there is no such file.

    Raises:
        TileTableError: the file is damaged.
    """
    path = model_folder / RUN_REPORT
    if not path.is_file():
        return ()
    names = {each.name for each in fields(SceneRecord)}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["scenes"]
        return tuple(
            SceneRecord(
                **{name: value for name, value in entry.items() if name in names}
                | {"status": SceneStatus(entry["status"])}
                | {name: tuple(entry.get(name, ())) for name in ("warnings", "looks")}
            )
            for entry in entries
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TileTableError(f"{path}: not a run report ({error}); run the pipeline again") from error
