"""The page in real browsers, opened from disk."""

import io
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pyproj import Transformer

from pipeline.atlas.collect import collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.legend import EUROSAT
from pipeline.results.table import read_table
from tests.atlas import worlds
from tests.atlas.browsers import Firefox, Opened


@pytest.fixture(scope="module")
def tables(collected, world):
    """Tile tables in order of date, with longitude and latitude of their centres."""
    found = []
    for scene in collected.scenes:
        table = read_table(world / scene.id / "tiles.parquet")
        to_degrees = Transformer.from_crs(table.crs, 4326, always_xy=True)
        table["lon"], table["lat"] = to_degrees.transform((table["col"] + 0.5) * 640, (table["row"] + 0.5) * 640)
        found.append(table.set_index("tile_id"))
    return found


def checked(opened, title) -> bool:
    return opened.js(f"document.querySelector('[aria-label=\"Show {title}\"]').ariaChecked") == "true"


def bars(opened) -> list[tuple[str, int]]:
    """Classes and percents of the bars of a tile's card."""
    return [
        (name, int(share.split()[0]))
        for name, share in opened.js(
            "[...document.querySelectorAll('.bars li')].map((e) => [e.querySelector('span').innerText, "
            "e.querySelector('em').innerText])"
        )
    ]


def some_tile(table, **wanted):
    rows = table
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    return rows.iloc[len(rows) // 2]


def test_the_tile_under_the_mouse_is_told(opened, tables):
    row = some_tile(tables[2], label="Forest")
    opened.window.move(*opened.point(row.lat, row.lon))
    opened.frame()
    tip, card = opened.text(".tip"), opened.text(".card")
    assert tip == f"Forest {round(100 * float(row.confidence))} %"
    assert row.name in card
    assert row.scene in card
    shares = sorted((float(row[f"p_{entry.label}"]), entry.title) for entry in EUROSAT.classes)
    assert [text for text, _ in bars(opened)] == [
        next(c.short for c in EUROSAT.classes if c.title == title) for share, title in shares[::-1] if share >= 0.005
    ]
    assert sum(share for _, share in bars(opened)) == pytest.approx(100, abs=3)
    assert opened.count(".history button") == 3


def test_a_click_keeps_a_tile_and_another_releases_it(opened, tables):
    kept, other = some_tile(tables[2], label="Forest"), some_tile(tables[2], label="AnnualCrop")
    opened.click_at(*opened.point(kept.lat, kept.lon))
    opened.window.move(*opened.point(other.lat, other.lon))
    opened.frame()
    assert kept.name in opened.text(".card")
    opened.press("Escape")
    opened.window.move(*opened.point(kept.lat, kept.lon))
    opened.window.move(*opened.point(other.lat, other.lon))
    opened.frame()
    assert other.name in opened.text(".card")


def test_pixels_have_the_colour_of_their_class(opened, tables):
    opened.update("{base: 'none', opacity: 1}")
    for entry in EUROSAT.classes:
        rows = tables[2][tables[2]["label"] == entry.label]
        if len(rows) == 0:
            continue
        row = rows.iloc[0]
        found = opened.colour(*opened.point(row.lat, row.lon))
        assert np.abs(found - [int(entry.colour[at : at + 2], 16) for at in (1, 3, 5)]).max() <= 2, entry.label


def test_a_class_box_hides_its_tiles(opened, tables):
    opened.update("{base: 'none', opacity: 1}")
    row = some_tile(tables[2], label="Forest")
    at = opened.point(row.lat, row.lon)
    shown = opened.colour(*at)
    opened.click('[aria-label="Show Forest"]')
    opened.frame()
    hidden = opened.colour(*at)
    assert np.abs(shown - hidden).max() > 60
    assert checked(opened, "Forest") is False


def test_the_legend_counts_what_the_tables_count(opened, tables):
    counts = tables[2]["label"].value_counts()
    rows = opened.js(
        "[...document.querySelectorAll('.legend tbody tr')].map((r) => [r.querySelector('.check').dataset.class, "
        "r.querySelector('.figure').innerText])"
    )
    assert len(rows) == 10
    for at, shown in rows:
        expected = 40.96 * counts.get(EUROSAT.classes[int(at)].label, 0)
        assert float(shown.replace("\u202f", "")) == pytest.approx(expected, abs=0.5)


def test_the_confidence_limit_hides_doubtful_tiles(opened, tables):
    opened.update("{base: 'none', opacity: 1, threshold: 80}")
    known = tables[2][tables[2]["code"] >= 0]
    doubtful, sure = known.sort_values("confidence").iloc[3], known.sort_values("confidence").iloc[-3]
    background = opened.colour(370, 640)
    assert np.abs(opened.colour(*opened.point(doubtful.lat, doubtful.lon)) - background).max() <= 2
    assert np.abs(opened.colour(*opened.point(sure.lat, sure.lon)) - background).max() > 20
    kept = 100 * (known["confidence"] >= 0.795).mean()
    assert f"{kept:.1f}\u00a0%" in opened.text(".confidence")


def test_states_are_told_apart_from_classes(opened, tables):
    cloudy = int((tables[1]["code"] == -2).sum())
    assert cloudy > 0
    opened.update("{after: 1}")
    text = opened.text(".classes").replace("\u202f", "")
    assert f"Cloud {40.96 * cloudy:.0f} ha" in text
    assert "Unclassified 41 ha" in text
    row = some_tile(tables[1], code=-2)
    opened.window.move(*opened.point(row.lat, row.lon))
    opened.frame()
    assert opened.text(".tip") == "Cloud"


def test_swipe_shows_one_date_on_each_side(opened, tables):
    both = tables[1].assign(label_after=tables[2]["label"].reindex(tables[1].index))
    differ = (both["code"] >= 0) & (both["label"].astype(str) != both["label_after"].astype(str))
    row = both[differ & both["label_after"].isin(["AnnualCrop", "Forest", "Pasture"])]
    row = row.iloc[(row["row"] - int(both["row"].mean())).abs().argmin()]
    opened.click("[data-mode=swipe]")
    opened.update("{base: 'none', opacity: 1}")
    x, y = opened.point(row.lat, row.lon)
    wanted = {
        entry.label: np.array([int(entry.colour[at : at + 2], 16) for at in (1, 3, 5)]) for entry in EUROSAT.classes
    }
    handle = opened.box(".swipe-bar")
    for offset, label in ((40, row.label), (-40, row.label_after)):
        opened.window.move(handle["x"] + 2, 300)
        opened.window.down()
        opened.window.move(x + offset, 300)
        opened.window.up()
        opened.frame()
        assert np.abs(opened.colour(x, y) - wanted[label]).max() <= 2
        handle = opened.box(".swipe-bar")


def test_blink_alternates_the_two_dates(opened):
    opened.click("[data-mode=swipe]")
    opened.click('[aria-label="Blink between the two dates"]')
    seen = set()
    for _ in range(8):
        time.sleep(0.25)
        seen.add(opened.js("atlas.dateOf('after')"))
    assert seen == {1, 2}
    opened.press("b")
    opened.frame()
    assert opened.js("atlas.dateOf('after')") == 2


def test_change_opens_on_the_first_and_last_dates(opened):
    opened.click("[data-mode=change]")
    assert opened.js("[atlas.state.before, atlas.state.after]") == [0, 2]


def test_change_says_what_the_table_says_and_isolates(opened, tables, collected):
    opened.click("[data-mode=change]")
    opened.update("{before: 1}")
    change = next(change for change in collected.changes if change.after == collected.scenes[2].day)
    changed = change.state == 2
    sums = opened.js("(() => { const t = atlas.data.transitions(1, 2, 0); return [t.changed, t.falseChanges]; })()")
    assert sums[0] == pytest.approx(40.96 * changed.sum())
    assert sums[1] == pytest.approx(40.96 * (1 - change.p_change[changed] / 100).sum(), rel=1e-6)
    assert f"Of {sums[0]:,.0f}".replace(",", "\u202f") in opened.text(".change")
    opened.click(".flows button")
    opened.frame()
    pair = opened.js("atlas.state.pair")
    codes = [tables[at]["code"].to_numpy() for at in (1, 2)]
    ids = {f"32632_{col}_{row}" for col, row in change.index[changed]}
    expected = sum(1 for at, tile in enumerate(tables[2].index) if tile in ids and [codes[0][at], codes[1][at]] == pair)
    shown = opened.js("Array.from({length: atlas.grid.size}, (_, i) => i).filter((i) => atlas.isChanged(i)).length")
    assert 0 < shown == expected < changed.sum()
    assert opened.count('.matrix button[aria-pressed="true"]') == 1


def test_dates_that_no_run_compared_are_estimated_and_say_so(open_page, collected, tmp_path):
    opened = open_page(render_atlas(replace(collected, changes=()), EUROSAT, tmp_path / "atlas.html"))
    opened.update("{mode: 'change', before: 0, after: 2}")
    text = opened.text(".change")
    years = (worlds.days(3)[2].date() - worlds.days(3)[0].date()).days / 365.25
    assert f"with {100 * 0.2 * (1 - 0.95**years):.1f}\u00a0% of tiles expected to change class" in text
    assert "No run has compared these two dates" in text and "Run the pipeline on both scenes" in text
    assert "that alone is not called change" in text
    labels, changed = opened.js(
        "(() => { const t = atlas.data.transitions(0, 2, 0); return [t.differ, t.changed]; })()"
    )
    assert changed < labels / 2


def test_dates_with_others_between_take_the_tables_word(opened, world):
    """A tile changed between the first and the last date where the table claims it between any two."""
    opened.update("{mode: 'change', before: 0, after: 2}")
    assert "Chances come from the table of changes" in opened.text(".change")
    changes = pd.read_parquet(world / "changes.parquet", columns=["tile_id", "state"])
    states = opened.js("[...atlas.data.change(0, 2).state].map((s, tile) => [atlas.grid.id(tile), s])")
    classed = {name for name, state in states if state != 255}
    whole = changes.groupby("tile_id").filter(lambda rows: len(rows) == 2)  # known at all three dates
    claimed = set(whole.loc[whole["state"] == "changed", "tile_id"]) & classed
    assert len(claimed) > 10
    assert {name for name, state in states if state == 2 and name in set(whole["tile_id"])} == claimed


def test_the_timeline_and_its_keys_choose_dates(opened):
    assert opened.count(".stop") == 3
    opened.click(".stop")
    opened.frame()
    assert opened.js("atlas.state.after") == 0
    opened.press(".")
    opened.frame()
    assert opened.js("atlas.state.after") == 1
    left = opened.js("[...document.querySelectorAll('.stop')].map((s) => parseFloat(s.style.left))")
    days = [(day - worlds.days(3)[0]).days for day in worlds.days(3)]
    assert left == pytest.approx([100 * day / days[-1] for day in days], abs=0.1)


def test_play_walks_through_the_dates(opened):
    opened.click('[aria-label="Play"]')
    opened.wait("atlas.state.after === 0")
    opened.wait("atlas.state.after === 1")
    opened.click('[aria-label="Pause"]')
    opened.frame()
    assert opened.count('[aria-label="Play"]') == 1


def test_keys_walk_from_tile_to_tile(opened):
    opened.press("t")
    first = opened.js("atlas.grid.id(atlas.state.pinned)")
    opened.press("Shift+ArrowRight")
    opened.press("Shift+ArrowUp")
    zone, col, row = map(int, first.split("_"))
    assert opened.js("atlas.grid.id(atlas.state.pinned)") == f"{zone}_{col + 1}_{row + 1}"
    opened.press("2")
    opened.frame()
    assert opened.js("atlas.state.mode") == "swipe"


def test_the_address_holds_the_view(open_page, page, opened):
    opened.click("[data-mode=change]")
    opened.update("{threshold: 35, base: 'none'}")
    opened.wait("location.hash.includes('change')")
    again = open_page(page, opened.js("location.hash"))
    state = again.js(
        "[atlas.state.mode, atlas.state.threshold, atlas.state.base, atlas.map.getZoom(), atlas.map.getCenter().lat]"
    )
    assert state[:3] == ["change", 35, "none"]
    assert state[3] == opened.js("atlas.map.getZoom()")
    assert state[4] == pytest.approx(opened.js("atlas.map.getCenter().lat"), abs=1e-3)


def test_an_address_cannot_choose_an_online_map(open_page, page):
    found = open_page(page, "#map/2019-04-02/2019-07-05/FO/0/imagery/9/47.5/10.4")
    assert found.js("[atlas.state.base, atlas.state.shown.filter(Boolean).length]") == ["scene", 1]
    assert found.asked == []


def test_an_unreachable_online_map_falls_back_with_a_notice(browser, page):
    found = Opened(browser, page)
    found.click("[data-base=light]")
    found.wait("atlas.state.base === 'scene'")
    assert "cannot be reached" in found.text(".notice")
    assert found.asked
    assert all("basemaps.cartocdn.com" in url for url in found.asked)
    found.close()


def test_the_picture_of_a_tile_is_shown_at_each_date(opened, tables):
    row = some_tile(tables[2], label="Forest")
    opened.click_at(*opened.point(row.lat, row.lon))
    opened.wait("document.querySelectorAll('.history .chip').length === 3")
    opened.wait(
        "[...document.querySelectorAll('.chip')].every((c) => c.getContext('2d').getImageData(32, 32, 1, "
        "1).data[3] === 255)"
    )


def test_letters_stand_in_tiles_when_zoomed_in(opened, tables):
    row = some_tile(tables[2], label="Forest")
    opened.centre_on(row.lat, row.lon, 11)
    assert opened.js("document.querySelector('.atlas-letters').width") == 0
    opened.centre_on(row.lat, row.lon, 13)
    assert (
        opened.js("""(() => {
        const canvas = document.querySelector('.atlas-letters');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let inked = 0;
        for (let i = 3; i < data.length; i += 4) inked += data[i] > 128 ? 1 : 0;
        return inked;
    })()""")
        > 1000
    )


def test_zoomed_out_land_and_borders_are_drawn_and_no_class_vanishes(opened, tables):
    opened.centre_on(47.4, 10.4, 4)
    assert opened.count(".outline-land") == 1
    codes = opened.js(
        "(() => { const p = atlas.layers.after.canvas.painter, codes = new Set(p.level(p.factor).codes); "
        "return [...codes].map((c) => c >> 7); })()"
    )
    assert opened.js("atlas.layers.after.canvas.painter.factor") >= 8
    common = tables[2]["code"].value_counts()
    factor = opened.js("atlas.layers.after.canvas.painter.factor")
    assert {code for code, count in common.items() if code >= 0 and count >= 2 * factor**2} <= set(codes)
    opened.centre_on(47.4, 10.4, 10)
    assert opened.count(".outline-land") == 0


def test_csv_files_hold_the_sums(opened, tables):
    opened.click(".classes .note button", "CSV")
    rows = opened.rows()
    assert rows[0] == ["place", "counted", "date", "class", "hectares", "share"]
    forest = [row for row in rows if row[-3] == "Forest"]
    assert [float(row[-2]) for row in forest] == pytest.approx(
        [40.96 * (table["label"] == "Forest").sum() for table in tables], abs=0.01
    )
    assert [row[-4] for row in forest] == [day.date().isoformat() for day in worlds.days(3)]


def test_the_view_is_saved_as_a_picture(opened, tables):
    opened.update("{base: 'none', opacity: 1}")
    opened.click('[aria-label="Save the view as PNG"]')
    with Image.open(io.BytesIO(opened.saved()[1])) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    found = (np.abs(pixels - [0x0B, 0x54, 0x10]).max(axis=2) <= 2).mean()
    share = (tables[2]["label"] == "Forest").sum() / len(tables[2])
    assert found > 0.1 * share
    assert (pixels[:20, :20] == 255).all()


def test_every_control_has_a_name(opened):
    for mode in ("map", "swipe", "change"):
        opened.click(f"[data-mode={mode}]")
        opened.frame()
        nameless = opened.js("""[...document.querySelectorAll(
            'button, input, a[href], [role=slider], [role=checkbox]')]
            .filter((e) => e.offsetParent !== null)
            .filter((e) => !(e.getAttribute('aria-label') || e.title || e.textContent.trim() || e.closest('label')))
            .map((e) => e.outerHTML)""")
        assert nameless == []


def test_the_phone_page_keeps_everything_within_reach(open_page, page):
    found = open_page(page, width=390, height=800, touch=True)
    panel = found.box(".panel")
    assert panel["width"] == 390
    assert panel["y"] > 350
    assert found.js("document.documentElement.scrollWidth") == 390
    found.tap(".grab")
    time.sleep(0.3)
    assert found.box(".panel")["height"] > panel["height"] * 1.5
    found.tap(".grab")
    time.sleep(0.3)
    found.window.tap(200, 250)
    found.frame()
    assert "Tile id" in found.text(".card")


def test_dark_colours_follow_the_reader(open_page, browser, page):
    if isinstance(browser, Firefox):
        pytest.skip("WebDriver BiDi cannot choose dark colours")
    found = open_page(page, dark=True)
    assert found.js("document.documentElement.dataset.theme") == "dark"
    found.click('[aria-label="Light colours"]')
    assert found.js("document.documentElement.dataset.theme") == "light"


@pytest.fixture(scope="module")
def two_zones(tmp_path_factory):
    """Neighbouring scenes in zones 32 and 33 of one date, and a place far away at another."""
    folder = tmp_path_factory.mktemp("zones")
    shares, far = worlds.softmax(worlds.logits((40, 30), seed=3)), worlds.softmax(worlds.logits((8, 6), seed=5))
    corners = {}
    for epsg in (32632, 32633):
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(12.0, 47.5)
        corners[epsg] = int(x // 640) - 15, int(y // 640) + 20
        worlds.write_scene(
            folder / "tiles", f"zone{epsg}", worlds.days(1)[0], epsg, *corners[epsg], shares, pictures=False
        )
    worlds.write_scene(folder / "tiles", "lisbon", worlds.days(2)[1], 32629, 760, 6700, far, pictures=False)
    return render_atlas(collect(folder / "tiles"), EUROSAT, folder / "atlas.html", AtlasOptions(chips="none"))


def test_zones_are_drawn_and_counted_once(open_page, two_zones):
    found = open_page(two_zones)
    found.update("{after: 0, before: 0}")
    found.frame()
    total = found.js("atlas.data.areas(0, 0).slice(0, 10).reduce((a, b) => a + b, 0)")
    assert 1200 < total < 1.6 * 1200
    tile = found.js("atlas.grid.at(47.5, 12.0, (t) => atlas.data.exists(0, t))")
    assert found.js(f"atlas.grid.where({tile}).plane.epsg") == 32632


def test_places_are_listed_and_reached(open_page, two_zones):
    found = open_page(two_zones)
    assert found.count(".place-list button") == 2
    found.click(".place-list button", "Lisbon")
    found.wait("atlas.map.getCenter().lng < -5")
    assert found.js("atlas.state.after") == 1


def test_a_sample_is_labelled_by_keyboard_without_the_maps_answers(opened, tables, tmp_path):
    sample = tmp_path / "sample.csv"
    chosen = tables[2].iloc[[45, 200, 333]]
    lines = [f"{row.Index},{row.lon:.6f},{row.lat:.6f}," for row in chosen.itertuples()]
    sample.write_text("tile_id,longitude,latitude,label\r\n" + "\r\n".join(lines) + "\r\n")
    opened.window.files('[aria-label="CSV file of a sample"]', sample)
    opened.wait("atlas.state.labelling")
    opened.frame()
    assert opened.text(".labelling .remark") == "0 of 3 answered"
    assert not opened.visible(".card")
    assert not opened.visible(".legend")
    assert not opened.js("atlas.layers.after.source.lut.some(Boolean)")
    x, y = opened.point(chosen.iloc[0].lat, chosen.iloc[0].lon)
    assert abs(x - (360 + 1006 / 2)) < 3
    assert abs(y - 400) < 3
    opened.press("2")
    opened.press("Space")
    opened.press("0")
    opened.frame()
    opened.click(".labelling button", "save CSV")
    rows = opened.rows()
    assert rows[0] == ["tile_id", "longitude", "latitude", "label", "remark"]
    assert [row[3] for row in rows[1:]] == ["Forest", "", "SeaLake"]
    assert [row[0] for row in rows[1:]] == list(chosen.index)
    opened.click(".labelling button", "leave")
    opened.frame()
    assert opened.visible(".legend")


def test_a_control_keeps_the_focus_when_its_panel_is_redrawn(opened):
    opened.js("document.querySelector('[aria-label=\"Show Forest\"]').focus()")
    opened.press("Space")
    opened.frame()
    assert opened.js("document.activeElement.getAttribute('aria-label')") == "Show Forest"
    assert checked(opened, "Forest") is False
    opened.js("document.querySelector('.stop').focus()")
    opened.press("Enter")
    opened.frame()
    assert opened.js("[document.activeElement.dataset.key, atlas.state.after]") == ["d0", 0]


def test_a_place_across_longitude_180_is_one_map(open_page, tmp_path):
    x, y = Transformer.from_crs(4326, 32601, always_xy=True).transform(-180.0, 65.0)
    shares = worlds.softmax(worlds.logits((30, 20)))
    worlds.write_scene(
        tmp_path / "tiles", "edge", worlds.days(1)[0], 32601, int(x // 640) - 10, int(y // 640) + 15, shares
    )
    found = open_page(render_atlas(collect(tmp_path / "tiles"), EUROSAT, tmp_path / "atlas.html"))
    assert found.js("atlas.map.getZoom()") > 8
    assert abs(found.js("atlas.map.getCenter().lng") + 180) < 0.2
    assert found.js("atlas.map.getBounds().contains(atlas.layers.after.pictures[0].getBounds())")
    for longitude in (-180.1, -179.9, 179.9):
        assert found.js(f"atlas.grid.at(65.0, {longitude})") >= 0
    painted = found.js("Array.from(atlas.layers.after.canvas.painter.over).filter((tile) => tile >= 0).length")
    assert painted > 100_000


def test_a_map_of_one_date_answers_the_mouse(open_page, tmp_path):
    worlds.write_world(tmp_path / "tiles", dates=1, size=(6, 4), pictures=False)
    collected = collect(tmp_path / "tiles")
    opened = open_page(render_atlas(collected, EUROSAT, tmp_path / "atlas.html"))
    label = collected.scenes[0].codes[2, 1]
    opened.window.move(*opened.point(*opened.js("atlas.grid.centre(9)")))
    opened.frame()
    assert opened.text(".tip").startswith(EUROSAT.classes[label].title)
