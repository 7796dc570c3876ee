"""Finished tile tables as one file of another format."""

from contextlib import suppress
from pathlib import Path

import geopandas as gpd
import pandas as pd

from pipeline.batch.run import scene_folders
from pipeline.errors import OutputError, TileTableError
from pipeline.tiles import read_table


def export_tables(folder: Path, out: Path, driver: str | None, scene: str | None = None) -> int:
    """Writes all tiles of a model's folder (or of one scene) in longitude and latitude; None as driver means CSV with WKT.

    Returns the number of tiles.

    Raises:
        TileTableError: there is no such scene, or a table is damaged.
        OutputError: the file cannot be written.
    """
    chosen = [path for path in scene_folders(folder) if scene in (None, path.name)]
    if not chosen:
        raise TileTableError(f"{folder}: holds no finished scene{f' named {scene}' if scene else ''}; look with: python -m pipeline scenes")
    tables = [read_table(path / "tiles.parquet").to_crs(4326) for path in chosen]
    joined = gpd.GeoDataFrame(pd.concat(tables, ignore_index=True), crs=4326)
    for name in ("scene", "label"):
        joined[name] = joined[name].astype(str)
    part = out.with_name(f".part-{out.name}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if driver is None:
            joined.to_csv(part, index=False)
        else:
            joined.to_file(part, driver=driver, layer="tiles")
        part.replace(out)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(f"{out}: cannot be written ({error}); free space or choose another place") from error
    return len(joined)
