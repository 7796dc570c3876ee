"""Makers of tiny products: SAFE trees, band folders, GeoTIFFs and JP2s with known numbers."""

import hashlib
import json
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from shapely.geometry import box

from pipeline.bands import BANDS
from pipeline.scenes.scene import Asset, Level, Radiometry, Scene

WEST, NORTH, EPSG = 600_000, 5_100_000, 32632  # granule corners are multiples of 60 m; this one lies in 32TPR
ROWS, COLUMNS = 200, 330  # not square, not whole tiles
RGB = ("B02", "B03", "B04")
USUAL = {"B02": 0.06, "B03": 0.08, "B04": 0.05}


def surface(rows=ROWS, columns=COLUMNS, seed=7, bands=RGB):
    """Reflectances by band: water, fields and roofs, all whole multiples of 1/10,000, none zero."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns]
    base = 0.05 + 0.04 * np.sin(x / 23.0) + 0.03 * np.cos(y / 17.0)
    made = {}
    for at, band in enumerate(bands):
        value = (
            base * (1 + 0.2 * at)
            + 0.02 * at
            + random.normal(0, 0.004, (rows, columns))
            + 0.3 * ((x // 20 + y // 20) % 11 == 0)
        )
        made[band] = np.clip(np.rint(value * 10_000), 5, 9_000).astype(np.uint16) / 10_000.0
    return made


def stored(reflectance, offset=0, quantification=10_000):
    """DN of reflectances: what a product with this additive offset stores."""
    return np.rint(reflectance * quantification - offset).astype(np.uint16)


def write_tif(path, pixels, epsg=EPSG, west=WEST, north=NORTH, gsd=10.0, names=None, **profile):
    """A GeoTIFF of (band, y, x) or (y, x) pixels; `epsg` may be any CRS text or None, `profile` goes to rasterio."""
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    transform = profile.pop("transform", Affine(gsd, 0, west, 0, -gsd, north))
    crs = f"EPSG:{epsg}" if isinstance(epsg, int) else epsg
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    options = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate", **profile}
    shape = {"width": width, "height": height, "count": count, "dtype": pixels.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **shape, **options) as image:
            image.write(pixels)
            for at, name in enumerate(names or (), start=1):
                image.set_band_description(at, name)
    return path


def write_jp2(path, pixels, epsg=EPSG, west=WEST, north=NORTH, gsd=10.0, block=64):
    """A lossless JPEG 2000 of (band, y, x) or (y, x) pixels; without georeferencing where `epsg` is None."""
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    place = {"crs": f"EPSG:{epsg}", "transform": Affine(gsd, 0, west, 0, -gsd, north)} if epsg else {}
    options = {
        "driver": "JP2OpenJPEG",
        "QUALITY": "100",
        "REVERSIBLE": "YES",
        "BLOCKXSIZE": str(block),
        "BLOCKYSIZE": str(block),
    }
    if not epsg:
        options |= {"GMLJP2": "NO", "GeoJP2": "NO"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", width=width, height=height, count=count, dtype=pixels.dtype, **place, **options
        ) as image:
            image.write(pixels)
    return path


def write_image(path, pixels, **place):
    return (write_jp2 if path.suffix == ".jp2" else write_tif)(path, pixels, **place)


@dataclass(frozen=True)
class Safe:
    """A SAFE product to be written; `offset` is None (no list), a number for all bands, or DN by band."""

    level: str = "L2A"
    baseline: str = "05.09"
    offset: float | Mapping[str, float] | None = -1000
    quantification: int = 10_000
    platform: str = "S2B"
    start: datetime = datetime(2023, 6, 14, 10, 6, 9, tzinfo=UTC)
    sensed: datetime | None = None
    generated: datetime = datetime(2023, 6, 14, 13, 0, 0, tzinfo=UTC)
    strip: datetime | None = None
    tile: str = "32TPR"
    suffix: str = "jp2"
    epsg: int = EPSG
    west: int = WEST
    north: int = NORTH
    images: str = "compact"  # or "old", "bare" (no georeferencing in the files)
    stated_name: str | None = None
    cloud: float = 3.5
    manifest: str | None = None
    granule_xml: bool = True
    product_xml: bool = True
    extra: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def name(self):
        number = f"_N{self.baseline.replace('.', '')}" if self.baseline else ""
        return self.stated_name or (
            f"{self.platform}_MSI{self.level}_{self.start:%Y%m%dT%H%M%S}{number}_R022_T{self.tile}_{self.generated:%Y%m%dT%H%M%S}.SAFE"
        )

    @property
    def granule(self):
        return f"{self.level}_T{self.tile}_A032000_{self.start:%Y%m%dT%H%M%S}"

    def image(self, band, gsd=10):
        if self.level == "L1C":
            return f"GRANULE/{self.granule}/IMG_DATA/T{self.tile}_{self.start:%Y%m%dT%H%M%S}_{band}.{self.suffix}"
        name = f"T{self.tile}_{self.start:%Y%m%dT%H%M%S}_{band}_{gsd}m.{self.suffix}"
        return f"GRANULE/{self.granule}/IMG_DATA/R{gsd}m/{name}"


def write_safe(folder, product=Safe(), reflectance=None, scl=None, dn=None, tci=None):
    """Writes `folder`/<name>.SAFE from reflectances by band (or ready DN in `dn`); `scl` is (y, x) at 20 m."""
    root = folder / product.name
    offsets = (
        product.offset if isinstance(product.offset, Mapping) else {band.name: product.offset or 0 for band in BANDS}
    )
    numbers = (
        {
            band: stored(value, offsets[band], product.quantification)
            for band, value in (reflectance or surface()).items()
        }
        if dn is None
        else dn
    )
    place = {"epsg": None if product.images == "bare" else product.epsg, "west": product.west, "north": product.north}
    paths = []
    for band, pixels in numbers.items():
        paths.append(product.image(band))
        write_image(root / paths[-1], pixels, **place)
    if scl is not None:
        paths.append(product.image("SCL", 20))
        write_image(root / paths[-1], scl, gsd=20.0, **place)
    if tci is not None:
        paths.append(product.image("TCI"))
        write_image(root / paths[-1], tci, **place)
    if product.product_xml:
        (root / f"MTD_MSI{product.level}.xml").write_text(product_xml(product, paths), encoding="utf-8")
    if product.granule_xml:
        rows, columns = next(iter(numbers.values())).shape if numbers else tci.shape[1:]
        (root / "GRANULE" / product.granule / "MTD_TL.xml").write_text(
            granule_xml(product, rows, columns), encoding="utf-8"
        )
    for name, content in product.extra.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    if product.manifest:
        write_manifest(root, product.manifest)
    return root


def product_xml(product, paths=()):
    kind = product.level
    user = "BOA_" if kind == "L2A" else ""
    tag, add = (
        ("BOA_ADD_OFFSET", "BOA_ADD_OFFSET_VALUES_LIST")
        if kind == "L2A"
        else ("RADIO_ADD_OFFSET", "Radiometric_Offset_List")
    )
    offsets = ""
    if product.offset is not None:
        values = (
            product.offset
            if isinstance(product.offset, Mapping)
            else dict.fromkeys((band.name for band in BANDS), product.offset)
        )
        lines = "".join(
            f'<{tag} band_id="{band.number}">{values[band.name]}</{tag}>' for band in BANDS if band.name in values
        )
        offsets = f"<{add}>{lines}</{add}>"
    spectral = "".join(
        f'<Spectral_Information bandId="{band.number}" physicalBand="B{band.name[1:].lstrip("0")}"/>' for band in BANDS
    )
    strip = product.strip or product.start
    images = "".join(f"<IMAGE_FILE>{path.rsplit('.', 1)[0]}</IMAGE_FILE>" for path in paths)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><n1:Level-{kind[1:]}_User_Product '
        f'xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{kind[1:]}.xsd"><n1:General_Info><Product_Info>'
        f"<PRODUCT_START_TIME>{stamp(product.start)}</PRODUCT_START_TIME><PRODUCT_URI>{product.name}</PRODUCT_URI>"
        f"<PROCESSING_LEVEL>Level-{kind[1:]}</PROCESSING_LEVEL><PROCESSING_BASELINE>{product.baseline}</PROCESSING_BASELINE>"
        f"<GENERATION_TIME>{stamp(product.generated)}</GENERATION_TIME><Datatake datatakeIdentifier='x'>"
        f"<SPACECRAFT_NAME>Sentinel-{product.platform[1:]}</SPACECRAFT_NAME><DATATAKE_SENSING_START>{stamp(product.start)}</DATATAKE_SENSING_START>"
        f"</Datatake><Product_Organisation><Granule_List><Granule granuleIdentifier='{tile_id(product)}' "
        f"datastripIdentifier='{product.platform}_OPER_MSI_{kind}_DS_X_20230614T130000_S{strip:%Y%m%dT%H%M%S}_N{product.baseline}'>{images}</Granule>"
        f"</Granule_List></Product_Organisation></Product_Info><Product_Image_Characteristics>"
        f"<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>"
        f'<{user}QUANTIFICATION_VALUE unit="none">{product.quantification}</{user}QUANTIFICATION_VALUE>{offsets}'
        f"<Spectral_Information_List>{spectral}</Spectral_Information_List></Product_Image_Characteristics></n1:General_Info>"
        f"<n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>{product.cloud}</Cloud_Coverage_Assessment></n1:Quality_Indicators_Info>"
        f"</n1:Level-{kind[1:]}_User_Product>"
    )


def tile_id(product):
    return (
        f"{product.platform}_OPER_MSI_{product.level}_TL_X_20230614T130000_A032000_T{product.tile}_N{product.baseline}"
    )


def granule_xml(product, rows, columns):
    sensed = product.sensed or product.start + timedelta(seconds=200)
    sizes = "".join(
        f'<Size resolution="{gsd}"><NROWS>{rows * 10 // gsd}</NROWS><NCOLS>{columns * 10 // gsd}</NCOLS></Size>'
        for gsd in (10, 20, 60)
    )
    corners = "".join(
        f'<Geoposition resolution="{gsd}"><ULX>{product.west}</ULX><ULY>{product.north}</ULY></Geoposition>'
        for gsd in (10, 20, 60)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><n1:Level-{product.level[1:]}_Tile_ID '
        f'xmlns:n1="https://psd-14.sentinel2.eo.esa.int/x">'
        f"<n1:General_Info><TILE_ID>{tile_id(product)}</TILE_ID><SENSING_TIME>{stamp(sensed)}</SENSING_TIME></n1:General_Info>"
        f"<n1:Geometric_Info><Tile_Geocoding><HORIZONTAL_CS_CODE>EPSG:{product.epsg}</HORIZONTAL_CS_CODE>{sizes}{corners}"
        f"</Tile_Geocoding></n1:Geometric_Info></n1:Level-{product.level[1:]}_Tile_ID>"
    )


def stamp(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%S}.024Z"


def write_manifest(root, kind):
    """`manifest.safe` with the size and the checksum (MD5 or SHA3-256) of every file."""
    entries = []
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.name != "manifest.safe"):
        digest = hashlib.new({"MD5": "md5", "SHA3-256": "sha3_256"}[kind], path.read_bytes()).hexdigest()
        entries.append(
            f'<dataObject><byteStream size="{path.stat().st_size}"><fileLocation '
            f'href="./{path.relative_to(root).as_posix()}"/>'
            f'<checksum checksumName="{kind}">{digest}</checksum></byteStream></dataObject>'
        )
    (root / "manifest.safe").write_text(
        f"<xfdu><dataObjectSection>{''.join(entries)}</dataObjectSection></xfdu>", encoding="utf-8"
    )


def zipped(tree: Path, target: Path, method=zipfile.ZIP_DEFLATED):
    """A zip of a product folder, with the folder's name inside."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", method) as bundle:
        for path in sorted(tree.rglob("*")):
            bundle.write(path, path.relative_to(tree.parent))
    return target


def write_item(path, assets, level="L2A", version="1.1.0", id="item-1", **properties):
    """A STAC Item; `assets` maps keys to (href, band fields) or whole asset objects."""
    listed = {
        key: value if isinstance(value, dict) else {"href": value[0], "bands": value[1]}
        for key, value in assets.items()
    }
    facts = {"datetime": "2022-06-12T10:30:00Z", "processing:level": level, "platform": "sentinel-2a", **properties}
    item = {
        "type": "Feature",
        "stac_version": version,
        "id": id,
        "geometry": None,
        "properties": facts,
        "links": [],
        "assets": listed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(item), encoding="utf-8")
    return path


def band_folder(folder, reflectance=None, offset=0, suffix="tif", **place):
    """Loose files B02.tif, ... with DN of the reflectances."""
    for band, value in (reflectance or surface()).items():
        write_image(folder / f"{band}.{suffix}", stored(value, offset), **place)
    return folder


def scene_on_disk(folder, pixels, left, top, name="made", quality=None, gsd=10):
    """A scene of uint16 bands B04, B03, B02 (and SCL) in one GeoTIFF."""
    path = folder / f"{name}.tif"
    stack = pixels if quality is None else np.concatenate([pixels, quality[None].astype(pixels.dtype)])
    height, width = pixels.shape[1:]
    profile = {"driver": "GTiff", "dtype": "uint16", "crs": "EPSG:32632", "transform": from_origin(left, top, gsd, gsd)}
    with rasterio.open(path, "w", count=len(stack), height=height, width=width, **profile) as target:
        target.write(stack)
    bounds = (left, top - gsd * height, left + gsd * width, top)
    return Scene(
        id=name,
        acquired=datetime(2024, 6, 1, tzinfo=UTC),
        level=Level.L1C,
        epsg=32632,
        bounds=bounds,
        footprint=box(11, 46, 11.1, 46.1),
        assets={band: Asset(str(path), at + 1, gsd=gsd) for at, band in enumerate(("B04", "B03", "B02"))},
        layout="raster",
        radiometry=Radiometry(),
        quality=None if quality is None else Asset(str(path), 4, nodata=0),
        files=(path,),
    )
