"""Finished tile tables as one file of another format."""

from pathlib import Path

import geopandas as gpd
import pandas as pd

from pipeline.errors import TileTableError
from pipeline.files import whole_file
from pipeline.results.layout import TABLE, scene_folders
from pipeline.results.table import read_table


def export_tables(folder: Path, out: Path, driver: str | None, scene: str | None = None) -> int:
    """Writes all tiles of a model's folder (or of one scene) in longitude and latitude.

    None as driver means CSV with WKT.

    Returns the number of tiles.

    Raises:
        TileTableError: there is no such scene, or a table is damaged.
        OutputError: the file cannot be written.
    """
    chosen = [path for path in scene_folders(folder) if scene in (None, path.name)]
    if not chosen:
        raise TileTableError(
            f"{folder}: holds no finished scene{f' named {scene}' if scene else ''}; look with: python -m "
            f"pipeline scenes"
        )
    tables = [read_table(path / TABLE).to_crs(4326) for path in chosen]
    joined = gpd.GeoDataFrame(pd.concat(tables, ignore_index=True), crs=4326)
    for name in {"scene", "label", *joined.select_dtypes("category")}:
        joined[name] = joined[name].astype(str)
    with whole_file(out) as part:
        if driver is None:
            joined.to_csv(part, index=False)
        else:
            joined.to_file(part, driver=driver, layer="tiles")
    return len(joined)
