import base64
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from pipeline.atlas.collect import OUTSIDE, SceneTiles, TileChanges
from pipeline.atlas.payload import (
    COUNTED_ELSEWHERE,
    MAX_CLASSES,
    OUTSIDE_BYTE,
    STATE_BYTES,
    build_payload,
    class_bytes,
    find_planes,
)
from pipeline.grid import TileGrid
from pipeline.legend import TileState


def scene(name, first_col=10, top_row=50, shape=(5, 3), epsg=32632, day=1, code=1, valid=100, cloud=0) -> SceneTiles:
    def full(value):
        return np.full(shape, value, np.uint8)

    return SceneTiles(
        id=name,
        acquired=datetime(2024, 6, day, 10, tzinfo=UTC),
        grid=TileGrid(epsg),
        first_col=first_col,
        top_row=top_row,
        codes=np.full(shape, code, np.int8),
        confidence=full(90),
        runner_up=np.full(shape, 2, np.int8),
        runner_up_confidence=full(7),
        valid=full(valid),
        cloud=full(cloud),
    )


def test_states_and_classes_become_distinct_bytes():
    codes = np.array([0, 9, 100, -1, -2, -3, OUTSIDE], np.int8)
    states = [STATE_BYTES[state] for state in (TileState.NO_DATA, TileState.CLOUD, TileState.UNCLASSIFIED)]
    assert class_bytes(codes).tolist() == [0, 9, 100, *states, OUTSIDE_BYTE]
    assert len({*states, OUTSIDE_BYTE}) == 4


def test_scenes_that_touch_share_a_plane_and_others_do_not():
    near, far, other_zone = scene("b", first_col=13, top_row=48), scene("c", first_col=90), scene("d", epsg=32633)
    planes = find_planes([scene("a"), near, far, other_zone])
    assert [(p.epsg, p.first_col, p.rows, p.cols) for p in planes] == [
        (32632, 10, 7, 6),
        (32632, 90, 5, 3),
        (32633, 10, 5, 3),
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=8
    )
)
def test_planes_hold_every_scene_once(boxes):
    scenes = [
        scene(str(at), first_col=col, top_row=row, shape=(rows, cols))
        for at, (col, row, rows, cols) in enumerate(boxes)
    ]
    planes = find_planes(scenes)
    assert all(sum(plane.holds(one) for plane in planes) == 1 for one in scenes)


def test_the_clearest_scene_owns_a_shared_tile():
    hazy, clear = scene("a", code=1, valid=80, cloud=20), scene("b", code=2, valid=100)
    (layer,) = build_payload([hazy, clear], ()).layers
    assert (layer.classes == 2).all()
    assert (layer.scene == 1).all()


def test_with_equal_clearness_less_cloud_wins_and_then_the_first_id():
    (layer,) = build_payload(
        [scene("a", code=1, cloud=5), scene("b", code=2, cloud=0), scene("c", code=3, cloud=0)], ()
    ).layers
    assert (layer.classes == 2).all()


def test_partly_overlapping_scenes_fill_each_other():
    one, two = scene("a", code=1, shape=(4, 3)), scene("b", code=2, shape=(4, 3), first_col=11, top_row=49, valid=50)
    (layer,) = build_payload([one, two], ()).layers
    assert layer.classes.shape == (5, 4)
    assert layer.classes[0].tolist() == [1, 1, 1, OUTSIDE_BYTE]
    assert layer.classes[4].tolist() == [OUTSIDE_BYTE, 2, 2, 2]
    assert (layer.classes == 1).sum() == 12


def test_tiles_without_class_carry_no_confidence():
    one = scene("a")
    codes = one.codes.copy()
    codes[0, 0] = -2
    (layer,) = build_payload([replace(one, codes=codes)], ()).layers
    assert layer.confidence[0, 0] == 0
    assert layer.runner_up[0, 0] == OUTSIDE_BYTE


def test_a_place_in_two_zones_counts_once():
    # Columns around longitude 12, where zones 32 and 33 meet, at 47.5 degrees north.
    to_33 = Transformer.from_crs(4326, 32633, always_xy=True)
    to_32 = Transformer.from_crs(4326, 32632, always_xy=True)
    x33, y33 = to_33.transform(12.0, 47.5)
    x32, y32 = to_32.transform(12.0, 47.5)
    shape = (40, 30)
    west = scene("w", first_col=int(x32 // 640) - 15, top_row=int(y32 // 640) + 20, shape=shape)
    east = scene("e", first_col=int(x33 // 640) - 15, top_row=int(y33 // 640) + 20, shape=shape, epsg=32633)
    first, second = build_payload([west, east], ()).layers
    assert (first.confidence < COUNTED_ELSEWHERE).all()
    shared = second.confidence >= COUNTED_ELSEWHERE
    # By hand: centre of every tile of zone 33 in zone 32's columns and rows.
    rows, cols = np.indices(shape)
    back = Transformer.from_crs(32633, 32632, always_xy=True)
    x, y = back.transform((east.first_col + cols + 0.5) * 640, (east.top_row - rows + 0.5) * 640)
    inside = (np.abs(x / 640 - west.first_col - 15) <= 15) & (np.abs(y / 640 - (west.top_row - 19)) <= 20)
    assert 0.5 < shared.mean() < 1
    assert (shared == inside).mean() > 0.999
    union = first.classes.size + (~shared).sum()
    assert union < 2 * first.classes.size


def test_zones_at_different_dates_do_not_hide_each_other():
    one, two = scene("a"), scene("b", epsg=32633, day=2)
    for layer in build_payload([one, two], ()).layers:
        assert (layer.confidence < COUNTED_ELSEWHERE).all()


def test_the_core_reads_back(collected):
    payload = build_payload(collected.scenes, ())
    raw = zlib.decompress(base64.b64decode(payload.core()))
    size = sum(layer.classes.size for layer in payload.layers)
    assert len(raw) == 2 * size
    at = 0
    for scene_tiles, layer in zip(collected.scenes, payload.layers, strict=True):
        plane = np.frombuffer(raw, np.uint8, layer.classes.size, at).reshape(layer.classes.shape)
        known = scene_tiles.codes >= 0
        assert (plane[known] == scene_tiles.codes[known]).all()
        assert (plane[~known] >= MAX_CLASSES).all()
        at += plane.size
    assert sum(plane.rows * plane.cols for plane in payload.planes) == payload.size


def test_changes_lie_on_their_tiles_and_doubtful_rows_are_unknown():
    one, two = scene("a"), scene("b", day=2)
    change = TileChanges(
        epsg=32632,
        before=one.day,
        after=two.day,
        index=np.array([[10, 50], [12, 46], [11, 48], [99, 99]]),
        p_change=np.array([10, 90, 255, 50], np.uint8),
        state=np.array([0, 2, 1, 1], np.uint8),
    )
    (pair,) = build_payload([one, two], (change,)).pairs
    assert (pair.before, pair.after, pair.plane) == (0, 1, 0)
    assert pair.p_change[0, 0] == 10
    assert pair.p_change[4, 2] == 90
    assert pair.state[4, 2] == 2
    assert (pair.state == 255).sum() == 13
    elsewhere = replace(change, epsg=32633)
    assert build_payload([one, two], (elsewhere,)).pairs == ()
