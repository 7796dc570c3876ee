"""Aerial pictures in a known pattern, mapped by the stored model for them, on a page of its own grid and legend."""

import io
import json
from zipfile import ZipFile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pyproj import Transformer

from pipeline.cli import main
from pipeline.legend import UC_MERCED
from pipeline.models import store
from pipeline.results.table import read_table
from tests.builders import write_tif

MODEL = "ucmerced-efficientnet-lite"
EPSG, COL, ROW, EDGE = 32611, 6000, 49999, 76.8
# Rows from north to south.
PATTERN = (
    ("forest", "beach", "harbor", "parkinglot"),
    ("chaparral", "river", "golfcourse", "storagetanks"),
    ("agricultural", "freeway", "denseresidential", "tenniscourt"),
)


@pytest.fixture(scope="module")
def mapped(shared_data, tmp_path_factory):
    """Tables and page of a mosaic of published pictures, one a tile."""
    if MODEL not in store.names():
        pytest.skip(f"{MODEL} is not stored here")
    folder = tmp_path_factory.mktemp("aerial")
    mosaic = np.zeros((3, 256 * len(PATTERN), 256 * len(PATTERN[0])), np.uint8)
    with ZipFile(shared_data / "ucmerced" / "UCMerced_train.zip") as pictures:
        for row, line in enumerate(PATTERN):
            for col, label in enumerate(line):
                names = sorted(name for name in pictures.namelist() if f"/{label}/" in f"/{name}" and "." in name)
                sizes = (Image.open(io.BytesIO(pictures.read(name))).convert("RGB") for name in names)
                whole = next(picture for picture in sizes if picture.size == (256, 256))
                mosaic[:, 256 * row : 256 * (row + 1), 256 * col : 256 * (col + 1)] = np.moveaxis(
                    np.asarray(whole), -1, 0
                )
    corner = {"west": COL * EDGE, "north": (ROW + 1) * EDGE}
    write_tif(folder / "scenes" / "town_20200101.tif", mosaic, epsg=EPSG, gsd=0.3, photometric="RGB", **corner)
    told = ["run", str(folder / "scenes"), "--model", MODEL, "--tiles", str(folder / "tiles")]
    answer = CliRunner().invoke(main, [*told, "--maps", str(folder / "maps")])
    assert answer.exit_code == 0, answer.output
    return folder


def test_tiles_lie_on_the_models_own_grid_and_carry_their_pictures_class(mapped):
    table = read_table(next(mapped.glob("tiles/*/*/tiles.parquet"))).set_index("tile_id")
    wanted = {
        f"{EPSG}_{COL + col}_{ROW - row}_256x0.3m": label
        for row, line in enumerate(PATTERN)
        for col, label in enumerate(line)
    }
    assert set(table.index) == set(wanted)
    right = [table.at[tile, "label"] == label for tile, label in wanted.items() if table.at[tile, "code"] >= 0]
    assert len(right) >= 9  # the gate may refuse a few
    assert np.mean(right) >= 0.9
    record = json.loads(next(mapped.glob("tiles/*/run.json")).read_text())["scenes"][0]
    assert record["status"] == "done"


def test_the_page_shows_them_where_they_lie_in_21_colours(mapped, open_page):
    table = read_table(next(mapped.glob("tiles/*/*/tiles.parquet")))
    opened = open_page(mapped / "maps" / "atlas.html")
    assert opened.js("atlas.grid.tile") == pytest.approx(EDGE)
    assert opened.js("atlas.meta.classes.length") == 21
    to_degrees = Transformer.from_crs(EPSG, 4326, always_xy=True)
    named = table[table["code"] >= 0]
    for row in (named.iloc[0], named.iloc[-1]):
        lon, lat = to_degrees.transform((row["col"] + 0.5) * EDGE, (row["row"] + 0.5) * EDGE)
        opened.window.move(*opened.point(lat, lon))
        opened.frame()
        assert opened.text(".tip").startswith(UC_MERCED.classes[int(row["code"])].title)
        assert row["tile_id"] in opened.text(".card")
        number = opened.js(f"atlas.grid.byId({json.dumps(row['tile_id'])})")
        assert opened.js(f"atlas.grid.id({number})") == row["tile_id"]
    assert opened.js(f"atlas.grid.byId('{EPSG}_{COL}_{ROW}')") == -1  # a tile of another grid
    told = opened.js("document.documentElement.textContent")
    assert "tiles of 76.8" in told and "Yang and Newsam" in told
    assert "Copernicus" not in told and "640 m" not in told.replace("\u00a0", " ")


def test_its_pictures_are_the_tiles_own(mapped):
    from pipeline.atlas.chips import COLUMNS, chip_sheets
    from pipeline.atlas.collect import collect
    from pipeline.atlas.payload import build_payload

    scenes = collect(next(mapped.glob("tiles/*"))).scenes
    payload = build_payload(scenes, ())
    found = chip_sheets(payload, scenes, "all", 0)
    assert found.edge == 64
    with Image.open(mapped / "scenes" / "town_20200101.tif") as mosaic:
        ground = np.asarray(mosaic.resize((64 * len(PATTERN[0]), 64 * len(PATTERN)), Image.Resampling.BOX), float)
    with Image.open(io.BytesIO(found.sheets[0])) as sheet:
        shown = np.asarray(sheet.convert("RGB"), float)
    likeness = np.zeros((len(found.keys), len(found.keys)))
    for at in range(len(found.keys)):
        y, x = divmod(at, COLUMNS)
        chip = shown[64 * y : 64 * (y + 1), 64 * x : 64 * (x + 1)].mean(axis=2).ravel()
        for other in found.keys.tolist():
            row, col = divmod(other % payload.size, payload.planes[0].cols)
            piece = ground[64 * row : 64 * (row + 1), 64 * col : 64 * (col + 1)].mean(axis=2).ravel()
            likeness[at, found.keys.tolist().index(other)] = np.corrcoef(chip, piece)[0, 1]
    assert (likeness.argmax(axis=1) == np.arange(len(found.keys))).all()
