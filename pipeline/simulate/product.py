"""Writes made pixels as a compact SAFE product, with the metadata that a reader of real ones needs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.warp import transform_bounds

from pipeline.bands import BANDS
from pipeline.grid import Bounds

QUANTIFICATION = 10_000
IMAGE_FORMATS = {"jp2": "JPEG2000", "tif": "GeoTIFF"}


@dataclass(frozen=True, slots=True)
class Product:
    """What names and places a Level-2A product."""

    acquired: datetime
    """When it was taken."""
    generated: datetime
    """When it was made."""
    baseline: str
    """Such as 05.09."""
    offset: int | None
    """DN that its metadata adds before the division by 10,000; None where its baseline knew none."""
    mgrs: str
    """Such as 32TNT."""
    epsg: int
    """Its UTM zone."""
    west: int
    """Left edge in metres."""
    north: int
    """Upper edge in metres."""
    width: int
    """In 10 m pixels."""
    height: int
    """In 10 m pixels."""
    satellite: str = "S2B"
    """Such as S2B."""
    orbit: int = 108
    """The relative orbit."""
    absolute_orbit: int = 22_881
    """Counted from launch."""

    @property
    def name(self) -> str:
        """The product's name without `.SAFE`."""
        number = self.baseline.replace(".", "")
        sensed, made = f"{self.acquired:%Y%m%dT%H%M%S}", f"{self.generated:%Y%m%dT%H%M%S}"
        return f"{self.satellite}_MSIL2A_{sensed}_N{number}_R{self.orbit:03}_T{self.mgrs}_{made}"

    @property
    def granule(self) -> str:
        """The name of the granule's folder."""
        return f"L2A_T{self.mgrs}_A{self.absolute_orbit:06}_{self.acquired:%Y%m%dT%H%M%S}"

    @property
    def bounds(self) -> Bounds:
        """Left, bottom, right, top in metres."""
        return self.west, self.north - 10 * self.height, self.west + 10 * self.width, self.north

    def image(self, band: str, gsd: int) -> str:
        """The path of an image inside the product, without its suffix."""
        return f"GRANULE/{self.granule}/IMG_DATA/R{gsd}m/T{self.mgrs}_{self.acquired:%Y%m%dT%H%M%S}_{band}_{gsd}m"


def write_image(path: Path, pixels: npt.NDArray[Any], product: Product, gsd: int) -> None:
    """Stores one band (y, x) without loss; the suffix decides between JPEG 2000 and GeoTIFF."""
    options: dict[str, Any] = {
        "driver": "GTiff",
        "compress": "deflate",
        "predictor": 2,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
    }
    if path.suffix == ".jp2":
        options = {
            "driver": "JP2OpenJPEG",
            "QUALITY": "100",
            "REVERSIBLE": "YES",
            "BLOCKXSIZE": "512",
            "BLOCKYSIZE": "512",
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape
    transform = Affine(gsd, 0, product.west, 0, -gsd, product.north)
    profile = {
        "width": width,
        "height": height,
        "count": 1,
        "dtype": pixels.dtype,
        "crs": f"EPSG:{product.epsg}",
        "transform": transform,
    }
    with rasterio.open(path, "w", **profile, **options) as image:
        image.write(pixels, 1)


def write_product(
    folder: Path,
    product: Product,
    bands: Mapping[str, npt.NDArray[np.uint16]],
    quality: npt.NDArray[np.uint8],
    cloud_cover: float,
    suffix: str = "jp2",
) -> Path:
    """Writes `folder`/<name>.SAFE from DN of 10 m bands (y, x) and a 20 m scene classification; returns its path.

    `cloud_cover` is in percent, `suffix` jp2 or tif. DN 0 is no data.
    """
    root = folder / f"{product.name}.SAFE"
    images = {product.image(name, 10): (pixels, 10) for name, pixels in bands.items()} | {
        product.image("SCL", 20): (quality, 20)
    }
    for image, (pixels, gsd) in images.items():
        write_image(root / f"{image}.{suffix}", pixels, product, gsd)
    (root / "MTD_MSIL2A.xml").write_text(_product_xml(product, list(images), cloud_cover, suffix), encoding="utf-8")
    (root / "GRANULE" / product.granule / "MTD_TL.xml").write_text(_tile_xml(product, cloud_cover), encoding="utf-8")
    write_manifest(root)
    return root


def write_manifest(root: Path) -> None:
    """Lists every file of a product with its size and SHA3-256 in `manifest.safe`."""
    entries = []
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.name != "manifest.safe"):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha3_256").hexdigest()
        inside = path.relative_to(root).as_posix()
        mime = "text/xml" if path.suffix == ".xml" else "application/octet-stream"
        entries.append(
            f'    <dataObject ID="{inside.replace("/", "_").replace(".", "_")}">\n'
            f'      <byteStream mimeType="{mime}" size="{path.stat().st_size}">\n'
            f'        <fileLocation locatorType="URL" href="./{inside}"/>\n'
            f'        <checksum checksumName="SHA3-256">{digest}</checksum>\n'
            f"      </byteStream>\n    </dataObject>\n"
        )
    (root / "manifest.safe").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" '
        'version="esa/safe/sentinel/1.1/sentinel-2/msi/archive_l2a_user_product">\n'
        f"  <dataObjectSection>\n{''.join(entries)}  </dataObjectSection>\n</xfdu:XFDU>\n",
        encoding="utf-8",
    )


def _product_xml(product: Product, images: list[str], cloud_cover: float, suffix: str) -> str:
    """`MTD_MSIL2A.xml`, in the order of elements of real products of baselines 03.01 and 05.09."""
    start = f"{product.acquired:%Y-%m-%dT%H:%M:%S}.024Z"
    west, south, east, north = transform_bounds(f"EPSG:{product.epsg}", "EPSG:4326", *product.bounds)
    corners = (
        f"{north:.6f} {west:.6f} {north:.6f} {east:.6f} {south:.6f} {east:.6f} {south:.6f} {west:.6f} "
        f"{north:.6f} {west:.6f}"
    )
    offsets = ""
    if product.offset is not None:
        lines = "\n".join(
            f'        <BOA_ADD_OFFSET band_id="{band.number}">{product.offset}</BOA_ADD_OFFSET>' for band in BANDS
        )
        offsets = f"      <BOA_ADD_OFFSET_VALUES_LIST>\n{lines}\n      </BOA_ADD_OFFSET_VALUES_LIST>\n"
    spectral = "\n".join(
        f'        <Spectral_Information bandId="{band.number}" physicalBand="B{band.name[1:].lstrip("0")}">'
        f"<RESOLUTION>{band.gsd}</RESOLUTION><Wavelength><CENTRAL "
        f'unit="nm">{band.centre}</CENTRAL></Wavelength></Spectral_Information>'
        for band in BANDS
    )
    files = "\n".join(f"            <IMAGE_FILE>{image}</IMAGE_FILE>" for image in images)
    stamp = f"{product.generated:%Y%m%dT%H%M%S}"
    orbit = f"{product.absolute_orbit:06}"
    identifier = f"{product.satellite}_OPER_MSI_L2A_TL_SIMU_{stamp}_A{orbit}_T{product.mgrs}_N{product.baseline}"
    datatake = f"G{product.satellite}_{product.acquired:%Y%m%dT%H%M%S}_{orbit}_N{product.baseline}"
    strip = f"{product.satellite}_OPER_MSI_L2A_DS_SIMU_{stamp}_S{product.acquired:%Y%m%dT%H%M%S}_N{product.baseline}"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<!-- A simulated landscape: no measurement, no place on Earth looks like this. -->
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{start}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{start}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{product.name}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{product.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{product.generated:%Y-%m-%dT%H:%M:%S}.000000Z</GENERATION_TIME>
      <Datatake datatakeIdentifier="{datatake}">
        <SPACECRAFT_NAME>Sentinel-{product.satellite[1:]}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{start}</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{product.orbit}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Query_Options completeSingleTile="true"><PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT></Query_Options>
      <Product_Organisation>
        <Granule_List>
          <Granule datastripIdentifier="{strip}" granuleIdentifier="{identifier}" imageFormat="{IMAGE_FORMATS[suffix]}">
{files}
          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
      <Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
      <QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</BOA_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>
{offsets}      <Spectral_Information_List>
{spectral}
      </Spectral_Information_List>
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Product_Footprint>
      <Product_Footprint>
        <Global_Footprint><EXT_POS_LIST>{corners}</EXT_POS_LIST></Global_Footprint>
      </Product_Footprint>
    </Product_Footprint>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>{cloud_cover:.6f}</Cloud_Coverage_Assessment>
  </n1:Quality_Indicators_Info>
</n1:Level-2A_User_Product>
"""


def _tile_xml(product: Product, cloud_cover: float) -> str:
    """`MTD_TL.xml` of the granule; a tile is sensed some minutes after its datatake began."""
    stamp = f"{product.generated:%Y%m%dT%H%M%S}_A{product.absolute_orbit:06}_T{product.mgrs}"
    sensed = product.acquired + timedelta(minutes=6, seconds=41)
    zone = f"{product.epsg % 100:02}{'N' if product.epsg < 32700 else 'S'}"
    sizes = "\n".join(
        f'      <Size resolution="{gsd}"><NROWS>{-(-product.height * 10 // gsd)}</NROWS>'
        f"<NCOLS>{-(-product.width * 10 // gsd)}</NCOLS></Size>"
        for gsd in (10, 20, 60)
    )
    places = "\n".join(
        f"      <Geoposition "
        f'resolution="{gsd}"><ULX>{product.west}</ULX><ULY>{product.north}</ULY><XDIM>{gsd}</XDIM><YDIM>-{gsd}</YDIM></Geoposition>'
        for gsd in (10, 20, 60)
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<!-- A simulated landscape: no measurement, no place on Earth looks like this. -->
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{product.satellite}_OPER_MSI_L2A_TL_SIMU_{stamp}_N{product.baseline}</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{sensed:%Y-%m-%dT%H:%M:%S}.000000Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone {zone}</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{product.epsg}</HORIZONTAL_CS_CODE>
{sizes}
{places}
    </Tile_Geocoding>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Image_Content_QI>
      <CLOUDY_PIXEL_PERCENTAGE>{cloud_cover:.6f}</CLOUDY_PIXEL_PERCENTAGE>
    </Image_Content_QI>
  </n1:Quality_Indicators_Info>
</n1:Level-2A_Tile_ID>
"""
