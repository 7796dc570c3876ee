"""Several products of one place and moment: halves are merged, duplicates and older makings step back."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import shapely

from pipeline.errors import SupersededScene
from pipeline.scenes.offsets import baseline_pair
from pipeline.scenes.safety.guard import is_zipped, split_zip
from pipeline.scenes.scene import UNMASKED, Level, Refusal, Scene

_NEVER = datetime(1, 1, 1, tzinfo=UTC)


def settle(results: Iterable[Scene | Refusal]) -> list[Scene | Refusal]:
    """The same results with one scene for each pass over a place.

    Of one pass, L1C comes before L2A (the models are trained on L1C pixels) and takes its cloud mask; of one datastrip,
    the newest baseline and making; two datastrips are complementary parts of one picture (a second downlink), merged by
    validity. Crops of one granule that do not cover each other are scenes of their own.
    """
    passes: dict[tuple[str, datetime, str], list[Scene]] = defaultdict(list)
    settled: list[Scene | Refusal] = []
    for result in results:
        if isinstance(result, Scene) and result.seen is not None:
            passes[result.seen.platform, result.seen.start, result.seen.granule].append(result)
        else:
            settled.append(result)
    for group in passes.values():
        for place in _places(group):
            settled += _one_of(place)
    return settled


def _places(group: list[Scene]) -> list[list[Scene]]:
    """Scenes of one pass by place: each with those that it covers, the preferred ones first."""
    places: list[list[Scene]] = []
    for scene in sorted(group, key=lambda scene: (scene.level is Level.L1C, _rank(scene)), reverse=True):
        place = next((place for place in places if _covers(place[0], scene)), None)
        if place is None:
            places.append([scene])
        else:
            place.append(scene)
    return places


def _covers(scene: Scene, other: Scene) -> bool:
    """Whether a scene covers another but for a rim of a hundredth of its area."""
    inside = shapely.box(*scene.bounds).intersection(shapely.box(*other.bounds))
    return scene.epsg == other.epsg and bool(inside.area >= 0.99 * shapely.box(*other.bounds).area)


def _one_of(group: list[Scene]) -> list[Scene | Refusal]:
    """The scene of a place and pass, and what steps back for it."""
    level = Level.L1C if any(scene.level is Level.L1C for scene in group) else group[0].level
    strips: dict[str, Scene] = {}
    for scene in sorted((scene for scene in group if scene.level is level), key=_rank):
        strips[_strip(scene)] = scene
    parts = sorted(strips.values(), key=_rank, reverse=True)
    kept = {id(part) for part in parts}
    others = [scene for scene in group if id(scene) not in kept]
    merged = _merged([_masked(part, others) for part in parts])
    return [merged, *(_stepped_back(scene, strips.get(_strip(scene), parts[0])) for scene in others)]


def _masked(scene: Scene, others: list[Scene]) -> Scene:
    """A scene without a cloud mask with that of the other level of the same pass."""
    masked = [
        other
        for other in others
        if other.quality and (_strip(other) == _strip(scene)) and other.level is not scene.level
    ]
    if scene.quality is not None or not masked:
        return scene
    other = max(masked, key=_rank)
    kept = tuple(text for text in scene.warnings if text != UNMASKED)
    return replace(
        scene,
        quality=other.quality,
        files=tuple(sorted({*scene.files, *_files_of(other)})),
        warnings=(*kept, f"its cloud mask is that of the {other.level} product of the same pass: {source(other)}"),
    )


def _files_of(scene: Scene) -> list[Path]:
    """The file on the disk that holds a scene's classification."""
    href = scene.quality.href if scene.quality else ""
    path = Path(split_zip(href)[0] if is_zipped(href) else href)
    return [path] if path in scene.files else []


def _strip(scene: Scene) -> str:
    return scene.seen.strip if scene.seen else ""


def _rank(scene: Scene) -> tuple[tuple[int, int], datetime, str]:
    """Older first; of equals, the one that sorts last by its inputs' names is as good as any and always the same."""
    made = scene.seen.generated if scene.seen and scene.seen.generated else _NEVER
    return baseline_pair(scene.radiometry.baseline), made, "|".join(path.name for path in scene.files)


def _merged(parts: list[Scene]) -> Scene:
    first, *others = parts
    if not others:
        return first
    names = ", ".join(source(other) for other in others)
    return replace(
        first,
        overlays=tuple(others),
        footprint=shapely.union_all([part.footprint for part in parts]),
        warnings=(*first.warnings, f"complementary product of the same pass merged in: {names}"),
    )


def _stepped_back(scene: Scene, winner: Scene) -> Refusal:
    if scene.level is not winner.level:
        why = f"{winner.level} of the same pass is used (a map holds one level only): {source(winner)}"
    elif _rank(scene)[:2] == _rank(winner)[:2]:
        why = f"a duplicate of {source(winner)}, which is used"
    else:
        why = (
            f"baseline {winner.radiometry.baseline} of the same pass is used instead of "
            f"{scene.radiometry.baseline}: {source(winner)}"
        )
    path = scene.files[0] if scene.files else None
    return Refusal(
        scene.id, SupersededScene.__name__, f"{source(scene)}: {why}; remove one of the two to choose otherwise", path
    )


def source(scene: Scene) -> str:
    """The name of the product that a scene was read from, as a person knows it."""
    for path in scene.files:
        for part in reversed(path.parts):
            if part.upper().endswith((".SAFE", ".ZIP")):
                return part
    return scene.files[0].parent.name if scene.files else scene.id
