"""Which scenes are looked at when dates are compared."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.batch.date_changes import _seen_again
from tests.builders import scene_on_disk
from tests.runs import LEFT, TOP


@pytest.fixture
def scene(tmp_path):
    return scene_on_disk(tmp_path, np.full((3, 128, 192), 900, np.uint16), LEFT, TOP, "one")


def moved(scene, name, east=0.0, **changed):
    west, south, right, north = scene.bounds
    return replace(scene, id=name, bounds=(west + east, south, right + east, north), **changed)


def test_only_scenes_that_may_share_tiles_are_read(scene):
    same, beside, far = moved(scene, "same", 640), moved(scene, "beside", 2500), moved(scene, "far", 90_000)
    next_zone = moved(scene, "zone", 90_000, epsg=32633)
    found = _seen_again([scene, far, same, next_zone, beside])
    assert [one.id for one in found] == ["one", "same", "beside"]
    assert _seen_again([far, next_zone]) == _seen_again([]) == []
