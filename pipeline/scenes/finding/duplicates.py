"""Several products of one place and moment: halves are merged, duplicates and older makings step back."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import shapely

from pipeline.errors import SupersededScene
from pipeline.scenes.offsets import baseline_pair
from pipeline.scenes.scene import Level, Refusal, Scene

_NEVER = datetime(1, 1, 1, tzinfo=UTC)


def settle(results: Iterable[Scene | Refusal]) -> list[Scene | Refusal]:
    """The same results with one scene for each pass over a granule.

    Of one pass, L1C comes before L2A (the models are trained on L1C pixels); of one datastrip, the newest baseline and
    making; two datastrips are complementary parts of one picture (a second downlink), merged by validity.
    """
    passes: dict[tuple[str, datetime, str], list[Scene]] = defaultdict(list)
    settled: list[Scene | Refusal] = []
    for result in results:
        if isinstance(result, Scene) and result.seen is not None:
            passes[result.seen.platform, result.seen.start, result.seen.granule].append(result)
        else:
            settled.append(result)
    for group in passes.values():
        level = Level.L1C if any(scene.level is Level.L1C for scene in group) else group[0].level
        strips: dict[str, Scene] = {}
        for scene in sorted((scene for scene in group if scene.level is level), key=_rank):
            strips[_strip(scene)] = scene
        parts = sorted(strips.values(), key=_rank, reverse=True)
        settled.append(_merged(parts))
        kept = {id(part) for part in parts}
        settled += [
            _stepped_back(scene, strips.get(_strip(scene), parts[0])) for scene in group if id(scene) not in kept
        ]
    return settled


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
