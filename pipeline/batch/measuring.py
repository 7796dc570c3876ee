"""Measures the main job beside its floor (decoding, inference) and the plain way, each in a fresh process.

With a cover, its bands are decoded and its network's inference counts in the floor.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.batch.executors import cores
from pipeline.batch.loaded import classifier, pixel_classifier
from pipeline.batch.task import ModelChoice
from pipeline.cover import WINDOW_TILES, named
from pipeline.errors import CorruptScene, NotAScene
from pipeline.grid import TileIndex
from pipeline.models import store
from pipeline.models.classifier import TileClassifier
from pipeline.models.input import network_input
from pipeline.results.layout import TABLE, SceneStatus
from pipeline.results.record import SceneRecord
from pipeline.results.table import class_labels, probability_columns, read_table
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.safety.guard import environment, open_raster
from pipeline.scenes.scene import Scene
from pipeline.tiling import Block, blocks, grid_for, patches

# Tiles that are read one by one for the reference: enough to tell 99.5 % from 99 %.
_SAMPLE = 2000
_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Side:
    """What one process used, and its answers."""

    wall: float
    """Seconds on the clock."""
    cpu: float
    """Seconds of all cores."""
    memory: int
    """Largest memory in bytes."""
    answers: npt.NDArray[Any] | None = None
    """Top class of each tile; None where it classified nothing."""
    start: float | None = None
    """Seconds to the first block's reading; None where that means nothing."""


class Networks(NamedTuple):
    """What is measured."""

    tiles: ModelChoice
    """The classifier of tiles."""
    cover: ModelChoice | None = None
    """The network that names every pixel; None for no cover."""


# One side: the scene, the networks, and when its process was asked for (seconds since the epoch).
Work = Callable[[Scene, Networks, float], Side]


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the rounds."""

    tiles: int
    """Tiles of the scene."""
    cores: int
    """Cores that the processes may use."""
    engine: str
    """Name of the fast engine."""
    decode: Side
    """Decoding alone."""
    inference: Side
    """Inference alone."""
    main: Side
    """The main job as `run` does it."""
    plain: Side | None
    """Strips and one large prediction in float32; None where it was left out."""
    agreement: float | None
    """Share (0..1) of tiles with the class that they get when read one by one; None where not asked."""
    agreement_plain: float | None
    """Share (0..1) of tiles with the class that the plain way gives; None without it."""
    cover: Side | None = None
    """The cover's inference alone; None without a cover."""

    @property
    def floor(self) -> float:
        """Seconds that decoding and inference need when every core always works."""
        return (self.decode.cpu + self.inference.cpu + (self.cover.cpu if self.cover else 0.0)) / self.cores

    @property
    def over_floor(self) -> float:
        """The main job's clock over the floor."""
        return self.main.wall / self.floor

    @property
    def cpu_over_floor(self) -> float:
        """The main job's CPU seconds over the floor's: free of other programs' load, blind to idle cores."""
        return self.main.cpu / (self.floor * self.cores)


def bench(
    scene: Scene, networks: Networks, rounds: int = 1, plain: bool = True, stage: Callable[[str], None] = lambda _: None
) -> Figures:
    """Runs every side `rounds` times, interleaved, each in a process of its own.

    Raises:
        PipelineError: the scene or the model cannot be used.
    """
    sides: dict[str, list[Side]] = {}
    works: dict[str, Work] = {"decoding alone": _decode, "inference alone": _infer, "main job": _main}
    if networks.cover is not None:
        works["the cover's inference alone"] = _infer_cover
    if plain:
        works["the plain way"] = _plain
    for _ in range(rounds):
        for name, work in works.items():
            stage(name)
            sides.setdefault(name, []).append(_apart(work, scene, networks))
    reference = None
    if plain:
        stage("reference, tile by tile")
        reference = _apart(_tile_by_tile, scene, networks).answers
    middle = {name: sorted(found, key=lambda side: side.wall)[len(found) // 2] for name, found in sides.items()}
    main, large = middle["main job"], middle.get("the plain way")
    model = networks.tiles
    card = store.card(model.name, model.folder)
    columns, rows = grid_for(card, scene.epsg).covering(scene.bounds)
    return Figures(
        tiles=len(columns) * len(rows),
        cores=cores(),
        engine=store.choose_engine(card, model.engine),
        decode=middle["decoding alone"],
        inference=middle["inference alone"],
        main=main,
        plain=large,
        agreement=_agreement(main.answers, reference),
        agreement_plain=_agreement(main.answers, large.answers if large else None),
        cover=middle.get("the cover's inference alone"),
    )


def _apart(work: Work, scene: Scene, networks: Networks) -> Side:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, scene, networks, time.time()).result()


def _side(began: float, cpu: float, answers: npt.NDArray[Any] | None = None, start: float | None = None) -> Side:
    import resource  # not on Windows

    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Side(time.monotonic() - began, time.process_time() - cpu, memory, answers, start)


def _agreement(found: npt.NDArray[Any] | None, reference: npt.NDArray[Any] | None) -> float | None:
    """Share of equal classes among tiles (col, row, class) that both answered."""
    if found is None or reference is None:
        return None
    known = {(col, row): code for col, row, code in found.tolist()}
    both = [(known[col, row], code) for col, row, code in reference.tolist() if (col, row) in known]
    return sum(one == other for one, other in both) / len(both) if both else None


def _hrefs(scene: Scene, bands: Sequence[str]) -> list[str]:
    quality = [scene.quality.href] if scene.quality is not None else []
    return list(dict.fromkeys([scene.assets[band].href for band in bands] + quality))


def _decode(scene: Scene, networks: Networks, _: float) -> Side:
    """Every needed file once, by whole rows of its own blocks, one after the other."""
    asked = [choice for choice in networks if choice is not None]
    bands = [band for choice in asked for band in store.card(choice.name, choice.folder).input.bands]
    began, cpu = time.monotonic(), time.process_time()
    for href in _hrefs(scene, [band for band in bands if band in scene.assets]):
        with environment(), open_raster(href) as dataset:
            height = -(-_ROWS // dataset.block_shapes[0][0]) * dataset.block_shapes[0][0]
            for top in range(0, dataset.height, height):
                dataset.read(window=((top, min(top + height, dataset.height)), (0, dataset.width)))
    return _side(began, cpu)


def _seen(block: Block, scene: Scene, model: TileClassifier) -> Block:
    return replace(block, pixels=network_input(block.pixels, scene, model.card.input))


def _infer(scene: Scene, networks: Networks, _: float) -> Side:
    """As many patches as the scene has tiles, cut from its middle."""
    loaded = classifier(networks.tiles)
    grid = grid_for(loaded.card, scene.epsg)
    columns, rows = grid.covering(scene.bounds)
    left, bottom, right, top = scene.bounds
    part = replace(scene, bounds=(left, max(bottom, (bottom + top) / 2 - 8 * grid.edge), right, top))
    with closing(blocks(part, grid, loaded.card.input.bands)) as strips:
        for strip in strips:
            cut = patches(_seen(strip, scene, loaded), grid.tile_size).pixels
    loaded.judge(cut[:128])
    left_over = len(columns) * len(rows)
    began, cpu = time.monotonic(), time.process_time()
    while left_over > 0:
        loaded.judge(cut[:left_over])
        left_over -= len(cut)
    return _side(began, cpu)


def _infer_cover(scene: Scene, networks: Networks, _: float) -> Side:
    """As many of the cover's windows as the scene has; what they show plays no part in the time."""
    if networks.cover is None:
        raise ValueError("no cover was asked for")
    loaded = pixel_classifier(networks.cover)
    grid = grid_for(store.card(networks.tiles.name, networks.tiles.folder), scene.epsg)
    columns, rows = grid.covering(scene.bounds)
    sides = [tiles * grid.tile_size + 2 * loaded.halo for tiles in WINDOW_TILES]
    pixels = np.random.default_rng(0).uniform(0.02, 0.4, (*sides, len(loaded.card.input.bands))).astype(np.float32)
    named(loaded, pixels)
    began, cpu = time.monotonic(), time.process_time()
    for _ in range(ceil(len(rows) / WINDOW_TILES[0]) * ceil(len(columns) / WINDOW_TILES[1])):
        named(loaded, pixels)
    return _side(began, cpu)


def _main(scene: Scene, networks: Networks, spawned: float) -> Side:
    """The main job as the command line runs it, into an empty folder."""
    from pipeline.batch.main_job import RunOptions, Watcher, run

    class Starts(Watcher):
        at: float | None = None

        def begin(self, scenes: Sequence[Scene]) -> None:  # noqa: ARG002 - the watcher's signature
            self.at = time.time() - spawned

    began, cpu, watcher = time.monotonic(), time.process_time(), Starts()
    with tempfile.TemporaryDirectory() as place:
        options = RunOptions(Path(place) / "tiles", Path(place) / "maps", networks.tiles, cover=networks.cover)
        report = run([scene], options, watcher=watcher)
        side = _side(began, cpu, start=watcher.at)
        _check(report.records[0])
        table = read_table(report.folder / scene.id / TABLE)
    probabilities = table[probability_columns(class_labels(table.columns))].to_numpy()
    known = table["code"].to_numpy() >= 0  # what the page shows as a class
    index = table.loc[known, ["col", "row"]].to_numpy()
    return replace(side, answers=np.column_stack([index, probabilities[known].argmax(axis=1)]))


def _check(record: SceneRecord) -> None:
    if record.status is SceneStatus.REFUSED:
        raise CorruptScene(f"{record.id}: {record.reason}")
    if record.error is not None:
        raise NotAScene(f"{record.id}: {record.reason}")


def _plain(scene: Scene, networks: Networks, _: float) -> Side:
    """Strips read one after the other, all patches kept, one large `model.predict` of the Keras model in float32."""
    from pipeline.models.engines.keras import load_model

    model = networks.tiles
    place = store.locate(model.name, model.folder)
    loaded, card = load_model(place / "model.keras"), store.card(model.name, model.folder)
    grid = grid_for(card, scene.epsg)
    began, cpu = time.monotonic(), time.process_time()
    columns, rows = grid.covering(scene.bounds)
    kept = []
    with SceneReader(scene, grid.gsd) as reader:
        for top in range(rows.stop, rows.start, -16):
            bottom = max(top - 16, rows.start)
            bounds = (columns.start * grid.edge, bottom * grid.edge, columns.stop * grid.edge, top * grid.edge)
            pixels, valid = reader.read(bounds, card.input.bands)
            seen = network_input(pixels, scene, card.input)
            kept.append(patches(Block(TileIndex(columns.start, top - 1), seen, valid), grid.tile_size))
    probabilities = loaded.predict(np.concatenate([part.pixels for part in kept]), batch_size=64, verbose=0)
    codes = np.asarray(probabilities).argmax(axis=1)
    return _side(began, cpu, answers=np.column_stack([np.concatenate([part.index for part in kept]), codes]))


def _tile_by_tile(scene: Scene, networks: Networks, _: float) -> Side:
    """The reference: tiles drawn at random, each read by its own window, answered by the float32 Keras model."""
    loaded = classifier(replace(networks.tiles, engine="keras"))
    grid = grid_for(loaded.card, scene.epsg)
    columns, rows = grid.covering(scene.bounds)
    rng = np.random.default_rng(0)
    drawn = rng.choice(len(columns) * len(rows), min(_SAMPLE, len(columns) * len(rows)), replace=False)
    began, cpu = time.monotonic(), time.process_time()
    index, cut = [], []
    with SceneReader(scene, grid.gsd) as reader:
        # In order of place, or every tile would decode its file's blocks anew.
        for at in np.sort(drawn).tolist():
            tile = TileIndex(columns.start + at % len(columns), rows.stop - 1 - at // len(columns))
            pixels, valid = reader.read(grid.bounds(tile), loaded.card.input.bands)
            if valid.any():
                index.append(tile)
                cut.append(patches(_seen(Block(tile, pixels, valid), scene, loaded), grid.tile_size).pixels)
    codes = loaded.judge(np.concatenate(cut)).probabilities.argmax(axis=1)
    return _side(began, cpu, answers=np.column_stack([np.array(index), codes]))
