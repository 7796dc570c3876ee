"""Polygons that people draw or drop: GeoJSON, a zipped shapefile, a GeoPackage, told by their bytes."""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

import geopandas as gpd
from shapely.errors import ShapelyError
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from pipeline.areas import read_regions
from pipeline.errors import TileTableError
from pipeline.scenes.safety.guard import READ_ERRORS, one_line
from pipeline.web.problems import Problem
from pipeline.web.uploads import Upload, read_json

MOST_SHAPES: Final = 1000
MOST_POINTS: Final = 200_000
_PARTS: Final = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_UNPACKED_BYTES: Final = 200_000_000
_SHAPEFILE: Final = b"\x00\x00\x27\x0a"
_SQLITE, _GEOPACKAGE = b"SQLite format 3\0", b"GPKG"
_NAMES: Final = ("name", "NAME", "Name", "title", "id")


def read_shapes(upload: Upload) -> gpd.GeoDataFrame:
    """Regions (name, geometry) in longitude and latitude from a file's bytes.

    Raises:
        Problem: it is none of the three formats, damaged, too large, or holds no polygon.
    """
    data = upload.data
    if data[:4] == b"PK\3\4":
        return _regions(_from_file(_unzipped, data))
    if data.startswith(_SQLITE):
        if data[68:72] != _GEOPACKAGE:
            raise Problem(422, f"{upload.name}: a database, but no GeoPackage")
        return _regions(_from_file(_geopackage, data))
    return _regions(features(read_json(data)))


def features(told: dict[str, Any]) -> Iterator[tuple[str, BaseGeometry]]:
    """Names and shapes in a GeoJSON object: a geometry, a Feature or a FeatureCollection.

    Raises:
        Problem: it is no GeoJSON.
    """
    kind = told.get("type")
    entries = told.get("features") if kind == "FeatureCollection" else [told]
    if not isinstance(entries, list):
        raise Problem(422, "the FeatureCollection has no list of features")
    if len(entries) > MOST_SHAPES:
        raise Problem(413, f"{len(entries)} shapes; send at most {MOST_SHAPES}")
    for at, entry in enumerate(entries, 1):
        feature = entry if isinstance(entry, dict) else {}
        geometry = feature.get("geometry") if feature.get("type") == "Feature" else feature
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        name = next((str(properties[key]) for key in _NAMES if properties.get(key) is not None), f"area {at}")
        try:
            yield name[:120], shape(geometry)
        except (ShapelyError, AttributeError, KeyError, TypeError, ValueError, RecursionError, IndexError) as error:
            raise Problem(422, f"shape {at} is no GeoJSON geometry ({one_line(error)})") from error


def _regions(found: Iterator[tuple[str, BaseGeometry]]) -> gpd.GeoDataFrame:
    """Checked and mended by the same reader as `areas --regions`."""
    listed = list(found)
    if not listed:
        raise Problem(422, "there is no shape in it; send polygons")
    if sum(map(_points, (geometry for _, geometry in listed))) > MOST_POINTS:
        raise Problem(413, f"more than {MOST_POINTS:,} points; send simpler shapes")
    if odd := sum(geometry.geom_type not in ("Polygon", "MultiPolygon") for _, geometry in listed):
        raise Problem(422, f"{odd} of {len(listed)} shapes are no polygons; send areas")
    if empty := sum(geometry.is_empty for _, geometry in listed):
        raise Problem(422, f"{empty} of {len(listed)} shapes hold no point; send areas")
    collection = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": {"name": name}, "geometry": mapping(geometry)}
            for name, geometry in listed
        ],
    }
    with tempfile.TemporaryDirectory(prefix="shapes-") as folder:
        path = Path(folder) / "shapes.geojson"
        path.write_text(json.dumps(collection), encoding="utf-8")
        try:
            return read_regions(path)
        except TileTableError as error:
            raise Problem(422, str(error).removeprefix(f"{path}: ")) from error


def _points(geometry: BaseGeometry) -> int:
    parts = getattr(geometry, "geoms", [geometry])
    return sum(
        len(part.exterior.coords) + sum(len(ring.coords) for ring in part.interiors)
        for part in parts
        if part.geom_type == "Polygon"
    )


def _from_file(unpack: Any, data: bytes) -> Iterator[tuple[str, BaseGeometry]]:  # noqa: ANN401 - one of the two below
    """Names and shapes of a file that GDAL reads, from a folder that holds nothing else."""
    with tempfile.TemporaryDirectory(prefix="shapes-") as folder:
        path = unpack(data, Path(folder))
        try:
            table = gpd.read_file(path, rows=MOST_SHAPES + 1)
            if not isinstance(table, gpd.GeoDataFrame) or table.crs is None:
                raise Problem(422, "the file does not tell its coordinate reference system; add its .prj")
            table = table[table.geometry.notna()].to_crs(4326)
        except (*READ_ERRORS, ShapelyError) as error:
            raise Problem(422, f"the file does not read ({one_line(error)})") from error
    if len(table) > MOST_SHAPES:
        raise Problem(413, f"more than {MOST_SHAPES} shapes")
    field = next((name for name in _NAMES if name in table.columns), None)
    names = table[field].astype(str) if field else (f"area {at}" for at in range(1, len(table) + 1))
    return iter(list(zip((str(name)[:120] for name in names), table.geometry, strict=True)))


def _geopackage(data: bytes, folder: Path) -> Path:
    path = folder / "shapes.gpkg"
    path.write_bytes(data)
    return path


def _unzipped(data: bytes, folder: Path) -> Path:
    """The parts of the only shapefile in a zip, under names of our own."""
    archive = folder / "shapes.zip"
    archive.write_bytes(data)
    try:
        with zipfile.ZipFile(archive) as bundle:
            members = {PurePosixPath(entry.filename): entry for entry in bundle.infolist() if not entry.is_dir()}
            shapes = [path for path in members if path.suffix.lower() == ".shp" and path.parts[0] != "__MACOSX"]
            if len(shapes) != 1:
                raise Problem(422, f"the zip holds {len(shapes)} shapefiles; send one with one")
            parts = [path for path in members if path.with_suffix("") == shapes[0].with_suffix("")]
            parts = [path for path in parts if path.suffix.lower() in _PARTS]
            if sum(members[path].file_size for path in parts) > _UNPACKED_BYTES:
                raise Problem(413, "the shapefile is too large; send fewer shapes")
            for path in parts:
                with bundle.open(members[path]) as stream:
                    (folder / f"shapes{path.suffix.lower()}").write_bytes(stream.read(_UNPACKED_BYTES))
    except READ_ERRORS as error:
        raise Problem(422, f"the zip does not read ({one_line(error)})") from error
    if (folder / "shapes.shp").read_bytes()[:4] != _SHAPEFILE:
        raise Problem(422, "the .shp in the zip is no shapefile")
    return folder / "shapes.shp"
