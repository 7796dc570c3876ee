"""Whether a scene is done already: a digest of all that decides its outputs, and whether they still lie there whole."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.batch.products import read_bands
from pipeline.batch.products.protocol import Product
from pipeline.batch.task import SceneTask
from pipeline.errors import CorruptScene, OutputError
from pipeline.files import digest, write_text
from pipeline.grid import TileGrid
from pipeline.models.card import ModelCard
from pipeline.results.layout import ITEM, digests_file
from pipeline.scenes.safety.address import RemoteError, base_name, is_remote, probe
from pipeline.scenes.scene import Asset, Scene

# The software's part in what results mean. Raise it with every change of radiometry, of reading or of an output's
# meaning: results of an older version are then made anew.
DATA_VERSION = 2

# The fields of a scene's Item in which the fingerprint stands, and the digest of every output.
FINGERPRINT, CHECKSUM = "atlas:fingerprint", "file:checksum"
# What a multihash of SHA-256 begins with.
SHA256 = "1220"


def fingerprint(task: SceneTask, card: ModelCard, grid: TileGrid, products: Mapping[str, Product]) -> str:
    """A digest of all that decides a scene's outputs: input bytes, reading, model, grid, products, software.

    File times and folder names are left out: a copied scene gives the same answer. A file at an address counts by the
    mark that its server gives.

    Raises:
        CorruptScene: a file at an address cannot be looked at.
        OSError: a file cannot be read.
    """
    scene, bands = task.scene, read_bands(card, products)
    files = sorted(input_files(scene, bands))
    digests = known_digests(files, digests_file(task.results.path, scene.id))
    facts = {
        "data version": DATA_VERSION,
        "files": sorted(
            [(path.name, path.stat().st_size, mark) for path, mark in zip(files, digests, strict=True)]
            + _marks(scene, bands)
        ),
        "reading": _reading(scene),
        "model": [asdict(card), task.model.engine],
        "grid": asdict(grid),
        "options": [asdict(task.classify), task.smooth],
        "products": {name: product.identity for name, product in products.items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def finished(folder: Path, expected: str) -> dict[str, str] | None:
    """Digests of the outputs in `folder` when they carry this fingerprint and are whole, else None."""
    try:
        item = json.loads((folder / ITEM).read_text(encoding="utf-8"))
        if item["properties"][FINGERPRINT] != expected:
            return None
        stored = {Path(asset["href"]).name: asset[CHECKSUM].removeprefix(SHA256) for asset in item["assets"].values()}
        if any(digest(folder / name) != checksum for name, checksum in stored.items()):
            return None
        return {**stored, ITEM: digest(folder / ITEM)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def sources(scene: Scene, bands: Sequence[str]) -> list[str]:
    """The names of all files that decide a scene's results."""
    return sorted(
        [path.name for path in input_files(scene, bands)] + [base_name(href) for href in _addresses(scene, bands)]
    )


def _reading(scene: Scene) -> list[Any]:
    return [
        scene.id,
        scene.acquired.isoformat(),
        scene.level,
        scene.epsg,
        scene.bounds,
        {band: _asset(asset) for band, asset in sorted(scene.assets.items())},
        _asset(scene.quality) if scene.quality else None,
        dict(scene.radiometry.offsets),
        scene.warnings,
        [_reading(overlay) for overlay in scene.overlays],
    ]


def _asset(asset: Asset) -> list[Any]:
    return [base_name(asset.href), asset.index, asset.scale, asset.offset, asset.nodata, asset.flags]


def _read(scene: Scene, bands: Sequence[str]) -> set[str]:
    """What is read of a scene: the bands that the model or a product takes, and the quality layer."""
    quality = {scene.quality.href} if scene.quality else set()
    return {asset.href for band, asset in scene.assets.items() if band in bands} | quality


def input_files(scene: Scene, bands: Sequence[str]) -> set[Path]:
    """The files that decide a scene's results: all but those of bands that nothing reads."""
    read = _read(scene, bands)
    idle = {Path(asset.href) for asset in scene.assets.values() if asset.href not in read}
    on_disk = {Path(href) for href in read if not is_remote(href)}
    kept = {path for path in scene.files if path not in idle} | {path for path in on_disk if path.is_file()}
    return kept.union(*(input_files(overlay, bands) for overlay in scene.overlays))


def _addresses(scene: Scene, bands: Sequence[str]) -> set[str]:
    """The files at addresses that decide a scene's results."""
    here = {href for href in _read(scene, bands) if is_remote(href)}
    return here.union(*(_addresses(overlay, bands) for overlay in scene.overlays))


def _marks(scene: Scene, bands: Sequence[str]) -> list[tuple[str, int, str]]:
    """Name, size and mark of every file at an address, as its server tells them now."""
    found = []
    for href in sorted(_addresses(scene, bands)):
        try:
            remote = probe(href)
        except RemoteError as error:
            raise CorruptScene(
                f"{base_name(href)}: cannot be read at its address ({error}); run again, or download the file"
            ) from error
        if remote is None:
            raise CorruptScene(f"{base_name(href)}: its server gives no parts of it any more; download the file")
        found.append((base_name(href), remote.size, remote.mark))
    return found


def known_digests(paths: Sequence[Path], memory: Path) -> list[str]:
    """SHA-256 of each file; what the JSON file `memory` holds for a file of the same size and time is taken from there.

    Raises:
        OSError: a file cannot be read.
    """
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}

    def look(path: Path) -> list[Any]:
        status = path.stat()
        entry = known.get(str(path))
        if isinstance(entry, list) and entry[:2] == [status.st_size, status.st_mtime_ns]:
            return entry
        return [status.st_size, status.st_mtime_ns, digest(path)]

    found = {str(path): look(path) for path in paths}
    if found != known:
        with suppress(OutputError):  # only a saving of time
            write_text(memory, json.dumps(found))
    return [str(found[str(path)][2]) for path in paths]
