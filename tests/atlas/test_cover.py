"""Tiles | Cover: what lies inside the tiles."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

from pipeline.atlas.collect import PERCENT_UNKNOWN, collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.legend import EUROSAT
from pipeline.results.table import read_table
from tests.atlas import worlds
from tests.atlas.reading import meta_of, text_of

SIZE = (14, 10)


@pytest.fixture(scope="module")
def parts() -> np.ndarray:
    """Shares in eighths of water, trees and crops; one tile without cover."""
    generator = np.random.default_rng(2)
    water, trees = generator.integers(0, 5, SIZE), generator.integers(0, 4, SIZE)
    found = np.stack([water, trees, 8 - water - trees], axis=-1) / 8
    found[3, 4] = np.nan
    return found


@pytest.fixture(scope="module")
def covered(tmp_path_factory, parts) -> Path:
    folder = worlds.write_world(tmp_path_factory.mktemp("covered"), dates=2, size=SIZE, pictures=False)
    names = sorted(path.parent.name for path in folder.glob("*/tiles.parquet"))
    worlds.write_cover(folder, names[0], np.nan_to_num(parts[:, ::-1], nan=1 / 3))
    worlds.write_cover(folder, names[1], parts)
    return folder


@pytest.fixture(scope="module")
def cover_page(covered, tmp_path_factory) -> Path:
    return render_atlas(collect(covered), EUROSAT, tmp_path_factory.mktemp("page") / "atlas.html")


def test_shares_and_classes_are_read_back(covered, parts):
    scene = collect(covered).scenes[1]
    assert [one["name"] for one in scene.cover.classes] == ["water", "trees", "crops"]
    known = ~np.isnan(parts[..., 0])
    shares = np.moveaxis(scene.cover.shares, 0, -1)
    assert np.abs(shares[known] / 100 - parts[known]).max() <= 0.006
    assert (shares[3, 4] == PERCENT_UNKNOWN).all()


def test_pictures_keep_to_their_budget(covered, tmp_path):
    fine = meta_of(render_atlas(collect(covered), EUROSAT, tmp_path / "a.html").read_text())
    text = render_atlas(collect(covered), EUROSAT, tmp_path / "b.html", AtlasOptions(cover_budget=1)).read_text()
    coarse = [len(text_of(text, one["element"])) for one in meta_of(text)["cover"]["pictures"]]
    assert len(fine["cover"]["pictures"]) == len(coarse) == 2
    whole = (tmp_path / "a.html").read_text()
    assert sum(coarse) < sum(len(text_of(whole, one["element"])) for one in fine["cover"]["pictures"])


def test_a_map_without_cover_has_no_switch(open_page, page):
    opened = open_page(page)
    assert opened.js("atlas.meta.cover") is None
    assert opened.count("[data-product]") == 0


def test_the_switch_shows_cover_legend_and_hectares(open_page, cover_page, parts):
    opened = open_page(cover_page)
    opened.update("{opacity: 1, base: 'none'}")
    opened.click("button[data-product=cover]")
    opened.wait("[...atlas.cover.pictures.after.values()].every((p) => p.getElement().complete)")
    assert opened.visible(".cover")
    assert not opened.visible(".classes")
    rows = opened.js(
        "[...document.querySelectorAll('.cover .legend tr')].map((r) => [r.cells[1].innerText, r.cells[2].innerText])"
    )
    expected = {name: 40.96 * np.nansum(parts[..., k]) for k, (name, _) in enumerate(worlds.COVERS)}
    for name, hectares in rows:
        assert float(hectares.replace("\u202f", "")) == pytest.approx(expected[name.lower()], rel=0.02)
    row, col = np.argwhere(parts[..., 2] >= 5 / 8)[0]
    tile = int(row) * SIZE[1] + int(col)
    north_west, _, south_east, _ = opened.js(f"atlas.grid.ring({tile})")
    middle = (north_west[0] + south_east[0]) / 2
    at = opened.point(middle, south_east[1] - 0.2 * (south_east[1] - north_west[1]))  # the eastern fifth is crops
    assert np.abs(opened.colour(*at) - [0xE4, 0x96, 0x35]).max() <= 3


def test_a_click_tells_what_lies_inside(open_page, cover_page, parts):
    opened = open_page(cover_page)
    row, col = np.argwhere((parts[..., 0] >= 2 / 8) & (parts[..., 1] > 0) & (parts[..., 2] > 0))[0]
    opened.wait(f"atlas.cover.of(1, {int(row) * SIZE[1] + int(col)})")
    opened.js(f"(atlas.pin({int(row) * SIZE[1] + int(col)}), 0)")
    opened.frame()
    told = opened.js(
        "[...document.querySelectorAll('.inside .bars li')]"
        ".map((e) => [e.children[0].innerText, e.children[2].innerText])"
    )
    assert {name.lower(): int(text.split()[0]) for name, text in told} == pytest.approx(
        {name: 100 * parts[row, col, k] for k, (name, _) in enumerate(worlds.COVERS)}, abs=1.1
    )
    drawn = "document.querySelector('.inside canvas[role=img]').getContext('2d').getImageData(48, 48, 1, 1).data[3]"
    opened.wait(f"{drawn} === 255")


def test_cover_inside_an_area_counts_by_parts(open_page, cover_page, tmp_path):
    opened = open_page(cover_page)
    opened.click("button[data-product=cover]")
    ring = opened.js("atlas.grid.ring(45)")
    outline = [[lon, lat] for lat, lon in ring]
    feature = {"type": "Polygon", "coordinates": [[*outline, outline[0]]]}
    (tmp_path / "a.geojson").write_text(json.dumps(feature))
    opened.window.files('[aria-label="File with an outline"]', tmp_path / "a.geojson")
    opened.wait("atlas.state.where === 'area'")
    opened.frame()
    opened.click(".cover .note button", "CSV")
    rows = opened.rows()
    assert rows[0][-1] == "hectares"
    assert sum(float(row[-1]) for row in rows[1:] if row[-3] == "2019-07-05") == pytest.approx(40.96, rel=0.05)


def test_change_is_about_tiles(open_page, cover_page):
    opened = open_page(cover_page)
    opened.click("button[data-product=cover]")
    opened.click("[data-mode=change]")
    assert not opened.visible(".cover")
    assert opened.visible(".classes")
    opened.click("[data-mode=swipe]")
    assert opened.js("[atlas.cover.pictures.before.size, atlas.cover.pictures.after.size]") == [1, 1]


def pixel_sample(path, tables, parts):
    """Ids of pixels in three tiles with the covers that lie there: the first, a middle and the last column."""
    first_col, top_row = tables["col"].min(), tables["row"].max()
    rows = []
    for row, col, x, y in ((2, 3, 0, 63), (7, 1, 40, 20), (13, 9, 63, 0)):
        covers = np.searchsorted(np.cumsum(parts[row, col]) * 64, x, side="right")
        pixel = (first_col + col) * 64 + x, (top_row - row + 1) * 64 - 1 - y
        rows.append((f"32632_{pixel[0]}_{pixel[1]}_1x10m", worlds.COVERS[covers][0], pixel))
    lines = [f"{name},2019-07-05," for name, *_ in rows]
    path.write_text("tile_id,date,label\n" + "\n".join(lines) + "\n")
    return rows


def test_a_sample_of_pixels_is_labelled_where_they_lie(open_page, cover_page, covered, parts, tmp_path):
    opened = open_page(cover_page)
    table = read_table(sorted(covered.glob("*/tiles.parquet"))[1])
    assert table.crs.to_epsg() == 32632
    rows = pixel_sample(tmp_path / "sample.csv", table, parts)
    opened.window.files('[aria-label="CSV file of a sample"]', tmp_path / "sample.csv")
    opened.wait("atlas.state.labelling")
    opened.frame()
    assert opened.text(".labelling .remark") == "0 of 3 answered"
    assert "what covers the outlined 10 m?" in opened.text(".labelling")
    answers = opened.js("[...document.querySelectorAll('.labelling .answers button')].map((b) => b.dataset.key)")
    assert answers == ["answer Water", "answer Trees", "answer Crops", "answer Cannot tell"]
    forth = Transformer.from_crs(4326, 32632, always_xy=True)
    for key, (name, _, (col, row)) in zip("231", rows, strict=True):
        centre = opened.js("(({lat, lng}) => [lat, lng])(atlas.map.getCenter())")
        assert forth.transform(*reversed(centre)) == pytest.approx((col * 10 + 5, row * 10 + 5), abs=2), name
        ring = opened.js(f"atlas.grid.pixelById('{name}').ring")
        corners = [forth.transform(lon, lat) for lat, lon in ring]
        expected = [(col * 10 + x, row * 10 + y) for x, y in ((0, 10), (10, 10), (10, 0), (0, 0))]
        assert np.abs(np.array(corners) - expected).max() < 0.2
        assert opened.js("document.querySelectorAll('.leaflet-tooltip-pane path').length") == 1
        opened.press(key)
        opened.frame()
    opened.click(".labelling button", "save CSV")
    saved = opened.rows()
    assert [row[0] for row in saved[1:]] == [name for name, *_ in rows]
    assert [row[2] for row in saved[1:]] == ["trees", "crops", "water"]
    opened.click(".labelling button", "leave")
    opened.frame()
    assert opened.js("document.querySelectorAll('.leaflet-tooltip-pane path').length") == 0


def test_what_a_sample_of_pixels_says_is_told(open_page, covered, tmp_path):
    row = {"label": "water", "mapped_ha": 120.0, "adjusted_ha": 100.0, "adjusted_ci": 12.0}
    found = {"accuracy": 0.81, "accuracy_ci": 0.05, "classes": [row]}
    place = tmp_path / "checked"
    shutil.copytree(covered, place)
    (place / "cover-assessment.json").write_text(json.dumps(found))
    opened = open_page(render_atlas(collect(place), EUROSAT, tmp_path / "atlas.html"))
    about = opened.js("document.querySelector('.about').textContent")
    assert "The cover, checked on random pixels" in about
    assert "100 ± 12" in about
    assert "Checked on a random sample" not in about


def test_the_tiles_picture_stands_beside_its_cover(open_page, tmp_path, parts):
    folder = worlds.write_world(tmp_path / "world", dates=1, size=SIZE, truecolour=True)
    worlds.write_cover(folder, next(folder.glob("*/tiles.parquet")).parent.name, np.nan_to_num(parts, nan=1 / 3))
    opened = open_page(render_atlas(collect(folder), EUROSAT, tmp_path / "atlas.html"))
    opened.wait("Boolean(atlas.cover.of(0, 45))")
    opened.js("(atlas.pin(45), 0)")
    opened.wait("document.querySelectorAll('.inside .pair .chip').length === 2")
    left, right = opened.js(
        "[...document.querySelectorAll('.inside .pair .chip')].map((e) => e.getBoundingClientRect().toJSON())"
    )
    assert left["top"] == right["top"]
    assert left["right"] < right["left"]
    assert left["width"] == right["width"] == 96
