import io

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.windows import Window

from pipeline.atlas.chips import COLUMNS, EDGE, chip_sheets
from pipeline.atlas.imagery import brightened
from pipeline.atlas.payload import build_payload
from pipeline.errors import TileTableError


def chip(sheets, at: int) -> np.ndarray:
    number, cell = divmod(at, COLUMNS**2)
    row, col = divmod(cell, COLUMNS)
    with Image.open(io.BytesIO(sheets.sheets[number])) as image:
        return np.asarray(image.convert("RGB"))[row * EDGE : (row + 1) * EDGE, col * EDGE : (col + 1) * EDGE].astype(
            float
        )


def test_every_chip_shows_its_own_tile(collected):
    payload = build_payload(collected.scenes, ())
    sheets = chip_sheets(payload, collected.scenes, "all", 0)
    assert len(np.unique(sheets.keys)) == len(sheets.keys) == sum((layer.valid > 0).sum() for layer in payload.layers)
    for at in range(0, len(sheets.keys), 97):
        date, tile = divmod(int(sheets.keys[at]), payload.size)
        row, col = divmod(tile, payload.planes[0].cols)
        with rasterio.open(collected.scenes[date].truecolour) as source:
            expected = brightened(source.read(window=Window(col * EDGE, row * EDGE, EDGE, EDGE)))
        assert np.abs(chip(sheets, at) - np.moveaxis(expected, 0, -1)).mean() < 8


def test_dates_of_one_tile_stay_together(collected):
    payload = build_payload(collected.scenes, ())
    tiles = chip_sheets(payload, collected.scenes, "all", 0).keys % payload.size
    changes = 1 + np.count_nonzero(np.diff(tiles))
    assert changes == len(np.unique(tiles))


def test_a_budget_holds_and_takes_the_least_sure_first(collected):
    payload = build_payload(collected.scenes, ())
    all_sheets = chip_sheets(payload, collected.scenes, "all", 0)
    budget = len(all_sheets.sheets[0]) * 4 // 3 + 10
    some = chip_sheets(payload, collected.scenes, "auto", budget)
    assert len(some.sheets) == 1
    assert len(some.keys) == COLUMNS**2
    assert (some.keys == all_sheets.keys[: len(some.keys)]).all()


def test_changed_holds_fewer_than_all_and_none_holds_none(collected):
    payload = build_payload(collected.scenes, ())
    changed = chip_sheets(payload, collected.scenes, "changed", 0)
    assert 0 < len(changed.keys) < len(chip_sheets(payload, collected.scenes, "all", 0).keys)
    assert not chip_sheets(payload, collected.scenes, "none", 0).sheets


def test_a_damaged_raster_is_refused(tmp_path, collected):
    from dataclasses import replace

    bad = tmp_path / "truecolour.tif"
    bad.write_bytes(b"II*\x00broken")
    payload = build_payload(collected.scenes, ())
    with pytest.raises(TileTableError, match="--chips none"):
        chip_sheets(payload, [replace(scene, truecolour=bad) for scene in collected.scenes], "all", 0)
