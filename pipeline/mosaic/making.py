"""The map as one file: painted strip by strip, made cloud-optimised, described by a STAC Item beside it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.windows import Window
from shapely.geometry import box, mapping

from pipeline import __version__
from pipeline.errors import TileTableError
from pipeline.files import PART, whole_file, write_text
from pipeline.mosaic.ground import Ground, best_crs, in_degrees, map_ground
from pipeline.mosaic.looks import chosen_looks, shares_of_dates, touched_looks
from pipeline.mosaic.painting import painted, strips, tile_extents
from pipeline.mosaic.product import PRODUCTS, Painting
from pipeline.outlines import Outline
from pipeline.results.class_raster import (
    BLOCK,
    raster_fields,
    sidecar,
    write_category_names,
    write_cog,
    write_colours,
)
from pipeline.results.layout import TABLE
from pipeline.results.period import Period
from pipeline.results.table import CROSSWALK, read_metadata

# Bytes that are kept of blocks that were read: a block row of a granule, so that no block is decoded twice.
_CACHE = 64 << 20
# Not the file's own name alone, which an outline beside it may have.
ITEM_SUFFIX = ".item.json"


@dataclass(frozen=True, slots=True)
class MosaicRequest:
    """What map is wanted."""

    product: str = "landcover"
    """One of `PRODUCTS`."""
    outline: Outline | None = None
    """What it is cut to; None for all that is mapped."""
    crs: CRS | None = None
    """Its coordinate reference system; None for the outline's zone."""
    period: Period | None = None
    """The days whose clearest look counts; None for every place's latest look."""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """A written map."""

    path: Path
    """The file."""
    item: Path
    """The STAC Item beside it."""
    ground: Ground
    """Where its pixels lie."""
    dates: Mapping[str, float]
    """The part of its tiles that each date or period speaks for."""
    scenes: tuple[str, ...]
    """The scenes that it shows."""
    filled: float
    """The part of the outline's pixels, or of all, that hold data."""


def make_mosaic(folder: Path, out: Path, request: MosaicRequest = MosaicRequest()) -> Mosaic:
    """Writes one map of a model's results: `out` (GeoTIFF, cloud-optimised) and a STAC Item beside it.

    Every place is shown once. Memory does not grow with the map.

    Raises:
        TileTableError: nothing of what is wanted is there, or the outline lies outside of it.
        GeoreferenceError: the place cannot be drawn in this coordinate reference system.
        OutputError: the map cannot be written.
    """
    holding, paint = PRODUCTS[request.product]
    looks = chosen_looks(folder, holding, request.period)
    if request.outline is not None:
        looks = touched_looks(looks, request.outline)
    painting = paint(folder, looks)
    crs = request.crs or best_crs([layer.grid for layer in painting.layers], request.outline)
    ground = map_ground(crs, painting.metres, tile_extents(painting.layers), request.outline)
    item = out.with_suffix(ITEM_SUFFIX)
    filled = write_map(out, ground, painting)
    shown = tuple(sorted({str(scene) for scene in looks["scene"]}))
    made = Mosaic(out, item, ground, shares_of_dates(looks), shown, filled)
    write_text(item, _described(made, request, painting, read_metadata(folder / shown[0] / TABLE)))
    return made


def write_map(out: Path, ground: Ground, painting: Painting) -> float:
    """Writes a painting as a cloud-optimised GeoTIFF with the names of its classes beside it.

    Returns the part of the pixels inside the outline that hold data.

    Raises:
        TileTableError: no pixel holds any.
        OutputError: the map cannot be written.
    """
    with (
        rasterio.Env(GDAL_CACHEMAX=_CACHE, GDAL_PAM_ENABLED="NO"),
        whole_file(out) as part,
        _scratch(part) as whole,
    ):
        filled = _paint(whole, ground, painting)
        if not filled:
            raise TileTableError(
                f"{out}: no pixel of {painting.metres:g} m has its centre in the area and data in it; take a larger "
                f"--area, or --product cover"
            )
        write_cog(whole, part, **painting.layout)
    if painting.names:
        write_category_names(out, painting.names)
    else:
        sidecar(out).unlink(missing_ok=True)
    return filled


@contextmanager
def _scratch(part: Path) -> Iterator[Path]:
    """A hidden file beside the map that holds its pixels before they get their final order."""
    whole = part.with_name(f"{PART}whole-{part.name.removeprefix(PART)}")
    try:
        yield whole
    finally:
        # GDAL keeps overviews beside what it copies until they are inside.
        for path in (whole, *part.parent.glob(f"{part.name}.*")):
            path.unlink(missing_ok=True)


def _paint(path: Path, ground: Ground, painting: Painting) -> float:
    """Writes all pixels; the part of those inside the outline that hold data."""
    picture = painting.legend is None and len(painting.bands) == 3
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": len(painting.bands),
        "width": ground.width,
        "height": ground.height,
        "crs": ground.crs.to_wkt(),
        "transform": ground.transform,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "zlevel": 1,
        "num_threads": 2,
        "bigtiff": "if_safer",
        "photometric": "rgb" if picture else "minisblack",
        **({} if picture else {"nodata": painting.nothing}),
    }
    inside, seen = 0, 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), rasterio.open(path, "w", **profile) as raster:
        raster.descriptions = painting.bands
        if painting.legend is not None:
            write_colours(raster, painting.legend, painting.names)
        for rows in strips(ground):
            pixels = painted(ground, rows, painting.layers, painting.resampling)
            kept = ground.inside(rows)
            pixels[:, ~kept] = painting.nothing
            held = (pixels != painting.nothing).any(axis=0)
            inside, seen = inside + int(kept.sum()), seen + int(held.sum())
            window = Window(0, rows.start, ground.width, len(rows))
            raster.write(pixels, window=window)
            if picture:
                raster.write_mask(np.where(held, 255, 0).astype(np.uint8), window=window)
    return seen / inside if inside else 0.0


def _described(made: Mosaic, request: MosaicRequest, painting: Painting, told: Mapping[str, object]) -> str:
    """The Item. No time of writing, so that reruns agree."""
    import pystac
    from pystac.extensions.projection import ProjectionExtension

    ground = made.ground
    days = sorted({datetime.fromisoformat(day).replace(tzinfo=UTC) for told in made.dates for day in told.split("/")})
    shape = request.outline.shape if request.outline is not None else in_degrees(box(*ground.bounds()), ground.crs)
    item = pystac.Item(
        id=made.path.stem,
        geometry=mapping(shape),
        bbox=[round(value, 7) for value in shape.bounds],
        datetime=days[0] if len(days) == 1 else None,
        start_datetime=None if len(days) == 1 else days[0],
        end_datetime=None if len(days) == 1 else days[-1],
        properties={
            "processing:software": {"landcover-atlas": __version__},
            "processing:lineage": f"{request.product} of {len(made.scenes)} scenes, every place once, by its "
            f"{'latest' if request.period is None else 'clearest'} look",
            "atlas:attribution": told.get("attribution"),
            "atlas:model": _name_of(told),
            "atlas:scenes": list(made.scenes),
            "atlas:shares_of_dates": {day: round(share, 4) for day, share in made.dates.items()},
            **({f"atlas:{CROSSWALK}": told[CROSSWALK]} if CROSSWALK in told else {}),
        },
        stac_extensions=["https://stac-extensions.github.io/processing/v1.2.0/schema.json"],
    )
    projected = ProjectionExtension.ext(item, add_if_missing=True)
    projected.epsg = ground.crs.to_epsg()
    projected.shape = [ground.height, ground.width]
    projected.transform = list(ground.transform)[:6]
    fields = {} if painting.legend is None else _class_fields(painting)
    asset = pystac.Asset(f"./{made.path.name}", media_type=pystac.MediaType.COG, roles=["data"], extra_fields=fields)
    item.add_asset(request.product, asset)
    if fields:
        from pystac.extensions.classification import ClassificationExtension
        from pystac.extensions.raster import RasterExtension

        item.stac_extensions += [ClassificationExtension.get_schema_uri(), RasterExtension.get_schema_uri()]
    return json.dumps(item.to_dict(include_self_link=False), indent=1) + "\n"


def _class_fields(painting: Painting) -> dict[str, object]:
    """What the Item tells of the file's values."""
    assert painting.legend is not None
    fields = raster_fields(painting.legend, painting.metres)
    fields["raster:bands"] = fields["raster:bands"][:1]
    known = len(painting.legend.classes)
    fields["classification:classes"] += [
        {"value": value, "name": name.replace(" ", "_"), "description": name}
        for value, name in painting.names.items()
        if value >= known
    ]
    return fields


def _name_of(told: Mapping[str, object]) -> object:
    model = told.get("model")
    return model.get("name") if isinstance(model, Mapping) else None
