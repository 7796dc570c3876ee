"""The heart: a scene's patches through the classifier into a tile table."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import geopandas as gpd
import numpy as np
import numpy.typing as npt

from pipeline.bands import SENTINEL_2
from pipeline.errors import ModelError
from pipeline.grid import TileGrid
from pipeline.legend import TileState
from pipeline.models.card import ModelCard
from pipeline.models.classifier import TileClassifier
from pipeline.models.input import network_input
from pipeline.results.table import TileAnswers, tile_table
from pipeline.scenes.scene import Scene
from pipeline.tiling import Block, Patches, blocks, grid_for, patches, tile_fraction

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """What makes a tile fit to carry a class; all are shares of its pixels, 0..1."""

    min_valid: float = 0.5
    """At least so much is measured."""
    max_cloud: float = 0.35
    """At most so much is cloud or its shadow."""
    max_snow: float = 0.5
    """At most so much is snow or ice."""


class ClassifiedBlock(NamedTuple):
    """A block, and the answers for its tiles."""

    block: Block
    """The block as the network saw it: `pixels` hold codes or reflectance."""
    answers: TileAnswers
    """What the classifier said of its tiles."""
    stored: Block | None = None
    """The block with the stored numbers of the bands that were wanted besides, None where none was."""


class _Prepared(NamedTuple):
    """A block as network input, cut into patches; cloud and snow are shares of each tile's valid pixels."""

    block: Block
    tiles: Patches
    cloud: npt.NDArray[np.float32]
    snow: npt.NDArray[np.float32]
    stored: Block | None = None


def _fraction(
    block: Block, classes: tuple[int, ...], size: int, valid_fraction: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Share of each tile's valid pixels that the scene classification puts into `classes`; NaN without that layer."""
    if block.quality is None:
        return np.full(len(valid_fraction), np.nan, np.float32)
    among = np.zeros(256, np.bool_)
    among[list(classes)] = True
    marked = tile_fraction(among[block.quality] & block.valid, size)
    return np.divide(marked, valid_fraction, out=np.zeros_like(marked), where=valid_fraction > 0)


def _prepare(block: Block, size: int) -> _Prepared:
    tiles = patches(block, size)
    cloud, snow = (
        _fraction(block, classes, size, tiles.valid_fraction) for classes in (SENTINEL_2.cloud, SENTINEL_2.snow)
    )
    return _Prepared(block, tiles, cloud, snow)


def _answer(prepared: _Prepared, classifier: TileClassifier, options: ClassifyOptions) -> TileAnswers:
    tiles, cloud, snow = prepared.tiles, prepared.cloud, prepared.snow
    codes = np.full(len(tiles.index), TileState.NO_DATA, np.int8)
    enough = tiles.valid_fraction >= max(options.min_valid, 1e-9)
    cloudy = enough & (cloud > options.max_cloud)
    codes[cloudy] = TileState.CLOUD
    probabilities = np.full((len(codes), len(classifier.card.legend.classes)), np.nan, np.float32)
    asked = np.flatnonzero(enough & ~cloudy)
    if len(asked):
        answer = classifier.judge(tiles.pixels if len(asked) == len(codes) else tiles.pixels[asked])
        probabilities[asked] = answer.probabilities
        refused = answer.unfamiliar | (snow[asked] > options.max_snow)
        codes[asked] = np.where(refused, TileState.UNCLASSIFIED, answer.probabilities.argmax(axis=1))
    return TileAnswers(tiles.index, codes, probabilities, tiles.valid_fraction, cloud)


def classify_block(block: Block, classifier: TileClassifier, options: ClassifyOptions) -> TileAnswers:
    """States and calibrated probabilities of a block whose pixels are already network input."""
    return _answer(_prepare(block, classifier.card.input.size), classifier, options)


def _prepared_blocks(
    scene: Scene, card: ModelCard, grid: TileGrid, wanted: Sequence[str]
) -> Generator[_Prepared, None, None]:
    if grid != grid_for(card, scene.epsg):
        raise ModelError(f"{card.name}: its patches are not the tiles of {grid}; use the grid of tiling.grid_for")
    every = tuple(dict.fromkeys((*card.input.bands, *wanted)))
    for block in blocks(scene, grid, every):
        stored = replace(block, pixels=block.pixels[[every.index(band) for band in wanted]]) if wanted else None
        taken = block.pixels[: len(card.input.bands)]
        block = replace(block, pixels=network_input(taken, scene, card.input))  # lets the stored numbers go
        del taken
        yield _prepare(block, card.input.size)._replace(stored=stored)


def classified_blocks(
    scene: Scene, classifier: TileClassifier, grid: TileGrid, options: ClassifyOptions, wanted: Sequence[str] = ()
) -> Iterator[ClassifiedBlock]:
    """The scene's blocks as network input with their answers, and the stored numbers of `wanted` bands.

    They come from north to south. While the classifier works on two blocks, so that its cores need not wait for the
    last patches of one, the next is cut and encoded.
    """
    under_way: deque[tuple[_Prepared, Future[TileAnswers]]] = deque()
    with (
        ThreadPoolExecutor(2, thread_name_prefix="classify") as threads,
        closing(ahead(_prepared_blocks(scene, classifier.card, grid, wanted))) as waiting,
    ):
        for prepared in waiting:
            under_way.append((prepared, threads.submit(_answer, prepared, classifier, options)))
            if len(under_way) == 2:
                yield _classified(*under_way.popleft())
        while under_way:
            yield _classified(*under_way.popleft())


def _classified(prepared: _Prepared, answers: Future[TileAnswers]) -> ClassifiedBlock:
    return ClassifiedBlock(prepared.block, answers.result(), prepared.stored)


def ahead(items: Generator[Item, None, None], count: int = 1) -> Generator[Item, None, None]:
    """The same items, made by another thread up to `count` ahead of the consumer."""
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="prepare") as thread:
            waiting = deque(thread.submit(next, items, None) for _ in range(count))
            while (item := waiting.popleft().result()) is not None:
                waiting.append(thread.submit(next, items, None))
                yield item
    finally:
        items.close()


def gather(parts: list[TileAnswers]) -> TileAnswers:
    """The answers of several blocks as one."""
    return TileAnswers(*(np.concatenate([getattr(part, name) for part in parts]) for name in TileAnswers.__slots__))


def classify_scene(
    scene: Scene,
    classifier: TileClassifier,
    grid: TileGrid,
    options: ClassifyOptions = ClassifyOptions(),
    watch: Callable[[ClassifiedBlock], Any] | None = None,
    wanted: Sequence[str] = (),
) -> gpd.GeoDataFrame:
    """The tile table of a scene; `watch` sees each block as it passes, for products and progress.

    With `wanted` bands, which may be the model's own, it sees their stored numbers too; a tile then is valid where
    these were measured as well.

    Raises:
        PipelineError: the scene's files are damaged.
    """
    parts = []
    for classified in classified_blocks(scene, classifier, grid, options, wanted):
        parts.append(classified.answers)
        if watch is not None:
            watch(classified)
    return tile_table(gather(parts), grid, classifier.card.legend, scene.id, scene.acquired)
