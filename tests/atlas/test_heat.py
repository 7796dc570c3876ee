"""Where in the tiles the changes are: what the page holds, on the tile card and on the map close up."""

import base64
import zlib
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import LineString

from pipeline.atlas.collect import collect
from pipeline.atlas.cutting import cut
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.errors import TileTableError
from pipeline.legend import EUROSAT
from tests.atlas import worlds
from tests.atlas.reading import meta_of, text_of

SIZE, SIDE = (14, 10), 32


def steps_of(tile_id, before):
    """The north-eastern quarter stands out; how much tells the tile and the pair apart."""
    steps = np.zeros((SIDE, SIDE), np.uint8)
    col, row = (int(part) for part in tile_id.split("_")[1:])
    steps[: SIDE // 2, SIDE // 2 :] = 3 + (col + 2 * row + len(before) + int(before[4:12])) % 13
    return steps


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A world of three dates whose claimed and undecided tiles have a heat."""
    folder = worlds.write_world(tmp_path_factory.mktemp("heat"), dates=3, size=SIZE, changes=True, clouds=False)
    changes = gpd.read_parquet(folder / "changes.parquet")
    shown = changes[changes["state"] != "stable"]
    rows = pd.DataFrame(shown[["tile_id", "before", "after"]]).astype(str).reset_index(drop=True)
    rows["heat"] = [steps_of(row.tile_id, row.before).tobytes() for row in rows.itertuples()]
    rows.to_parquet(folder / "heat.parquet")
    return folder, changes, rows


@pytest.fixture(scope="module")
def heat_page(compared, tmp_path_factory):
    return render_atlas(collect(compared[0]), EUROSAT, tmp_path_factory.mktemp("page") / "atlas.html")


def held(html):
    """Keys and pixels of the page, in its order."""
    count = meta_of(html)["heat"]["tiles"]
    content = zlib.decompress(base64.b64decode(text_of(html, "atlas-heat")))
    return np.frombuffer(content[: 4 * count], "<u4"), np.frombuffer(content[4 * count :], np.uint8).reshape(count, -1)


def place_of(tile_id, collected):
    """A tile's number on the page's only plane."""
    scene = collected.scenes[0]
    col, row = (int(part) for part in tile_id.split("_")[1:])
    return (scene.top_row - row) * SIZE[1] + col - scene.first_col


def test_every_tile_is_held_under_its_pair(compared, heat_page):
    folder, changes, rows = compared
    html, collected = heat_page.read_text(), collect(folder)
    keys, pixels = held(html)
    scenes = [scene.id for scene in collected.scenes]
    pairs = [(scenes[pair["before"]], scenes[pair["after"]]) for pair in meta_of(html)["pairs"]]
    expected = {
        pairs.index((row.before, row.after)) * SIZE[0] * SIZE[1] + place_of(row.tile_id, collected): row.heat
        for row in rows.itertuples()
    }
    assert {int(key): one.tobytes() for key, one in zip(keys, pixels, strict=True)} == expected
    assert meta_of(html)["heat"] == {"side": SIDE, "steps": 15, "tiles": len(rows), "left": 0}
    states = changes.astype({"before": str, "after": str}).set_index(["before", "after", "tile_id"])["state"]
    claimed = int((changes["state"] == "changed").sum())
    places = {place_of(name, collected): name for name in changes["tile_id"]}
    first = [(*pairs[key // 140], places[key % 140]) for key in keys[:claimed].tolist()]
    assert (states.loc[first] == "changed").all()


def test_the_likeliest_stay_where_the_room_is_small(compared, heat_page, tmp_path):
    whole = heat_page.read_text()
    budget = len(text_of(whole, "atlas-heat")) // 2
    small = render_atlas(
        collect(compared[0]), EUROSAT, tmp_path / "a.html", AtlasOptions(heat_budget=budget)
    ).read_text()
    told, keys = meta_of(small)["heat"], held(small)[0]
    assert len(text_of(small, "atlas-heat")) <= budget
    assert 0 < told["tiles"] < len(compared[2]) == told["tiles"] + told["left"]
    assert (keys == held(whole)[0][: len(keys)]).all()


def test_without_a_file_there_is_no_part(compared, tmp_path):
    bare = render_atlas(replace(collect(compared[0]), heat=None), EUROSAT, tmp_path / "a.html").read_text()
    assert meta_of(bare)["heat"] is None


@pytest.mark.parametrize("damage", ["bytes", "sizes", "columns"])
def test_a_damaged_file_is_told(compared, tmp_path, damage):
    path = tmp_path / "heat.parquet"
    rows = compared[2].copy()
    if damage == "sizes":
        rows.loc[0, "heat"] = b"short"
    (rows.drop(columns="heat") if damage == "columns" else rows).to_parquet(path)
    if damage == "bytes":
        path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(TileTableError, match=r"heat\.parquet: holds no heat of changes .*; run the pipeline again"):
        render_atlas(replace(collect(compared[0]), heat=path), EUROSAT, tmp_path / "a.html")


@pytest.fixture
def changed(open_page, heat_page, compared):
    """The page on Change between the first two dates, and a claimed tile of them: its number and steps."""
    opened = open_page(heat_page)
    opened.wait("atlas.heat")
    opened.update("{mode: 'change', before: 0, after: 1, base: 'none'}")
    folder, changes, rows = compared
    collected = collect(folder)
    first = rows[rows["before"] == collected.scenes[0].id]
    claimed = changes[(changes["state"] == "changed") & (changes["before"].astype(str) == collected.scenes[0].id)]
    row = first[first["tile_id"].isin(claimed["tile_id"])].iloc[0]
    tile = place_of(row["tile_id"], collected)
    opened.wait(f"atlas.heat.of(0, 1, {tile})")
    return opened, tile, np.frombuffer(row["heat"], np.uint8).reshape(SIDE, SIDE)


def test_the_tile_card_shows_where(changed):
    opened, tile, steps = changed
    opened.js(f"(atlas.pin({tile}), 0)")
    opened.frame()
    assert opened.visible(".card .heat-inside")
    alpha = opened.js(
        "[...document.querySelector('.card .heat-picture').getContext('2d').getImageData(0, 0, 32, 32).data]"
        ".filter((_, k) => k % 4 === 3)"
    )
    shown = np.array(alpha).reshape(SIDE, SIDE)
    assert ((shown > 0) == (steps > 0)).all()
    assert shown.max() == pytest.approx(255 * (0.2 + 0.5 * steps.max() / 15), abs=1)


def test_the_map_shows_it_close_up_only(changed):
    opened, tile, steps = changed
    north, east, south, west = opened.js(
        f"(() => {{ const r = atlas.grid.ring({tile}); return [r[0][0], r[2][1], r[2][0], r[0][1]]; }})()"
    )
    quarters = {
        name: (south + down * (north - south), west + right * (east - west))
        for name, down, right in (("hot", 0.9, 0.9), ("cold", 0.1, 0.1))
    }
    opened.centre_on((north + south) / 2, (east + west) / 2, 14)

    def colours():
        return {name: opened.colour(*opened.point(*place)) for name, place in quarters.items()}

    close = colours()
    opened.click(".heat input")
    assert not opened.js("atlas.map.hasLayer(atlas.heat.overlay)")
    without = colours()
    alpha = 0.2 + 0.5 * steps.max() / 15
    assert np.abs(close["hot"] - (alpha * np.array([255, 0, 170]) + (1 - alpha) * without["hot"])).max() <= 4
    assert np.abs(close["cold"] - without["cold"]).max() <= 3
    opened.click(".heat input")
    assert np.abs(colours()["hot"] - close["hot"]).max() <= 3
    opened.centre_on((north + south) / 2, (east + west) / 2, 11)
    canvas = "document.querySelector('.heat-canvas')"
    painted = f"{canvas}.getContext('2d').getImageData(0, 0, {canvas}.width, {canvas}.height).data.some((v) => v)"
    assert not opened.js(painted)
    opened.update("{mode: 'map'}")
    assert opened.count(".heat-canvas") == 0 and not opened.visible(".heat")


def test_dates_further_apart_show_the_strongest_of_those_between(changed, compared):
    opened, _, _ = changed
    rows, collected = compared[2], collect(compared[0])
    both = rows[rows.duplicated("tile_id", keep=False)].sort_values("tile_id")
    for name, pair in list(both.groupby("tile_id"))[:3]:
        told = opened.js(f"[...atlas.heat.of(0, 2, {place_of(name, collected)})]")
        strongest = np.maximum(*(np.frombuffer(heat, np.uint8) for heat in pair["heat"]))
        assert told == strongest.tolist()
    assert len(both)


def test_the_page_of_a_region_holds_its_tiles_alone(compared, tmp_path):
    folder, _, rows = compared
    collected = collect(folder)
    first = collected.scenes[0]
    corner = first.grid.bounds((first.first_col, first.top_row))
    far = first.grid.bounds((first.first_col + 4, first.top_row - 6))
    # The diagonal of these tiles: the rectangle around them holds others, which the page does not show.
    line = LineString([(corner[0] + 1, corner[3] - 1), (far[2] - 1, far[1] + 1)]).buffer(5)
    shape = gpd.GeoSeries([line], crs=first.epsg).to_crs(4326).iloc[0]
    part = cut(collected, shape)
    html = render_atlas(part, EUROSAT, tmp_path / "atlas.html").read_text()
    touched = {
        first.grid.tile_id((part.scenes[0].first_col + int(right), part.scenes[0].top_row - int(down)))
        for down, right in np.argwhere(part.scenes[0].codes > -100)
    }
    assert 0 < len(touched) < part.scenes[0].codes.size
    assert meta_of(html)["heat"]["tiles"] == rows["tile_id"].isin(touched).sum() > 0
