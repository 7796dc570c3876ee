"""The part of an atlas in a region: the tiles it touches, and nothing of the others."""

import base64
import io

import numpy as np
import pytest
import shapely
from PIL import Image
from pyproj import Transformer

from pipeline.atlas.collect import OUTSIDE, collect
from pipeline.atlas.cutting import cut
from pipeline.atlas.imagery import Quicklook, clipped
from pipeline.atlas.page import render_atlas
from pipeline.legend import EUROSAT
from tests.atlas import worlds
from tests.atlas.reading import meta_of, text_of

EDGE, FIRST, TOP = 640, 937, 8281


def region(west, south, east, north, epsg=32632):
    """A shape in degrees whose sides are those of tiles: columns and rows of the grid, ends included."""
    inset = 20.0
    box = shapely.box(west * EDGE + inset, south * EDGE + inset, (east + 1) * EDGE - inset, (north + 1) * EDGE - inset)
    to_degrees = Transformer.from_crs(epsg, 4326, always_xy=True)
    return shapely.transform(box.segmentize(EDGE), lambda at: np.column_stack(to_degrees.transform(at[:, 0], at[:, 1])))


def test_touched_tiles_keep_what_they_say_and_the_others_are_gone(collected):
    triangle = shapely.Polygon(shapely.get_coordinates(region(FIRST + 3, TOP - 20, FIRST + 9, TOP - 4))[[0, 40, 20]])
    found = cut(collected, triangle)
    assert len(found.scenes) == len(collected.scenes)
    for part, whole in zip(found.scenes, collected.scenes, strict=True):
        down, right = whole.top_row - part.top_row, part.first_col - whole.first_col
        box = slice(down, down + part.codes.shape[0]), slice(right, right + part.codes.shape[1])
        inside = part.codes != OUTSIDE
        assert 0 < inside.sum() < inside.size < whole.codes.size
        for name in ("codes", "confidence", "runner_up", "valid", "cloud"):
            np.testing.assert_array_equal(getattr(part, name)[inside], getattr(whole, name)[box][inside])
        np.testing.assert_array_equal(part.shares[:, inside], whole.shares[:, *box][:, inside])
        assert not part.confidence[~inside].any()


def test_a_rectangle_of_tiles_is_exactly_those_with_their_changes(collected):
    found = cut(collected, region(FIRST + 2, TOP - 9, FIRST + 6, TOP - 5))
    assert {(s.first_col, s.top_row, s.codes.shape) for s in found.scenes} == {(FIRST + 2, TOP - 5, (5, 5))}
    wanted = {(col, row) for col in range(FIRST + 2, FIRST + 7) for row in range(TOP - 9, TOP - 4)}
    assert found.changes
    for part, whole in zip(found.changes, collected.changes, strict=True):
        told = {tuple(at): p for at, p in zip(whole.index.tolist(), whole.p_change.tolist(), strict=True)}
        assert {tuple(at) for at in part.index.tolist()} == wanted & told.keys()
        assert [told[tuple(at)] for at in part.index.tolist()] == part.p_change.tolist()


def test_a_region_elsewhere_holds_nothing(collected):
    assert cut(collected, shapely.box(30, 10, 31, 11)) is None


def test_pictures_end_with_the_tiles(collected):
    part = cut(collected, region(FIRST + 2, TOP - 9, FIRST + 6, TOP - 5)).scenes[0]
    whole = collected.scenes[0]
    (_, west), (north, east) = part.quicklook.bounds
    to_degrees = Transformer.from_crs(32632, 4326, always_xy=True)
    corner = to_degrees.transform((FIRST + 2) * EDGE, (TOP - 4) * EDGE)
    assert corner == pytest.approx((west, north), abs=3e-3)
    assert east - west < 0.4 * (whole.quicklook.bounds[1][1] - whole.quicklook.bounds[0][1])
    size = Image.open(io.BytesIO(part.quicklook.webp)).size
    full = Image.open(io.BytesIO(whole.quicklook.webp)).size
    assert size[0] / (east - west) == pytest.approx(
        full[0] / (whole.quicklook.bounds[1][1] - whole.quicklook.bounds[0][1]), rel=1e-4
    )


def test_a_clipped_picture_shows_the_same_ground():
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(40, 220, (12, 16, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    stream = io.BytesIO()
    Image.fromarray(blocks).convert("RGBA").save(stream, "WEBP", lossless=True)
    whole = Quicklook(stream.getvalue(), ((59.0, 178.0), (61.0, 182.0)))
    part = clipped(whole, ((59.5, -179.5), (60.5, -178.5)))  # named from the other side of the date line
    (south, west), (north, east) = part.bounds
    assert west <= 180.5 <= east <= 181.6 and south <= 59.5 < 60.5 <= north
    with Image.open(io.BytesIO(part.webp)) as image:
        seen = np.asarray(image.convert("RGB")).astype(int)
    left = round((west - 178.0) / 4.0 * 128)
    mercator = lambda lat: np.arcsinh(np.tan(np.radians(lat)))  # noqa: E731
    top = round((mercator(61.0) - mercator(north)) / (mercator(61.0) - mercator(59.0)) * 96)
    there = blocks[top : top + seen.shape[0], left : left + seen.shape[1]].astype(int)
    assert np.abs(seen - there).mean() < 12
    assert clipped(whole, ((58.0, 177.0), (62.0, 183.0))) is whole


def test_the_page_of_a_region_counts_its_tiles_and_shows_its_cover_alone(tmp_path):
    worlds.write_world(tmp_path / "made", dates=2, size=(12, 10), clouds=False, changes=True)
    parts = np.zeros((12, 10, 3))
    parts[..., 1] = 1
    parts[5, 4] = (1, 0, 0)
    for scene in [path.parent.name for path in (tmp_path / "made").glob("*/tiles.parquet")]:
        worlds.write_cover(tmp_path / "made", scene, parts)
    whole = collect(tmp_path / "made")
    found = cut(whole, region(FIRST + 3, TOP - 7, FIRST + 5, TOP - 4))
    html = render_atlas(found, EUROSAT, tmp_path / "atlas.html").read_text(encoding="utf-8")
    meta = meta_of(html)
    assert " 12 tiles" in meta["subtitle"]
    picture = meta["cover"]["pictures"][0]
    (_, west), (_, east) = picture["bounds"]
    (_, left), (_, right) = meta["bounds"]
    assert (east - west) == pytest.approx(right - left, rel=0.02)
    with Image.open(io.BytesIO(base64.b64decode(text_of(html, picture["element"])))) as image:
        values, counts = np.unique(np.asarray(image), return_counts=True)
    shares = dict(zip(values.tolist(), (counts / counts.sum()).tolist(), strict=True))
    assert shares[1] == pytest.approx(1 / 12, abs=0.02)  # one water tile of the twelve
    assert shares[2] == pytest.approx(11 / 12, abs=0.04)
