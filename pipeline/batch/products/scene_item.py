"""`scene.json`: the STAC Item of one scene's results: what they are, from what, by which model.

No product itself: it lists what the products left, so it is written last, and a scene without it does not count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shapely.geometry import mapping

from pipeline import __version__
from pipeline.bands import SENSORS
from pipeline.batch.fingerprint import CHECKSUM, SHA256
from pipeline.batch.products.protocol import SceneFile
from pipeline.files import digest
from pipeline.grid import TileGrid
from pipeline.results.layout import ITEM
from pipeline.scenes.scene import Level, Scene


def write_item(
    scene: Scene, grid: TileGrid, folder: Path, files: Iterable[SceneFile], provenance: Mapping[str, Any]
) -> None:
    """Writes the Item of the results in `folder`. No time of writing, so that reruns agree."""
    import pystac
    from pystac.extensions.projection import ProjectionExtension

    path, sensor = folder / ITEM, SENSORS[scene.sensor]
    item = pystac.Item(
        id=scene.id,
        geometry=mapping(scene.footprint),
        bbox=[round(value, 7) for value in scene.footprint.bounds],
        datetime=scene.acquired,
        properties={
            "processing:software": {"landcover-atlas": __version__},
            "atlas:sensor": sensor.name,
            "atlas:attribution": sensor.attribution,
            "atlas:radiometry": asdict(scene.radiometry),
            "atlas:level": str(scene.level),
            "atlas:layout": scene.layout,
            "atlas:cloud_cover": scene.cloud_cover,
            "atlas:warnings": list(scene.warnings),
            **provenance,
        },
        stac_extensions=["https://stac-extensions.github.io/processing/v1.2.0/schema.json"],
    )
    known = {
        "constellation": sensor.constellation,
        "platform": scene.platform,
        "processing:level": {Level.L1C: "L1", Level.L2A: "L2"}.get(scene.level),
    }
    item.properties |= {name: value for name, value in known.items() if value}
    ProjectionExtension.ext(item, add_if_missing=True).epsg = grid.epsg
    extensions = {"https://stac-extensions.github.io/file/v2.1.0/schema.json"}
    for file in files:
        extra = {CHECKSUM: SHA256 + digest(folder / file.name), **file.fields}
        item.add_asset(
            file.asset or file.name.partition(".")[0],
            pystac.Asset(f"./{file.name}", media_type=file.media_type, roles=list(file.roles), extra_fields=extra),
        )
        extensions.update(file.extensions)
    item.stac_extensions += sorted(extensions)
    item.set_self_href(path.as_posix())
    item.save_object(include_self_link=False, dest_href=path.as_posix())
