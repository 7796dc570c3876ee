"""The files of one classified scene: table, class raster, pictures, STAC Item."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window
from shapely.geometry import mapping

from pipeline import __version__
from pipeline import bands as band_table
from pipeline.atlas.imagery import quicklook
from pipeline.classify import ClassifiedBlock
from pipeline.errors import OutputError
from pipeline.files import digest
from pipeline.grid import TileGrid, TileIndex
from pipeline.legend import Legend
from pipeline.models.card import ModelCard
from pipeline.scenes.radiometry import Stretch
from pipeline.scenes.scene import Scene
from pipeline.tiling import cut

TABLE, LANDCOVER, ITEM, QUICKLOOK, TRUE_COLOUR, CHIPS = (
    "tiles.parquet",
    "landcover.tif",
    "scene.json",
    "quicklook.webp",
    "truecolour.tif",
    "chips",
)
_NO_CLASS = 255
# Pixels of the quicklook a side of a tile: 80 m a pixel.
_QUICKLOOK_PIXELS = 8


def write_landcover(table: gpd.GeoDataFrame, grid: TileGrid, legend: Legend, path: Path) -> None:
    """A COG on the tile grid: class (uint8, colour table, 255 = no class) and confidence in percent.

    Raises:
        OutputError: the raster does not read back as written.
    """
    columns, rows = table["col"].to_numpy(), table["row"].to_numpy()
    north_west = TileIndex(int(columns.min()), int(rows.max()))
    shape = (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1)
    planes = np.full((2, *shape), _NO_CLASS, np.uint8)
    known = table["code"].to_numpy() >= 0
    at = (north_west.row - rows[known], columns[known] - north_west.col)
    planes[0][at] = table["code"].to_numpy()[known]
    planes[1][at] = np.round(table["confidence"].to_numpy()[known] * 100)
    left, _, _, top = grid.bounds(north_west)
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 2,
        "height": shape[0],
        "width": shape[1],
        "crs": grid.crs.to_wkt(),
        "transform": Affine(grid.edge, 0, left, 0, -grid.edge, top),
        "nodata": _NO_CLASS,
        "photometric": "minisblack",
    }
    colours = {code: (*bytes.fromhex(entry.colour[1:]), 255) for code, entry in enumerate(legend.classes)}
    with MemoryFile() as memory, rasterio.Env(GDAL_PAM_ENABLED="NO"):
        with memory.open(**profile) as target:
            target.write(planes)
            target.write_colormap(1, {**colours, _NO_CLASS: (0, 0, 0, 0)})
            target.descriptions = ("class", "confidence in percent")
            target.update_tags(1, **{f"CLASS_{code}": label for code, label in enumerate(legend.labels)})
        with memory.open() as source:
            copy_raster(source, path, driver="COG", compress="DEFLATE", overview_resampling="MODE", overviews="AUTO")
    with rasterio.open(path, driver="GTiff") as written:
        if not np.array_equal(written.read(), planes):
            raise OutputError(f"{path}: reads back other than it was written; check the disk")


class Pictures:
    """Collects what the network saw while blocks pass: the true-colour raster, the quicklook, single chips on request.

    `truecolour.tif` stores one JPEG block per tile, so that one chip is one read; its north-west corner is that of
    the scene's tile rectangle. It is a picture for people, nothing is classified from it.
    """

    def __init__(self, folder: Path, scene: Scene, grid: TileGrid, card: ModelCard, keep_chips: bool) -> None:
        self._folder, self._grid, self._card, self._keep_chips = folder, grid, card, keep_chips
        columns, rows = grid.covering(scene.bounds)
        self._north_west = TileIndex(columns.start, rows.stop - 1)
        left, _, _, top = grid.bounds(self._north_west)
        size = card.input.size
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._under_way: Future[None] | None = None
        self._small = np.zeros((3, len(rows) * _QUICKLOOK_PIXELS, len(columns) * _QUICKLOOK_PIXELS), np.uint8)
        self._seen = np.zeros(self._small.shape[1:], np.bool_)
        self._transform = Affine(grid.edge / _QUICKLOOK_PIXELS, 0, left, 0, -grid.edge / _QUICKLOOK_PIXELS, top)
        self._raster = rasterio.open(
            folder / TRUE_COLOUR,
            "w",
            driver="GTiff",
            dtype="uint8",
            count=3,
            width=len(columns) * size,
            height=len(rows) * size,
            crs=grid.crs.to_wkt(),
            transform=Affine(grid.gsd, 0, left, 0, -grid.gsd, top),
            tiled=True,
            blockxsize=size,
            blockysize=size,
            compress="JPEG",
            photometric="YCBCR",
            jpeg_quality=85,
            jpegtablesmode=3,  # shared Huffman tables: a third less work than tables of each tile's own, and smaller
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self._raster.close()

    def add(self, classified: ClassifiedBlock) -> None:
        """Takes one block into all pictures, while the caller goes on with the next."""
        self.finish()
        self._under_way = self._thread.submit(self._add, classified)

    def finish(self) -> None:
        """Waits for the last block that was added."""
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None

    def _add(self, classified: ClassifiedBlock) -> None:
        block = classified.block
        rgb = self._true_colour(block.pixels)
        rgb[:, ~block.valid] = 0
        top = (self._north_west.row - block.origin.row) * self._card.input.size
        height, width = block.valid.shape
        self._raster.write(rgb, window=Window(0, top, width, height))
        factor = self._card.input.size // _QUICKLOOK_PIXELS
        at = slice(top // factor, (top + height) // factor)
        weights = _box_sums(block.valid, factor)
        for band, plane in enumerate(rgb):
            self._small[band, at] = _box_sums(plane, factor) // np.maximum(weights, 1)
        self._seen[at] = weights > 0
        if self._keep_chips:
            self._write_chips(classified)

    def write_quicklook(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Stores `quicklook.webp`; returns its (south, west), (north, east) in degrees."""
        self.finish()
        picture = quicklook(self._small, self._seen, self._transform, self._grid.epsg)
        (self._folder / QUICKLOOK).write_bytes(picture.webp)
        return picture.bounds

    def _true_colour(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        order = [self._card.input.bands.index(band) for band in band_table.RGB]
        chosen: npt.NDArray[Any] = pixels[order]
        return chosen if self._card.input.units == "code" else Stretch().codes(chosen)

    def _write_chips(self, classified: ClassifiedBlock) -> None:
        folder = self._folder / CHIPS
        folder.mkdir(exist_ok=True)
        size = self._card.input.size
        tiles = np.stack([cut(plane, size) for plane in classified.block.pixels], axis=1)
        for index, chip, share in zip(classified.answers.index, tiles, classified.answers.valid_fraction, strict=True):
            if share == 0:
                continue
            tile = TileIndex(int(index[0]), int(index[1]))
            profile = {
                "driver": "GTiff",
                "dtype": chip.dtype,
                "count": len(chip),
                "width": size,
                "height": size,
                "compress": "deflate",
            }
            place = {"crs": self._grid.crs.to_wkt(), "transform": self._grid.transform(tile)}
            with rasterio.open(folder / f"{self._grid.tile_id(tile)}.tif", "w", **profile, **place) as target:
                target.write(chip)
                target.descriptions = self._card.input.bands


def _box_sums(plane: npt.NDArray[Any], size: int) -> npt.NDArray[np.uint32]:
    """Sums (y, x) over squares of `size` pixels."""
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    down = plane.reshape(rows, size, columns * size).sum(axis=1, dtype=np.uint16)
    return np.asarray(down.reshape(rows, columns, size).sum(axis=2, dtype=np.uint32))


def write_item(
    folder: Path,
    scene: Scene,
    grid: TileGrid,
    card: ModelCard,
    picture_bounds: tuple[tuple[float, float], tuple[float, float]],
    provenance: Mapping[str, Any],
) -> None:
    """The STAC Item of one scene's results: what they are, from what, by which model.

    No time of writing, so that reruns agree.
    """
    import pystac
    from pystac.extensions.classification import Classification, ClassificationExtension
    from pystac.extensions.projection import ProjectionExtension
    from pystac.extensions.raster import DataType, RasterBand, RasterExtension

    footprint = scene.footprint
    item = pystac.Item(
        id=scene.id,
        geometry=mapping(footprint),
        bbox=[round(value, 7) for value in footprint.bounds],
        datetime=scene.acquired,
        properties={
            "processing:level": {"L1C": "L1", "L2A": "L2"}.get(scene.level, "L1"),
            "processing:software": {"landcover-atlas": __version__},
            "processing:lineage": f"Sentinel-2 {scene.level} tiled into {grid.edge:.0f} m tiles and classified by "
            f"{card.name}",
            "constellation": "sentinel-2",
            "atlas:radiometry": asdict(scene.radiometry),
            "atlas:level": str(scene.level),
            "atlas:layout": scene.layout,
            "atlas:cloud_cover": scene.cloud_cover,
            "atlas:warnings": list(scene.warnings),
            **provenance,
        },
        stac_extensions=["https://stac-extensions.github.io/processing/v1.2.0/schema.json"],
    )
    if scene.platform:
        item.properties["platform"] = scene.platform
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    projection.epsg = grid.epsg
    types = {
        TABLE: "application/vnd.apache.parquet",
        LANDCOVER: pystac.MediaType.COG,
        QUICKLOOK: "image/webp",
        TRUE_COLOUR: pystac.MediaType.GEOTIFF,
    }
    roles = {TABLE: ["data"], LANDCOVER: ["data"], QUICKLOOK: ["overview"], TRUE_COLOUR: ["visual"]}
    for name, media in types.items():
        extra: dict[str, Any] = {"file:checksum": "1220" + digest(folder / name)}
        if name == QUICKLOOK:
            extra |= {"atlas:bounds": picture_bounds, "proj:code": "EPSG:3857"}
        item.add_asset(
            name.partition(".")[0], pystac.Asset(f"./{name}", media_type=media, roles=roles[name], extra_fields=extra)
        )
    item.stac_extensions.append("https://stac-extensions.github.io/file/v2.1.0/schema.json")
    landcover = item.assets["landcover"]
    classes = [
        Classification.create(code, name=entry.label, description=entry.title, color_hint=entry.colour[1:].upper())
        for code, entry in enumerate(card.legend.classes)
    ]
    RasterExtension.ext(landcover, add_if_missing=True).bands = [
        RasterBand.create(nodata=_NO_CLASS, data_type=DataType.UINT8, spatial_resolution=grid.edge),
        RasterBand.create(nodata=_NO_CLASS, data_type=DataType.UINT8, spatial_resolution=grid.edge, unit="percent"),
    ]
    ClassificationExtension.ext(landcover, add_if_missing=True).classes = classes
    item.set_self_href((folder / ITEM).as_posix())
    item.save_object(include_self_link=False, dest_href=(folder / ITEM).as_posix())
