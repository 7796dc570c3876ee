"""What a worker is told: the scene, the model, the options, where results go."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.classify import ClassifyOptions
from pipeline.models import store
from pipeline.results.folder import ResultsFolder
from pipeline.scenes.scene import Scene


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which trained model runs, and how."""

    name: str = "eurosat-resnet50"
    """The model's name."""
    folder: Path = store.FOLDER
    """Where models are stored."""
    engine: str = "auto"
    """What runs it."""
    threads: int | None = None
    """How many threads; None: all cores."""

    @property
    def card_digest(self) -> str:
        """SHA-256 of the model's card."""
        return store.card_digest(self.name, self.folder)


@dataclass(frozen=True, slots=True)
class SceneTask:
    """Everything a worker needs for one scene; small, so that it travels to processes and clusters."""

    scene: Scene = field(repr=False)  # Dask logs tasks that fail, and a scene's addresses may be signed
    """The scene as it was found."""
    model: ModelChoice
    """Which model maps it."""
    results: ResultsFolder
    """Where its results go."""
    classify: ClassifyOptions = field(default_factory=ClassifyOptions)
    """What makes a tile fit to carry a class."""
    keep_chips: bool = False
    """Whether every patch is also written as a georeferenced TIFF."""
    smooth: bool = False
    """Whether labels lean on the neighbours'."""
    force: bool = False
    """Whether a finished scene is mapped again."""
    cover: ModelChoice | None = None
    """Which network names every pixel; None for no cover."""
