"""The card's input: what it accepts, and how stored numbers become it."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from shapely.geometry import box

from pipeline.bands import RGB
from pipeline.errors import AmbiguousRadiometry, IncompleteScene, ModelError
from pipeline.legend import EUROSAT
from pipeline.models import store
from pipeline.models.card import ModelCard
from pipeline.models.input import ModelInput, network_input, true_colour
from pipeline.scenes.radiometry import SURFACE_TO_TOP, Harmonisation, Stretch, surface_to_top
from pipeline.scenes.scene import Asset, Level, Radiometry, Scene

FOUR = ("B02", "B03", "B04", "B08")
LINES = {"L2A": Harmonisation(scale=(2.0, 1.0, 0.5, 3.0), offset=(0.0, 0.05, 0.1, -0.2))}


def scene_of(bands, level=Level.L2A, **asset):
    return Scene(
        "made",
        datetime(2024, 6, 1, tzinfo=UTC),
        level,
        32632,
        (0, 0, 640, 640),
        box(9, 0, 9.1, 0.1),
        {band: Asset("x.tif", at + 1, **asset) for at, band in enumerate(bands)},
        "raster",
        Radiometry(),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": ()}, "no bands"),
        ({"units": "counts"}, "units 'counts'"),
        ({"size": 0}, "0 pixels"),
        ({"gsd": 0.0}, "0.0 m"),
        ({"stretch": None}, "without a stretch"),
        ({"harmonisation": LINES}, "4 lines of harmonisation for 3 bands"),
    ],
)
def test_an_input_that_is_none_is_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        ModelInput(**{"stretch": Stretch(), **changes})


@pytest.mark.parametrize(
    "taken",
    [
        ModelInput(stretch=Stretch(), harmonisation={"L2A": surface_to_top(RGB)}),
        ModelInput("aerial", ("red", "green", "blue"), "dn", 256, 0.3),
        ModelInput(bands=FOUR, units="reflectance", size=32, harmonisation=LINES),
    ],
)
def test_cards_round_trip_through_their_file(tmp_path, taken):
    card = ModelCard("one", EUROSAT, taken, temperature=0.7, sha256={"model.keras": "ab"})
    card.write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json") == card


def test_a_card_of_the_first_version_is_understood(tmp_path):
    now = json.loads((store.FOLDER / store.DEFAULT / "card.json").read_text())
    taken = now.pop("input")
    del now["kind"]
    old = now | {
        "bands": taken["bands"],
        "patch_size": 64,
        "units": "code",
        "stretch": taken["stretch"] | {"harmonisation": taken["harmonisation"]},
    }
    (tmp_path / "card.json").write_text(json.dumps(old))
    assert ModelCard.read(tmp_path / "card.json") == store.card(store.DEFAULT)
    (tmp_path / "card.json").write_text(json.dumps(old | {"units": "counts"}))
    with pytest.raises(ModelError, match=r"card\.json: the card's input has units 'counts'"):
        ModelCard.read(tmp_path / "card.json")


def test_a_card_of_an_unknown_kind_is_refused():
    with pytest.raises(ModelError, match="of kind 'video'"):
        ModelCard("one", EUROSAT, ModelInput(stretch=Stretch()), kind="video")


def test_reflectance_is_harmonised_by_level_and_band():
    taken = ModelInput(bands=FOUR, units="reflectance", harmonisation=LINES)
    stored = np.full((4, 2, 3), 1000, np.uint16)
    moved = network_input(stored, scene_of(FOUR), taken)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved[:, 1, 2], [0.2, 0.15, 0.15, 0.1], rtol=1e-6)
    np.testing.assert_allclose(network_input(stored, scene_of(FOUR, Level.L1C), taken), 0.1, rtol=1e-6)
    dark = network_input(stored // 50, scene_of(FOUR), taken)
    assert dark[3].max() == 0  # the line leads below 0


def test_codes_are_harmonised_by_level_and_follow_the_bands_not_their_place_in_the_file():
    taken = ModelInput(stretch=Stretch(), harmonisation={"L2A": surface_to_top(RGB)})
    stored = np.stack([np.full((2, 3), dn, np.uint16) for dn in (400, 800, 1200)])
    scene = replace(scene_of(RGB), assets={band: Asset("x.tif", offset=-0.01) for band in reversed(RGB)})
    found = network_input(stored, scene, taken)[:, 0, 0]
    lines = [SURFACE_TO_TOP[band] for band in RGB]
    expected = [scale * (dn - 100) / 1e4 + add for dn, (scale, add) in zip((400, 800, 1200), lines, strict=True)]
    assert found.tolist() == Stretch().codes(np.array(expected)).tolist()
    plain = network_input(stored, replace(scene, level=Level.L1C), taken)[:, 0, 0]
    assert plain.tolist() == Stretch().codes(np.array([0.03, 0.07, 0.11])).tolist()


def test_pictures_pass_as_they_are_and_other_numbers_are_refused():
    taken = ModelInput("aerial", ("red", "green", "blue"), "dn", 256, 0.3)
    picture = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    scene = scene_of(taken.bands, scale=0.3, offset=7.0)
    assert np.array_equal(network_input(picture, scene, taken), picture)
    with pytest.raises(AmbiguousRadiometry, match="holds uint16 numbers"):
        network_input(picture.astype(np.uint16), scene, taken)


def test_a_missing_band_is_told():
    with pytest.raises(IncompleteScene, match=r"lacks B08 \(it has B04, B03, B02\)"):
        network_input(np.ones((4, 2, 2), np.uint16), scene_of(RGB), ModelInput(bands=FOUR, units="reflectance"))


def test_the_picture_for_people_is_red_green_and_blue_of_any_input():
    codes = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
    four = ModelInput(bands=FOUR, stretch=Stretch())
    assert np.array_equal(true_colour(codes, four), codes[[2, 1, 0]])
    colours = ModelInput("aerial", ("blue", "green", "red"), "dn")
    assert np.array_equal(true_colour(codes[:3], colours), codes[[2, 1, 0]])
    assert np.array_equal(true_colour(codes[:1], ModelInput(bands=("B08",), stretch=Stretch())), codes[[0, 0, 0]])
    floats = np.full((4, 1, 2), 0.1375, np.float32)
    floats[2, 0, 1] = np.nan
    found = true_colour(floats, ModelInput(bands=FOUR, units="reflectance"))
    assert found[:, 0].tolist() == [[128, 1], [128, 128], [128, 128]]
