"""The tiles' own pictures as sheets of WebP, as many as a budget allows, the most telling first."""

import base64
import io
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from PIL import Image
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from pipeline.atlas.collect import CHANGE_STATES, SceneTiles
from pipeline.atlas.imagery import shown_by
from pipeline.atlas.payload import COUNTED_ELSEWHERE, MAX_CLASSES, Layer, Payload
from pipeline.atlas.rights import sensor_of
from pipeline.errors import TileTableError
from pipeline.results.layout import ChangeState

# Pixels of a chip at most; tiles of more pixels are shown smaller.
EDGE = 64
COLUMNS = 16
QUALITY = 50
CHOICES = ("auto", "none", "changed", "all")
_CHANGED, _UNDECIDED = (CHANGE_STATES.index(state) for state in (ChangeState.CHANGED, ChangeState.UNDECIDED))


@dataclass(frozen=True, slots=True)
class ChipSheets:
    """Sheets of `COLUMNS` x `COLUMNS` chips, row by row."""

    sheets: tuple[bytes, ...]
    """Pictures."""
    keys: npt.NDArray[np.uint32]
    """What each chip shows (n,): date * tiles + tile."""
    edge: int = EDGE
    """Pixels along a chip's side."""

    def packed_keys(self) -> str:
        """The keys as base64 of zlib of little-endian 32-bit numbers."""
        return base64.b64encode(zlib.compress(self.keys.astype("<u4").tobytes(), 9)).decode("ascii")

    def describe(self, elements: Sequence[str]) -> dict[str, Any]:
        """What the page must know to find a chip."""
        return {"edge": self.edge, "columns": COLUMNS, "sheets": list(elements)}


def chip_sheets(payload: Payload, scenes: Sequence[SceneTiles], choice: str, budget: int) -> ChipSheets:
    """Packs chips: `auto` until `budget` bytes are full, `changed` those that changed or may have, or `all`.

    Raises:
        TileTableError: a scene's true-colour raster is damaged.
    """
    if choice == "none" or not any(scene.truecolour for scene in scenes):
        return ChipSheets((), np.zeros(0, np.uint32))
    wanted, edge = _wanted(payload, choice), min(EDGE, payload.planes[0].grid.tile_size)
    sheets: list[bytes] = []
    keys: list[npt.NDArray[np.uint32]] = []
    spent = 0
    with ExitStack() as stack:
        sources = _Sources(stack, scenes, payload)
        for chunk, sheet in stack.enter_context(closing(_sheets(wanted, sources, edge))):
            spent += len(sheet) * 4 // 3
            if choice == "auto" and spent > budget:
                break
            sheets.append(sheet)
            keys.append(chunk)
    return ChipSheets(tuple(sheets), np.concatenate(keys) if keys else np.zeros(0, np.uint32), edge)


def _sheets(
    wanted: npt.NDArray[np.uint32], sources: "_Sources", edge: int
) -> Generator[tuple[npt.NDArray[np.uint32], bytes], None, None]:
    """Sheets in order with their keys; while some are encoded, the chips of the next are read."""
    under_way: deque[tuple[npt.NDArray[np.uint32], Future[bytes]]] = deque()
    with ThreadPoolExecutor(2, thread_name_prefix="sheets") as encoders:
        for chunk in _chunks(wanted, sources):
            chips = [sources.chip(key, edge) for key in chunk.tolist()]
            under_way.append((chunk, encoders.submit(_sheet, chips, edge)))
            if len(under_way) > 2:
                keys, sheet = under_way.popleft()
                yield keys, sheet.result()
        for keys, sheet in under_way:
            yield keys, sheet.result()


def _wanted(payload: Payload, choice: str) -> npt.NDArray[np.uint32]:
    """Keys of the chips to pack, whole tiles (all dates) at a time.

    Changed first, then undecided, then the least sure.
    """
    size, offsets = payload.size, payload.offsets
    rank = np.full(size, 3, np.uint8)
    sureness = np.full(size, 255, np.uint8)
    present = np.zeros((len(payload.dates), size), bool)
    previous = np.full(size, MAX_CLASSES, np.uint8)
    for layer in payload.layers:  # in order of date
        at = slice(offsets[layer.plane], offsets[layer.plane] + layer.classes.size)
        classes, confidence = layer.classes.ravel(), layer.confidence.ravel() & (COUNTED_ELSEWHERE - 1)
        known = classes < MAX_CLASSES
        present[layer.date, at] = layer.valid.ravel() > 0
        sureness[at] = np.where(known, np.minimum(sureness[at], confidence), sureness[at])
        differs = known & (previous[at] < MAX_CLASSES) & (previous[at] != classes)
        rank[at] = np.where(differs, np.minimum(rank[at], 2), rank[at])
        previous[at] = np.where(known, classes, previous[at])
    for pair in payload.pairs:
        at = slice(offsets[pair.plane], offsets[pair.plane] + pair.state.size)
        state = pair.state.ravel()
        rank[at] = np.where(
            state == _CHANGED,
            0,
            np.where(state == _UNDECIDED, np.minimum(rank[at], 1), rank[at]),
        )
    tiles = np.flatnonzero(present.any(axis=0))
    if choice == "changed":
        tiles = tiles[rank[tiles] < 3]
    tiles = tiles[np.lexsort((tiles, sureness[tiles], rank[tiles]))]
    date, order = np.nonzero(present[:, tiles])
    by_tile = np.lexsort((date, order))
    return np.asarray(date[by_tile] * size + tiles[order[by_tile]], dtype=np.uint32)


class _Sources:
    """Where each chip is read: the owner's true-colour raster, one block a tile."""

    def __init__(self, stack: ExitStack, scenes: Sequence[SceneTiles], payload: Payload) -> None:
        self._stack, self._scenes, self._payload = stack, scenes, payload
        self._open: dict[int, tuple[Any, int, int]] = {}
        self._offsets, self._size = payload.offsets, payload.size
        self._shown = [shown_by(sensor_of(scene.metadata.get("model", {}))) for scene in scenes]
        self._layers: dict[tuple[int, int], Layer] = {(layer.date, layer.plane): layer for layer in payload.layers}

    def locate(self, key: int) -> tuple[int, int, int]:
        """Scene position, column and row of the grid."""
        date, tile = divmod(key, self._size)
        number = bisect_right(self._offsets, tile) - 1
        plane, layer = self._payload.planes[number], self._layers[date, number]
        row, col = divmod(tile - self._offsets[number], plane.cols)
        return layer.scenes[int(layer.scene[row, col])], plane.first_col + col, plane.top_row - row

    def has(self, key: int) -> bool:
        """Whether the tile's owner kept a true-colour raster."""
        return self._scenes[self.locate(key)[0]].truecolour is not None

    def chip(self, key: int, edge: int) -> npt.NDArray[np.uint8]:
        """The picture as it is shown (edge, edge, 3)."""
        number, col, row = self.locate(key)
        path = self._scenes[number].truecolour
        try:
            if number not in self._open:
                source = self._stack.enter_context(rasterio.open(path, driver="GTiff"))
                metres = self._scenes[number].grid.edge
                corner = round(source.transform.c / metres), round(source.transform.f / metres) - 1
                self._open[number] = (source, *corner)
            source, first_col, top_row = self._open[number]
            size = self._scenes[number].grid.tile_size
            window = Window((col - first_col) * size, (top_row - row) * size, size, size)
            pixels = source.read(window=window, out_shape=(source.count, edge, edge), resampling=Resampling.average)
        except (RasterioError, OSError) as error:
            raise TileTableError(
                f"{path}: cannot be read ({error}); run the pipeline on its scene again or choose --chips none"
            ) from error
        return self._shown[number](pixels).transpose(1, 2, 0)


def _chunks(wanted: npt.NDArray[np.uint32], sources: _Sources) -> Iterator[npt.NDArray[np.uint32]]:
    """The wanted keys that have a picture, one sheet at a time."""
    waiting: list[int] = []
    for key in wanted.tolist():
        if sources.has(key):
            waiting.append(key)
            if len(waiting) == COLUMNS**2:
                yield np.array(waiting, np.uint32)
                waiting = []
    if waiting:
        yield np.array(waiting, np.uint32)


def _sheet(chips: list[npt.NDArray[np.uint8]], edge: int) -> bytes:
    rows = -(-len(chips) // COLUMNS)
    canvas = np.zeros((rows * edge, COLUMNS * edge, 3), np.uint8)
    for at, chip in enumerate(chips):
        row, col = divmod(at, COLUMNS)
        canvas[row * edge : (row + 1) * edge, col * edge : (col + 1) * edge] = chip
    stream = io.BytesIO()
    Image.fromarray(canvas).save(stream, "WEBP", quality=QUALITY, method=2)
    return stream.getvalue()
