"""Truth for every pixel: masks and polygons laid over scenes."""

import csv
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from math import ceil, floor
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.features
import shapely
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from pipeline.errors import ModelError
from pipeline.grid import Bounds
from pipeline.scenes.radiometry import Harmonisation, reflectance
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.scene import Scene

log = logging.getLogger(__name__)

COVERS = ("water", "trees", "grass", "flooded", "crops", "shrub", "built", "bare", "snow")
# A pixel without truth.
IGNORED = 255
VECTORS = (".geojson", ".json", ".gpkg", ".shp", ".fgb")
RASTERS = (".tif", ".tiff")
# The field name that asks for OpenStreetMap's tags instead of a class.
TAGS = "osm"
_GSD = 10.0


@dataclass(frozen=True, slots=True)
class Truth:
    """One scene's pixels with what is known of them."""

    place: str
    """What is kept together when places are split: scenes that overlap are one place."""
    scene: str
    """The scene's id."""
    classes: tuple[str, ...]
    """Names of the codes in `codes` and `second`."""
    pixels: npt.NDArray[np.float32]
    """Reflectance (y, x, bands), negative where a band was not measured."""
    codes: npt.NDArray[np.uint8]
    """The class of each pixel (y, x); 255 where it is not known."""
    sure: npt.NDArray[np.uint8]
    """How sure the class is, in percent."""
    second: npt.NDArray[np.uint8]
    """The next likely class; 255 where there is none."""
    bounds: Bounds
    """Left, bottom, right, top in metres of the scene's zone."""
    epsg: int
    """The zone."""

    @property
    def known(self) -> int:
        """Pixels that carry a class."""
        return int((self.codes != IGNORED).sum())


def read_truth(
    scenes: Iterable[Scene],
    source: Path,
    bands: Sequence[str],
    field: str = "class",
    classes: Sequence[str] | None = None,
    lines: Mapping[str, Harmonisation] | None = None,
) -> list[Truth]:
    """Every scene with the truth that lies on it, from a file of masks or polygons or a folder of such.

    Masks are GeoTIFFs on any grid whose first band holds class codes; a second one says how sure they are, in percent
    or in steps of 5 %, a third the next likely class. Polygons name their class in `field`, or by OpenStreetMap's tags
    where that is "osm". Without `classes` masks hold codes of `COVERS` and polygons bring their own names. A mask whose
    name begins with a scene's id belongs to that scene alone. `lines` move the reflectance of a level to another's.

    Raises:
        ModelError: nothing there can be used: no CRS, no overlap with any scene, one class only.
        PipelineError: a scene's file is damaged.
    """
    paths, look = _truth_files(source), _Look(tuple(bands), lines or {})
    found = []
    layers = {path: _polygons(path, field) for path in paths if path.suffix.lower() in VECTORS}
    names = tuple(classes) if classes is not None else _names(layers.values())
    scenes = list(scenes)
    owned = {path: [scene for scene in scenes if path.stem.startswith(scene.id)] for path in paths}
    for scene in scenes:
        lacking = [band for band in bands if band not in scene.assets]
        if lacking:
            log.warning("%s: lacks %s, left out", scene.id, ", ".join(lacking))
            continue
        for path in paths:
            if owned[path] and scene not in owned[path]:
                continue
            truth = (
                _on_polygons(scene, layers[path], names, look, path)
                if path in layers
                else _on_mask(scene, path, names, look)
            )
            if truth is not None and truth.known:
                found.append(truth)
    if not found:
        raise ModelError(
            f"{source}: none of its truth lies on a scene ({len(scenes)} scenes, {len(paths)} files); give scenes of "
            f"the same places"
        )
    present = {name for truth in found for name in _present(truth)}
    if len(present) < 2:
        raise ModelError(f"{source}: holds only {', '.join(present)}; a network needs two classes at least")
    return _places(found)


def split_places(
    truths: Sequence[Truth], held_out: Sequence[str] = (), part: float = 0.2
) -> tuple[list[Truth], list[Truth]]:
    """Truth to learn from and truth held out, split by place and never by pixel.

    `held_out` names places or scenes; without it every so many places, in the order of their names, make up `part`.

    Raises:
        ModelError: one of the two would be empty, or a name is no place.
    """
    places = sorted({truth.place for truth in truths})
    if held_out:
        chosen = {truth.place for truth in truths if {truth.place, truth.scene} & set(held_out)}
        if unknown := set(held_out) - {name for truth in truths for name in (truth.place, truth.scene)}:
            raise ModelError(f"{', '.join(sorted(unknown))}: no such place; there are {', '.join(places)}")
    else:
        every = max(round(1 / part), 2)
        chosen = set(places[every // 2 :: every])
    learnt = [truth for truth in truths if truth.place not in chosen]
    kept = [truth for truth in truths if truth.place in chosen]
    if not learnt or not kept:
        raise ModelError(
            f"{len(places)} place(s) cannot be split into some to learn from and some to check on; add scenes of "
            f"another place, or name --hold-out places"
        )
    return learnt, kept


def tag_classes() -> dict[tuple[str, str], str]:
    """OpenStreetMap's tags (key, value) with the cover that each stands for."""
    return _tag_table()


@cache
def _tag_table() -> dict[tuple[str, str], str]:
    text = files("pipeline.datasets").joinpath("osm_tags.csv").read_text(encoding="utf-8")
    return {(row["key"], row["value"]): row["cover"] for row in csv.DictReader(text.splitlines())}


def _truth_files(source: Path) -> list[Path]:
    suffixes = (*VECTORS, *RASTERS)
    paths = sorted(source.rglob("*")) if source.is_dir() else [source]
    paths = [path for path in paths if path.suffix.lower() in suffixes and path.name != "item.json"]
    if not paths or not paths[0].exists():
        raise ModelError(f"{source}: no masks or polygons there; give a file or folder of {', '.join(suffixes)}")
    return paths


def _polygons(path: Path, field: str) -> gpd.GeoDataFrame:
    """The polygons of a file with their class in `cover`."""
    try:
        table = gpd.read_file(path, engine="pyogrio")
    except Exception as error:  # pyogrio's own errors differ from driver to driver
        raise ModelError(f"{path}: cannot be read as polygons ({_first_line(error)}); save it as GeoPackage") from error
    if table.crs is None:
        raise ModelError(f"{path}: has no coordinate reference system; save it with one")
    if field == TAGS:
        table["cover"] = _covers_of_tags(table)
        unknown = int(table["cover"].isna().sum())
        if unknown:
            log.info("%s: %d of %d shapes carry no tag that stands for a cover", path.name, unknown, len(table))
    elif field in table.columns:
        table["cover"] = table[field]
    else:
        there = ", ".join(str(name) for name in table.columns if name != "geometry")
        raise ModelError(f"{path}: has no field {field!r} (there are: {there}); name one with --field, or {TAGS!r}")
    table = table[table["cover"].notna() & table.geometry.notna()]
    table["cover"] = table["cover"].astype(str).str.strip()
    flat = table[table.geom_type.isin(["Polygon", "MultiPolygon"])]
    if len(flat) < len(table):
        log.warning("%s: %d shapes are no polygons, left out", path.name, len(table) - len(flat))
    broken = ~flat.is_valid
    if broken.any():
        log.warning("%s: %d polygons cross themselves, mended", path.name, int(broken.sum()))
        flat = flat.assign(geometry=shapely.make_valid(flat.geometry.to_numpy()))
    if flat.empty:
        raise ModelError(f"{path}: holds no polygon with a class; draw some and fill the field {field!r}")
    return flat


def _covers_of_tags(table: gpd.GeoDataFrame) -> list[str | None]:
    known = tag_classes()
    keys = [key for key in dict.fromkeys(key for key, _ in known) if key in table.columns]
    columns = [table[key].tolist() for key in keys]
    found: list[str | None] = []
    for values in zip(*columns, strict=True) if columns else [()] * len(table):
        covers = (known.get((key, str(value))) for key, value in zip(keys, values, strict=True))
        found.append(next((cover for cover in covers if cover), None))
    return found


def _names(layers: Iterable[gpd.GeoDataFrame]) -> tuple[str, ...]:
    """Class names of polygons: in the order of `COVERS` where those hold them all, else sorted."""
    named = {name for layer in layers for name in layer["cover"]}
    return COVERS if named <= set(COVERS) else tuple(sorted(named))


def _on_polygons(
    scene: Scene, layer: gpd.GeoDataFrame, names: tuple[str, ...], look: "_Look", path: Path
) -> Truth | None:
    local = layer.to_crs(epsg=scene.epsg)
    local = local[local.intersects(shapely.box(*scene.bounds))]
    if local.empty:
        return None
    if unknown := sorted(set(local["cover"]) - set(names)):
        log.warning("%s: polygons of %s are no class of the network, left out", path.name, ", ".join(unknown))
        local = local[local["cover"].isin(names)]
    bounds = _snapped(_common(tuple(local.total_bounds), scene.bounds))
    if bounds is None or local.empty:
        return None
    transform, shape = _raster_grid(bounds)
    codes = np.full(shape, IGNORED, np.uint8)
    claimed = np.zeros(shape, np.uint8)
    # Pixels whose centre lies inside; where polygons of different classes overlap, none is right.
    for name, group in local.groupby("cover"):
        inside = rasterio.features.geometry_mask(group.geometry, shape, transform, invert=True)
        codes[inside] = names.index(str(name))
        claimed += inside
    if overlap := int((claimed > 1).sum()):
        log.warning("%s: %d pixels lie in polygons of two classes, left out", path.name, overlap)
        codes[claimed > 1] = IGNORED
    return _with_pixels(scene, bounds, look, names, (codes, None, None))


def _on_mask(scene: Scene, path: Path, names: tuple[str, ...], look: "_Look") -> Truth | None:
    try:
        with rasterio.open(path) as source:
            if source.crs is None:
                raise ModelError(f"{path}: has no coordinate reference system; save the mask with its place")
            nodata = IGNORED if source.nodata is None else source.nodata
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                place = rasterio.warp.transform_bounds(source.crs, f"EPSG:{scene.epsg}", *source.bounds)
            bounds = _snapped(_common(place, scene.bounds))
            if bounds is None:
                return None
            transform, (height, width) = _raster_grid(bounds)
            grid: dict[str, Any] = {"transform": transform, "height": height, "width": width}
            with WarpedVRT(
                source,
                crs=f"EPSG:{scene.epsg}",
                resampling=Resampling.nearest,
                src_nodata=nodata,
                nodata=IGNORED,
                **grid,
            ) as view:
                planes = view.read()
    except RasterioError as error:
        raise ModelError(f"{path}: cannot be read as a mask ({_first_line(error)}); save it as GeoTIFF") from error
    codes = planes[0].astype(np.uint8)
    known = codes != IGNORED
    if known.any() and codes[known].max() >= len(names):
        log.warning("%s: codes from %d up are no class, left out", path.name, len(names))
        codes[codes >= len(names)] = IGNORED
    sure = second = None
    if len(planes) >= 2:
        stored = planes[1].astype(np.int64)
        percent = stored * 5 if stored[known].max(initial=0) <= 20 else stored
        sure = np.clip(np.where(known, percent, 0), 0, 100).astype(np.uint8)
    if len(planes) >= 3:
        second = np.where(planes[2] < len(names), planes[2], IGNORED).astype(np.uint8)
    return _with_pixels(scene, bounds, look, names, (codes, sure, second))


class _Look(NamedTuple):
    """How pixels are read: bands, and by level the lines that move its reflectance."""

    bands: tuple[str, ...]
    lines: Mapping[str, Harmonisation]


def _with_pixels(
    scene: Scene,
    bounds: Bounds,
    look: _Look,
    names: tuple[str, ...],
    known: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None, npt.NDArray[np.uint8] | None],
) -> Truth:
    codes, sure, second = known
    with SceneReader(scene) as reader:
        stored, valid = reader.read(bounds, look.bands)
    assets = [scene.assets[band] for band in look.bands]
    light = np.moveaxis(reflectance(stored, assets, look.lines.get(scene.level.value)), 0, -1).copy()
    light[~valid] = -1.0
    return Truth(
        scene.id,
        scene.id,
        names,
        light,
        np.where(valid, codes, IGNORED).astype(np.uint8),
        np.full(codes.shape, 100, np.uint8) if sure is None else sure,
        np.full(codes.shape, IGNORED, np.uint8) if second is None else second,
        bounds,
        scene.epsg,
    )


def _places(truths: Sequence[Truth]) -> list[Truth]:
    """The same truth with one place for all scenes that overlap: their ground must not be on both sides of a split."""
    place = list(range(len(truths)))
    for at, one in enumerate(truths):
        for before in range(at):
            if one.epsg == truths[before].epsg and _common(one.bounds, truths[before].bounds) is not None:
                place = [place[before] if group == place[at] else group for group in place]
    names: dict[int, str] = {}
    for group, truth in zip(place, truths, strict=True):
        names.setdefault(group, truth.scene)
    return [replace(truth, place=names[group]) for group, truth in zip(place, truths, strict=True)]


def _present(truth: Truth) -> Iterator[str]:
    for code in np.unique(truth.codes):
        if code != IGNORED:
            yield truth.classes[code]


def _common(one: Bounds, other: Bounds) -> Bounds | None:
    left, bottom, right, top = (
        max(one[0], other[0]),
        max(one[1], other[1]),
        min(one[2], other[2]),
        min(one[3], other[3]),
    )
    return (left, bottom, right, top) if left < right and bottom < top else None


def _snapped(bounds: Bounds | None) -> Bounds | None:
    """Bounds on the 10 m grid; None where there are none."""
    if bounds is None:
        return None
    left, bottom, right, top = (value / _GSD for value in bounds)
    # A warped corner may miss the grid by rounding.
    slack = 1e-3
    return (
        floor(left + slack) * _GSD,
        floor(bottom + slack) * _GSD,
        ceil(right - slack) * _GSD,
        ceil(top - slack) * _GSD,
    )


def _raster_grid(bounds: Bounds) -> tuple[Affine, tuple[int, int]]:
    left, bottom, right, top = bounds
    return Affine(_GSD, 0.0, left, 0.0, -_GSD, top), (round((top - bottom) / _GSD), round((right - left) / _GSD))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
