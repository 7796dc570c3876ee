import numpy as np
import pytest

from pipeline.classify import ClassifyOptions, classify_scene
from pipeline.errors import ModelError, UnfitScene
from pipeline.grid import TileGrid
from pipeline.legend import EUROSAT, TileState
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction
from pipeline.models.input import ModelInput
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.radiometry import Stretch
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.scene import Level
from pipeline.tiling import grid_for, refuse_unfit
from tests.builders import scene_on_disk, write_safe, write_tif
from tests.fakes import FakeClassifier, class_of

GRID = TileGrid(32632)
LEFT, TOP = 640 * 1000, 640 * 8000


CELL = 16


class PlaceClassifier:
    """Answers with the place that a patch's own corners tell, so that a tile elsewhere than its pixels shows."""

    def __init__(self, card):
        self.card = card

    def judge(self, patches):
        west, north = patches[:, 0, 0, 0], patches[:, 0, 0, 1]
        east, south = patches[:, -1, -1, 0], patches[:, -1, -1, 1]
        codes = place_class(*(np.rint(edge * 1e4).astype(int) for edge in (west, south, east, north)))
        probabilities = np.eye(10, dtype=np.float32)[codes]
        return Prediction(probabilities, np.zeros(len(patches), bool))


def place_class(west, south, east, north):
    """A class of the cells, numbered from 1 to 1,000, that hold a tile's corner pixels."""
    return (west + 3 * south + 7 * east + 9 * north + (west * south + east * north) // 11) % 10


def scene_of_cells(folder, gsd, left, top, rows, columns):
    """A scene of pixels that know in which cell of 16 x 16 pixels, counted from the zone's origin, they lie."""
    x, y = left + gsd * (np.arange(columns) + 0.5), top - gsd * (np.arange(rows) + 0.5)
    across, up = (np.floor(place / gsd / CELL).astype(int) % 1000 + 1 for place in (x, y))
    pixels = np.stack([np.tile(across, (rows, 1)), np.tile(up[:, None], (1, columns)), np.ones((rows, columns))])
    return scene_on_disk(folder, pixels.astype(np.uint16), left, top, gsd=gsd)


@pytest.mark.parametrize(("size", "gsd"), [(32, 10.0), (64, 10.0), (128, 10.0), (64, 0.3), (256, 0.3)])
def test_models_of_any_size_map_a_scene_onto_their_own_grid(tmp_path, size, gsd):
    left, top = (gsd * round(edge / gsd) for edge in (LEFT - 13 * gsd, TOP + 7 * gsd))
    scene = scene_of_cells(tmp_path, gsd, left, top, 530, 800)
    taken = ModelInput(bands=("B04", "B03"), units="reflectance", size=size, gsd=gsd)
    classifier = PlaceClassifier(ModelCard("place", EUROSAT, taken))
    grid = grid_for(classifier.card, 32632)
    table = classify_scene(scene, classifier, grid)
    whole = table[table["valid_fraction"] == 1]
    assert len(whole) >= (530 // size - 1) * (800 // size - 1)
    for tile in whole.itertuples():
        assert TileGrid.parse_id(tile.tile_id) == (grid, (tile.col, tile.row))
        west, south, east, north = tile.geometry.bounds
        assert east - west == pytest.approx(size * gsd) and north - south == pytest.approx(size * gsd)
        pixels = west, south, east - gsd, north - gsd  # the west and south edges of the corner pixels
        cells = (int((edge + gsd / 2) / gsd / CELL) % 1000 + 1 for edge in pixels)
        assert tile.code == place_class(*cells), tile.tile_id
    assert whole["code"].nunique() >= min(len(whole), 4) - 1


def test_a_grid_that_is_not_the_models_is_refused(tmp_path):
    scene = scene_on_disk(tmp_path, np.full((3, 64, 64), 900, np.uint16), LEFT, TOP)
    with pytest.raises(ModelError, match="its patches are not the tiles of"):
        classify_scene(scene, FakeClassifier(), TileGrid(32632, tile_size=32))


def tiles_of_known_colour(rows, columns, seed=5):
    """DN (3, y, x) with one colour per tile, and the class that the fake sees in each tile."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(100, 2700, (3, rows, columns))
    codes = Stretch().codes(colours / 10_000)
    expected = [[class_of(*codes[:, r, c].astype(float)) for c in range(columns)] for r in range(rows)]
    return np.kron(colours, np.ones((64, 64), int)).astype(np.uint16), np.array(expected)


def test_every_tile_gets_its_own_answer(tmp_path):
    pixels, expected = tiles_of_known_colour(3, 5)
    table = classify_scene(scene_on_disk(tmp_path, pixels, LEFT, TOP), FakeClassifier(), GRID)
    assert table["code"].to_numpy().reshape(3, 5).tolist() == expected.tolist()
    assert table["tile_id"].iloc[0] == "32632_1000_7999"
    assert table.geometry.iloc[0].bounds == (LEFT, TOP - 640, LEFT + 640, TOP)
    assert (table["confidence"] == np.float32(0.82)).all()


def test_two_crops_agree_on_the_tiles_that_both_hold_whole(tmp_path):
    pixels = np.random.default_rng(9).integers(1, 3000, (3, 300, 460), dtype=np.uint16)
    whole = scene_on_disk(tmp_path, pixels, LEFT - 170, TOP + 90, "whole")
    crop = scene_on_disk(tmp_path, pixels[:, 35:290, 71:455], LEFT - 170 + 710, TOP + 90 - 350, "crop")
    first, second = (classify_scene(scene, FakeClassifier(), GRID).set_index("tile_id") for scene in (whole, crop))
    both = first.index.intersection(second.index)
    full = [name for name in both if first.at[name, "valid_fraction"] == second.at[name, "valid_fraction"] == 1]
    assert len(full) >= 8
    columns = ["code", *(name for name in first.columns if name.startswith("p_"))]
    assert first.loc[full, columns].equals(second.loc[full, columns])


@pytest.mark.parametrize(("min_valid", "classified"), [(0.0, 4), (0.5, 2), (0.9, 1), (1.0, 1)])
def test_partial_tiles_follow_min_valid(tmp_path, min_valid, classified):
    pixels = np.full((3, 64, 256), 1000, np.uint16)
    for tile, share in enumerate((64, 48, 16, 4)):
        pixels[:, :, tile * 64 + share : (tile + 1) * 64] = 0
    table = classify_scene(
        scene_on_disk(tmp_path, pixels, LEFT, TOP), FakeClassifier(), GRID, ClassifyOptions(min_valid=min_valid)
    )
    assert table["valid_fraction"].tolist() == [1, 0.75, 0.25, 0.0625]
    assert (table["code"] >= 0).sum() == classified
    assert set(table["code"][table["code"] < 0]) <= {TileState.NO_DATA}


def test_no_zero_reaches_the_network(tmp_path):
    pixels = np.full((3, 64, 128), 800, np.uint16)
    pixels[:, np.tri(64, 128, 30, dtype=bool)] = 0
    fake = FakeClassifier()
    classify_scene(scene_on_disk(tmp_path, pixels, LEFT, TOP), fake, GRID, ClassifyOptions(min_valid=0.1))
    assert fake.seen and all((patch == Stretch().codes(np.array(0.08))).all() for patch in fake.seen)


def test_cloud_and_snow_become_states(tmp_path):
    pixels = np.full((3, 64, 64 * 5), 1000, np.uint16)
    quality = np.full((64, 64 * 5), 4)
    quality[:32, 64:128] = 9
    quality[:, 128:192] = 3
    quality[:40, 192:256] = 11
    quality[:16, 256:] = 8
    table = classify_scene(scene_on_disk(tmp_path, pixels, LEFT, TOP, quality=quality), FakeClassifier(), GRID)
    assert table["code"].tolist()[1:4] == [TileState.CLOUD, TileState.CLOUD, TileState.UNCLASSIFIED]
    assert table["code"].iloc[0] >= 0 and table["code"].iloc[4] >= 0
    assert table["cloud_fraction"].tolist() == [0, 0.5, 1, 0, 0.25]


@pytest.mark.parametrize("code", range(12))
def test_shadow_cloud_and_cirrus_mask_a_tile_and_no_other_class_does(tmp_path, code):
    quality = np.full((64, 128), 4)
    quality[:30, :64] = code
    scene = scene_on_disk(tmp_path, np.full((3, 64, 128), 1000, np.uint16), LEFT, TOP, quality=quality)
    table = classify_scene(scene, FakeClassifier(), GRID)
    cloud = code in (3, 8, 9, 10)
    assert (table["code"].iloc[0] == TileState.CLOUD) == cloud and table["code"].iloc[1] >= 0
    assert table["cloud_fraction"].tolist() == [30 / 64 if cloud else 0, 0]


def test_unfamiliar_tiles_carry_no_class_but_keep_their_probabilities(tmp_path):
    pixels = np.full((3, 64, 128), 500, np.uint16)
    pixels[:, :, 64:] = 2600
    table = classify_scene(scene_on_disk(tmp_path, pixels, LEFT, TOP), FakeClassifier(unfamiliar_above=200), GRID)
    assert table["label"].tolist()[1] == "unclassified" and table["code"].iloc[0] >= 0
    assert table["p_Forest"].notna().all()


def test_without_a_classification_layer_cloud_is_unknown(tmp_path):
    pixels = np.full((3, 64, 64), 1000, np.uint16)
    table = classify_scene(scene_on_disk(tmp_path, pixels, LEFT, TOP), FakeClassifier(), GRID)
    assert np.isnan(table["cloud_fraction"].iloc[0])


def test_a_picture_from_a_plane_is_found_and_mapped_in_its_own_pixels(tmp_path):
    gsd, size, rows, columns = 0.3, 32, 3, 5
    left, top = (gsd * size * at for at in (66_700, 533_300))
    colours = np.random.default_rng(4).integers(1, 256, (3, rows, columns))
    picture = np.kron(colours, np.ones((size, size), int)).astype(np.uint8)
    write_tif(tmp_path / "city.tif", picture, west=left, north=top, gsd=gsd, photometric="RGB")
    taken = ModelInput("aerial", ("red", "green", "blue"), "dn", size, gsd)
    (scene,) = find_scenes(tmp_path, taken.reading())
    assert (scene.sensor, scene.gsd, scene.level) == ("aerial", gsd, Level.RGB)
    card = ModelCard("aerial", EUROSAT, taken)
    refuse_unfit(card, scene)
    table = classify_scene(inspect_pixels(scene), FakeClassifier(card), grid_for(card, scene.epsg))
    expected = [[class_of(*colours[:, row, col]) for col in range(columns)] for row in range(rows)]
    assert table["code"].to_numpy().reshape(rows, columns).tolist() == expected
    assert table["tile_id"].iloc[0] == f"32632_66700_{533_300 - 1}_32x0.3m"
    with pytest.raises(UnfitScene):
        refuse_unfit(FakeClassifier().card, scene)


def test_a_satellite_scene_is_no_picture_from_a_plane(tmp_path):
    write_safe(tmp_path)
    (refused,) = find_scenes(tmp_path, ModelInput("aerial", ("red", "green", "blue"), "dn", 64, 10.0).reading())
    assert refused.error == "UnfitScene" and "a scene of Sentinel-2" in refused.reason
