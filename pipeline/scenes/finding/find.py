"""Finds every scene below a folder, each once, without reading pixels."""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from pipeline.errors import CorruptScene, NotAScene, PipelineError, UnsafeInput
from pipeline.scenes.finding import bandfiles, raster, safe, stac
from pipeline.scenes.finding.duplicates import settle
from pipeline.scenes.finding.listing import Files, archive_files, folder_files
from pipeline.scenes.finding.names import safe_id
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import ReadOptions, Refusal, Scene

log = logging.getLogger(__name__)

# A STAC Item of a Sentinel-2 product has about 50 kB; larger JSON files are something else.
_MAX_ITEM_BYTES = 4 << 20
# Parts of products that look like rasters and are no scenes.
_PRODUCT_PARTS = ("GRANULE", "DATASTRIP", "AUX_DATA", "HTML", "rep_info")
_SIDE_FOLDERS = {"QI_DATA", "AUX_DATA", "HTML", "DATASTRIP", "rep_info", "qi", "auxiliary", "preview", "thumbnail"}


def find_scenes(folder: Path, options: ReadOptions = ReadOptions()) -> Iterator[Scene | Refusal]:
    """Every scene below a folder, or in one file, and a refusal for each that cannot be read.

    Scenes come by date and id. A Refusal with error `NotAScene` is a stray file, not a lost scene.

    Raises:
        NotAScene: the path is missing, or nothing in it is a scene.
    """
    if not folder.exists():
        raise NotAScene(f"{folder}: no such file or folder; check the path")
    results = settle(_search(folder.absolute(), options))
    if not results:
        raise NotAScene(
            f"{folder}: no Sentinel-2 scene in it; give a folder with products (.SAFE, .zip), band files or GeoTIFFs"
        )
    yield from _unique(sorted(results, key=_order))


def _search(path: Path, options: ReadOptions) -> Iterator[Scene | Refusal]:
    if path.is_file():
        if path.suffix.lower() == ".zip":
            yield from _archive(path, options)
        elif path.suffix.lower() in (".json", ".geojson") or path.name.startswith("MTD_"):
            yield from _folder(folder_files(path.parent, options.remote), options)
        else:
            files = Files(path.parent, {path.name: path.stat().st_size})
            yield from _rasters([path.name], files, options)
        return
    files = folder_files(path, options.remote)
    for name in files.strays:
        shown = guard.printable(f"{path.name}/{name}")
        yield _refusal(
            UnsafeInput(
                f"{shown}: a link that leads out of the folder is not followed; copy its target in, or give the "
                f"target itself"
            ),
            name,
            files,
        )
    yield from _folder(files, options)


def _folder(files: Files, options: ReadOptions) -> Iterator[Scene | Refusal]:
    """Scenes in a tree: products first, then STAC Items, then whatever rasters no one claimed."""
    left = set(files.sizes)
    products: set[str] = set()
    for xml in sorted(name for name in left if safe.PRODUCT_XML.match(PurePosixPath(name).name)):
        home = _parent(xml)
        if xml not in left:
            continue
        left -= _beside(files, home)
        left.difference_update(*(files.names_below(f"{home}/{part}".strip("/")) for part in _PRODUCT_PARTS))
        products.add(_product_name(PurePosixPath(home).name or (files.archive or files.root).name))
        yield from _product(files, xml, options)
    yield from _items(files, left, products, options)
    for xml in sorted(name for name in left if safe.GRANULE_XML.match(PurePosixPath(name).name)):
        home = _parent(xml)
        granule = files.below(home)
        if xml not in left or not any(name.lower().endswith(guard.RASTER_SUFFIXES) for name in granule.sizes):
            continue
        left.difference_update(files.names_below(home))
        yield from _granule(granule, home or xml, options)
    for name in sorted(name for name in left if name.lower().endswith(".zip")):
        if files.archive is not None:
            shown = guard.printable(f"{files.archive.name}/{name}")
            yield _refusal(UnsafeInput(f"{shown}: a zip inside a zip is not opened; unpack it yourself"), name, files)
            continue
        yield from _archive(files.root / name, options)
    yield from _rasters(
        [name for name in sorted(left) if name.lower().endswith(guard.RASTER_SUFFIXES) and not _side(name)],
        files,
        options,
    )


def _items(files: Files, left: set[str], products: set[str], options: ReadOptions) -> Iterator[Scene | Refusal]:
    """Scenes by STAC Items; takes the files that they claim from those that are `left`."""
    granules: dict[str, set[str]] = defaultdict(set)
    for name in left:
        if safe.GRANULE_XML.match(PurePosixPath(name).name):
            granules[_parent(name)].add(name)
    for name in sorted(name for name in left if name.lower().endswith((".json", ".geojson"))):
        if files.sizes[name] > _MAX_ITEM_BYTES or _side(name):
            continue
        where = guard.printable(f"{files.root.name}/{name}")
        try:
            with _unexpected(where):
                item = stac.read_item(files.read(name), where)
                if item is None:
                    continue
                claimed = set(stac.item_files(item, name, files).values())
                named = {_product_name(told) for told in stac.product_names(item)}
        except PipelineError as error:
            yield _refusal(error, name, files)
            continue
        if (claimed and not claimed & left) or named & products:
            left -= claimed
            continue  # it describes a product that was found already
        left -= claimed | granules.get(_parent(name), set())
        if not any(key.startswith("atlas:") for key in item["properties"]):  # the pipeline's own results are no inputs
            yield from _attempt(partial(stac.item_scene, item, name, files, options), name, files)


def _product_name(text: str) -> str:
    """A product's name without what its packing adds."""
    return re.sub(r"(?:\.SAFE)?(?: ?\(\d+\))?(?:\.zip)?$", "", PurePosixPath(text).name, flags=re.IGNORECASE)


def _product(files: Files, xml: str, options: ReadOptions) -> Iterator[Scene | Refusal]:
    home = _parent(xml)
    where = guard.printable(PurePosixPath(home).name or (files.archive or files.root).name)
    try:
        with _unexpected(where):
            product, granules = safe.read_product(files, xml, where)
    except PipelineError as error:
        yield _refusal(error, home or where, files)
        return
    for granule in granules:
        yield from _attempt(
            partial(safe.granule_scene, granule, product, (files, xml), options, where), home or where, files
        )


def _granule(granule: Files, name: str, options: ReadOptions) -> Iterator[Scene | Refusal]:
    where = guard.printable(granule.root.name)

    def read() -> Scene:
        product, source = None, None
        if safe.BESIDE_GRANULE in granule.sizes:
            source = granule, safe.BESIDE_GRANULE
            product, _ = safe.read_product(granule, safe.BESIDE_GRANULE, where)
        return safe.granule_scene(granule, product, source, options, where)

    yield from _attempt(read, name, granule)


def _archive(path: Path, options: ReadOptions) -> Iterator[Scene | Refusal]:
    try:
        members = archive_files(path)
    except PipelineError as error:
        yield _refusal(error, path.name, Files(path.parent, {}))
        return
    found = False
    for result in _folder(members, options):
        found = True
        yield result
    if not found:
        yield _refusal(
            NotAScene(f"{guard.printable(path.name)}: holds no Sentinel-2 product; remove it"),
            path.name,
            Files(path.parent, {}),
        )


def _rasters(names: list[str], files: Files, options: ReadOptions) -> Iterator[Scene | Refusal]:
    good = []
    for name in names:
        try:
            guard.sniff(guard.read_head(files.href(name)), guard.printable(name))
            good.append(name)
        except PipelineError as error:
            yield _refusal(error, name, files)
        except guard.READ_ERRORS as error:
            shown = guard.printable(name)
            yield _refusal(
                CorruptScene(
                    f"{shown}: does not read ({guard.one_line(error)}); check its permissions or get it again"
                ),
                name,
                files,
            )
    claimed: set[str] = set()
    for (home, stem), group in sorted(bandfiles.groups(good).items()):
        claimed |= group.members
        yield from _attempt(
            partial(bandfiles.bandfiles_scene, home, stem, group.bands, files, options), f"{home}/{stem}", files
        )
    for name in good:
        if name in claimed:
            continue
        try:
            with _unexpected(guard.printable(name)):
                scene = raster.raster_scene(name, files, options)
        except NotAScene as error:
            log.debug("%s", error)
        except PipelineError as error:
            yield _refusal(error, name, files)
        else:
            yield scene


def _attempt(read: Callable[[], Scene], name: str, files: Files) -> Iterator[Scene | Refusal]:
    try:
        with _unexpected(guard.printable(f"{files.root.name}/{name}")):
            scene = read()
    except PipelineError as error:
        yield _refusal(error, name, files)
        return
    yield scene


@contextmanager
def _unexpected(where: str) -> Iterator[None]:
    """Makes whatever goes wrong within the refusal of one scene: none may cost the others.

    Raises:
        CorruptScene: something did that no one thought of.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        log.debug("%s", where, exc_info=True)
        raise CorruptScene(
            f"{where}: cannot be understood ({type(error).__name__}: {guard.one_line(error)}); check its metadata, or "
            f"download it again"
        ) from error


def _refusal(error: PipelineError, name: str, files: Files) -> Refusal:
    source = files.archive or files.root / name
    return Refusal(safe_id(PurePosixPath(name).stem), type(error).__name__, str(error), source)


def _order(result: Scene | Refusal) -> tuple[bool, str, str, str]:
    """Scenes by date and id, then refusals by id: the same whatever the folders are called."""
    if isinstance(result, Scene):
        return False, result.acquired.isoformat(), result.id, "|".join(path.name for path in result.files)
    return True, "", result.id, result.reason


def _unique(results: Iterable[Scene | Refusal]) -> Iterator[Scene | Refusal]:
    """Ids that are taken get a number; so do those that differ only in case, which some disks do not tell apart."""
    taken: set[str] = set()
    numbers: Counter[str] = Counter()
    for result in results:
        name = result.id
        while name.lower() in taken:
            numbers[result.id.lower()] += 1
            name = f"{result.id}-{numbers[result.id.lower()] + 1}"
        taken.add(name.lower())
        yield replace(result, id=name)


def _side(name: str) -> bool:
    return bool(_SIDE_FOLDERS & set(PurePosixPath(name).parts)) or PurePosixPath(name).name.startswith(".")


def _parent(name: str) -> str:
    parent = str(PurePosixPath(name).parent)
    return "" if parent == "." else parent


def _beside(files: Files, folder: str) -> set[str]:
    """The names of the files right in a folder."""
    depth = folder.count("/") + 1 if folder else 0
    return {name for name in files.names_below(folder) if name.count("/") == depth}
