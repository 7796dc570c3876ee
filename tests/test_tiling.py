from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from pipeline.errors import IncompleteScene, ResolutionError, UnfitScene
from pipeline.grid import TileGrid, TileIndex
from pipeline.tiling import (
    Block,
    _strips_ahead,
    blocks,
    cut,
    fill_by_reflection,
    grid_for,
    patches,
    refuse_unfit,
    tile_fraction,
    tile_indices,
)
from tests.builders import scene_on_disk
from tests.fakes import CARD

GRID = TileGrid(32632)


@given(st.integers(1, 4), st.integers(1, 5))
def test_cut_tiles_stitch_back(rows, columns):
    plane = np.arange(rows * columns * 64).reshape(rows * 8, columns * 8)
    tiles = cut(plane, 8)
    stitched = np.block([[tiles[r * columns + c] for c in range(columns)] for r in range(rows)])
    assert np.array_equal(stitched, plane)


@given(st.integers(1, 4), st.integers(1, 5))
def test_indices_and_fractions_follow_the_cut(rows, columns):
    mask = np.zeros((rows * 64, columns * 64), bool)
    mask[:64, -64:] = True
    index = tile_indices(TileIndex(100, 200), mask.shape, 64)
    fraction = tile_fraction(mask, 64)
    assert index[fraction == 1].tolist() == [[100 + columns - 1, 200]]
    assert len(index) == rows * columns == len({tuple(row) for row in index.tolist()})
    assert index[-1].tolist() == [100 + columns - 1, 200 - rows + 1]


@given(hnp.arrays(bool, (6, 9)).filter(lambda valid: valid.any()), st.integers(0, 2**32 - 1))
def test_filled_pixels_come_from_valid_ones(valid, seed):
    patch = np.random.default_rng(seed).integers(1, 255, (6, 9, 3), dtype=np.uint8)
    patch[~valid] = 0
    filled = fill_by_reflection(patch, valid)
    assert (filled > 0).all()
    assert np.array_equal(filled[valid], patch[valid])


@given(st.integers(0, 9), st.integers(0, 12), st.integers(0, 3))
def test_what_is_filled_is_the_mirror_of_the_nearest_valid_pixel(top, left, seed):
    """Only the box around the gaps is searched: a gap at a corner, and specks apart from it."""
    rng = np.random.default_rng(seed)
    valid = np.ones((10, 13), bool)
    valid[:top], valid[:, :left] = False, False
    valid[rng.random(valid.shape) < 0.1] = False
    assume(valid.any())
    patch = np.arange(valid.size).reshape(*valid.shape, 1)
    y, x = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    filled = fill_by_reflection(patch, valid)[..., 0]
    for row, column in np.argwhere(~valid):
        near = y[row, column], x[row, column]
        mirror = 2 * near[0] - row, 2 * near[1] - column
        there = all(0 <= at < side for at, side in zip(mirror, valid.shape, strict=True)) and valid[mirror]
        assert filled[row, column] == patch[mirror if there else near][0]


def test_a_straight_edge_is_mirrored():
    patch = np.zeros((4, 8, 1), np.uint8)
    patch[:, :5, 0] = [10, 20, 30, 40, 50]
    filled = fill_by_reflection(patch, patch[..., 0] > 0)
    assert filled[0, :, 0].tolist() == [10, 20, 30, 40, 50, 40, 30, 20]


def test_patches_are_network_shaped():
    pixels = np.arange(3 * 64 * 128, dtype=np.uint16).reshape(3, 64, 128)
    valid = np.ones((64, 128), bool)
    valid[:, 96:] = False
    found = patches(Block(TileIndex(5, 9), pixels, valid), 64)
    assert found.index.tolist() == [[5, 9], [6, 9]]
    assert found.pixels.shape == (2, 64, 64, 3)
    assert np.array_equal(found.pixels[0], np.moveaxis(pixels[:, :, :64], 0, -1))
    assert found.valid_fraction.tolist() == [1, 0.5]


@pytest.mark.parametrize("tile_rows", [1, 2, 16])
def test_blocks_cover_the_scene_whatever_their_height(tmp_path, tile_rows):
    rng = np.random.default_rng(3)
    pixels = rng.integers(1, 5000, (3, 200, 330), dtype=np.uint16)
    quality = rng.integers(1, 11, (200, 330))
    scene = scene_on_disk(tmp_path, pixels, 640 * 1000 + 130, 640 * 8000 + 250, quality=quality)
    found = list(blocks(scene, GRID, ("B02", "B04"), tile_rows))
    whole = np.concatenate([block.pixels for block in found], axis=1)
    valid = np.concatenate([block.valid for block in found])
    seen = np.concatenate([block.quality for block in found])
    columns, rows = GRID.covering(scene.bounds)
    assert whole.shape == (2, 64 * len(rows), 64 * len(columns))
    assert found[0].origin == TileIndex(columns.start, rows.stop - 1)
    top = round(((rows.stop) * 640 - (640 * 8000 + 250)) / 10)
    place = (slice(top, top + 200), slice(13, 13 + 330))
    assert np.array_equal(whole[(slice(None), *place)], pixels[[2, 0]])
    assert np.array_equal(seen[place], quality)
    assert valid[place].all() and valid.sum() == 200 * 330


def test_bands_keep_the_order_that_was_asked_for(tmp_path):
    pixels = np.stack([np.full((64, 64), value, np.uint16) for value in (400, 300, 200)])
    scene = scene_on_disk(tmp_path, pixels, 640_000, 640 * 8000)
    (block,) = blocks(scene, GRID, ("B03", "B02", "B04"))
    assert block.pixels[:, 0, 0].tolist() == [300, 200, 400]


@pytest.mark.parametrize(
    ("size", "rows"), [(32, [256, 256, 96]), (64, [256, 256, 128]), (128, [256, 256, 256]), (512, [512, 512])]
)
def test_strips_are_as_tall_whatever_the_tiles(tmp_path, size, rows):
    scene = scene_on_disk(tmp_path, np.ones((3, 600, 70), np.uint16), 640_000, 640 * 8000 - 640)
    assert [block.valid.shape[0] for block in blocks(scene, TileGrid(32632, 10.0, size), ("B04",))] == rows


def test_large_strips_are_not_read_ahead():
    granule = TileGrid(32632)
    assert _strips_ahead(granule, 172, 4, 3) == 4
    assert _strips_ahead(granule, 172, 4, 10) == 1
    assert _strips_ahead(TileGrid(32632, 0.3, 512), 200, 1, 3) == 1


def test_the_grid_is_the_card_s():
    card = replace(CARD, input=replace(CARD.input, size=128, gsd=20.0))
    assert grid_for(card, 32733) == TileGrid(32733, gsd=20.0, tile_size=128)
    assert grid_for(CARD, 32633) == TileGrid(32633)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"bands": ("B04", "B08", "B11")}, IncompleteScene, r"made: lacks B08, B11 \(it has B04, B03, B02\)"),
        ({"sensor": "aerial"}, UnfitScene, "made: was taken by sentinel-2, fake was trained on aerial"),
        ({"gsd": 0.3}, ResolutionError, r"made \(B04\): its pixels are 10.0 m"),
        ({"gsd": 40.0}, ResolutionError, r"made \(B04\): its pixels are 10.0 m"),
    ],
)
def test_a_scene_that_the_model_cannot_be_fed_is_refused_unopened(tmp_path, changes, error, message):
    scene = scene_on_disk(tmp_path, np.ones((3, 8, 8), np.uint16), 640_000, 640 * 8000)
    refuse_unfit(CARD, scene)
    (tmp_path / "made.tif").unlink()
    with pytest.raises(error, match=message):
        refuse_unfit(replace(CARD, input=replace(CARD.input, **changes)), scene)
