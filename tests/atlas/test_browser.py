"""The page in a real browser: one Chromium for all, opened from disk."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer

from pipeline.atlas.collect import collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.legend import EUROSAT
from pipeline.results.table import read_table
from tests.atlas import worlds

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")


class Opened:
    """A page with what went wrong on it and what it asked for."""

    def __init__(self, browser, path: Path, hash_: str = "", **context):
        self.context = browser.new_context(**({"viewport": {"width": 1366, "height": 800}} | context))
        self.page = self.context.new_page()
        self.page.set_default_timeout(90_000)  # a busy machine is slow, not wrong
        self.errors, self.requests = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + hash_)
        self.page.wait_for_function("() => window.atlasComplete === true")

    def js(self, code: str):
        return self.page.evaluate(code)

    def frame(self) -> None:
        """Waits until pending changes are painted."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def update(self, changes: str) -> None:
        self.js(f"() => atlas.update({changes})")
        self.frame()

    def point(self, latitude: float, longitude: float) -> tuple[float, float]:
        """Where a place is in the window."""
        x, y = self.js(
            f"() => {{ const p = atlas.map.latLngToContainerPoint([{latitude}, {longitude}]); return [p.x, p.y]; }}"
        )
        box = self.page.locator(".folium-map").bounding_box()
        return box["x"] + x, box["y"] + y

    def colour(self, x: float, y: float) -> np.ndarray:
        clip = {"x": x, "y": y, "width": 1, "height": 1}
        with Image.open(io.BytesIO(self.page.screenshot(clip=clip))) as image:
            return np.asarray(image.convert("RGB"))[0, 0].astype(int)

    def centre_on(self, latitude: float, longitude: float, zoom: float) -> None:
        self.js(f"() => {{ atlas.map.setView([{latitude}, {longitude}], {zoom}, {{animate: false}}); }}")
        self.frame()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def opened(browser, page):
    found = Opened(browser, page)
    yield found
    found.context.close()
    assert found.errors == []
    assert [url for url in found.requests if not url.startswith(("file:", "data:", "blob:"))] == []


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


def some_tile(table, **wanted):
    rows = table
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    return rows.iloc[len(rows) // 2]


def test_the_tile_under_the_mouse_is_told(opened, tables):
    row = some_tile(tables[2], label="Forest")
    opened.page.mouse.move(*opened.point(row.lat, row.lon))
    opened.frame()
    tip, card = opened.page.inner_text(".tip"), opened.page.inner_text(".card")
    assert tip == f"Forest {round(100 * float(row.confidence))} %"
    assert row.name in card
    assert row.scene in card
    shares = sorted((float(row[f"p_{entry.label}"]), entry.title) for entry in EUROSAT.classes)
    assert f"{shares[-2][1]}, {round(100 * shares[-2][0])} %" in card
    assert len(opened.page.query_selector_all(".history button")) == 3


def test_a_click_keeps_a_tile_and_another_releases_it(opened, tables):
    kept, other = some_tile(tables[2], label="Forest"), some_tile(tables[2], label="AnnualCrop")
    opened.page.mouse.click(*opened.point(kept.lat, kept.lon))
    opened.page.mouse.move(*opened.point(other.lat, other.lon))
    opened.frame()
    assert kept.name in opened.page.inner_text(".card")
    opened.page.keyboard.press("Escape")
    opened.page.mouse.move(*opened.point(kept.lat, kept.lon))
    opened.page.mouse.move(*opened.point(other.lat, other.lon))
    opened.frame()
    assert other.name in opened.page.inner_text(".card")


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
    opened.page.click('[aria-label="Show Forest"]')
    opened.frame()
    hidden = opened.colour(*at)
    assert np.abs(shown - hidden).max() > 60
    assert opened.page.get_attribute('[aria-label="Show Forest"]', "aria-checked") == "false"


def test_the_legend_counts_what_the_tables_count(opened, tables):
    counts = tables[2]["label"].value_counts()
    for row in opened.page.query_selector_all(".legend tbody tr"):
        name = row.query_selector(".name").inner_text().split("\n")[0]
        entry = next(c for c in EUROSAT.classes if name.startswith(c.short))
        shown = float(row.query_selector(".figure").inner_text().replace("\u202f", ""))
        assert shown == pytest.approx(40.96 * counts.get(entry.label, 0), abs=0.5)


def test_the_confidence_limit_hides_doubtful_tiles(opened, tables):
    opened.update("{base: 'none', opacity: 1, threshold: 80}")
    known = tables[2][tables[2]["code"] >= 0]
    doubtful, sure = known.sort_values("confidence").iloc[3], known.sort_values("confidence").iloc[-3]
    background = opened.colour(370, 640)
    assert np.abs(opened.colour(*opened.point(doubtful.lat, doubtful.lon)) - background).max() <= 2
    assert np.abs(opened.colour(*opened.point(sure.lat, sure.lon)) - background).max() > 20
    kept = 100 * (known["confidence"] >= 0.795).mean()
    assert f"{kept:.1f}\u00a0%" in opened.page.inner_text(".confidence")


def test_states_are_told_apart_from_classes(opened, tables):
    cloudy = int((tables[1]["code"] == -2).sum())
    assert cloudy > 0
    opened.update("{after: 1}")
    text = opened.page.inner_text(".classes").replace("\u202f", "")
    assert f"Cloud {40.96 * cloudy:.0f} ha" in text
    assert "Unclassified 41 ha" in text
    row = some_tile(tables[1], code=-2)
    opened.page.mouse.move(*opened.point(row.lat, row.lon))
    opened.frame()
    assert opened.page.inner_text(".tip") == "Cloud"


def test_swipe_shows_one_date_on_each_side(opened, tables):
    both = tables[1].assign(label_after=tables[2]["label"].reindex(tables[1].index))
    differ = (both["code"] >= 0) & (both["label"].astype(str) != both["label_after"].astype(str))
    row = both[differ & both["label_after"].isin(["AnnualCrop", "Forest", "Pasture"])]
    row = row.iloc[(row["row"] - int(both["row"].mean())).abs().argmin()]
    opened.page.click("[data-mode=swipe]")
    opened.update("{base: 'none', opacity: 1}")
    x, y = opened.point(row.lat, row.lon)
    wanted = {
        entry.label: np.array([int(entry.colour[at : at + 2], 16) for at in (1, 3, 5)]) for entry in EUROSAT.classes
    }
    handle = opened.page.locator(".swipe-bar").bounding_box()
    for offset, label in ((40, row.label), (-40, row.label_after)):
        opened.page.mouse.move(handle["x"] + 2, 300)
        opened.page.mouse.down()
        opened.page.mouse.move(x + offset, 300)
        opened.page.mouse.up()
        opened.frame()
        assert np.abs(opened.colour(x, y) - wanted[label]).max() <= 2
        handle = opened.page.locator(".swipe-bar").bounding_box()


def test_blink_alternates_the_two_dates(opened):
    opened.page.click("[data-mode=swipe]")
    opened.page.click('[aria-label="Blink between the two dates"]')
    seen = set()
    for _ in range(8):
        opened.page.wait_for_timeout(250)
        seen.add(opened.js("() => atlas.dateOf('after')"))
    assert seen == {1, 2}
    opened.page.keyboard.press("b")
    opened.frame()
    assert opened.js("() => atlas.dateOf('after')") == 2


def test_change_says_what_the_table_says_and_isolates(opened, tables, collected):
    opened.page.click("[data-mode=change]")
    opened.frame()
    change = next(change for change in collected.changes if change.after == collected.scenes[2].day)
    changed = change.state == 2
    sums = opened.js("() => { const t = atlas.data.transitions(1, 2, 0); return [t.changed, t.falseChanges]; }")
    assert sums[0] == pytest.approx(40.96 * changed.sum())
    assert sums[1] == pytest.approx(40.96 * (1 - change.p_change[changed] / 100).sum(), rel=1e-6)
    assert f"Of {sums[0]:,.0f}".replace(",", "\u202f") in opened.page.inner_text(".change")
    opened.page.click(".flows button >> nth=0")
    opened.frame()
    pair = opened.js("() => atlas.state.pair")
    codes = [tables[at]["code"].to_numpy() for at in (1, 2)]
    ids = {f"32632_{col}_{row}" for col, row in change.index[changed]}
    expected = sum(1 for at, tile in enumerate(tables[2].index) if tile in ids and [codes[0][at], codes[1][at]] == pair)
    shown = opened.js(
        "() => { let n = 0; for (let i = 0; i < atlas.grid.size; i++) n += atlas.isChanged(i) ? 1 : 0; return n; }"
    )
    assert 0 < shown == expected < changed.sum()
    assert opened.page.locator('.matrix button[aria-pressed="true"]').count() == 1


def test_pairs_without_a_table_are_estimated_and_say_so(opened):
    opened.update("{mode: 'change', before: 0, after: 2}")
    text = opened.page.inner_text(".change")
    assert "no table of changes" in text
    assert "that alone is not called change" in text
    labels, changed = opened.js("() => { const t = atlas.data.transitions(0, 2, 0); return [t.differ, t.changed]; }")
    assert changed < labels / 2


def test_the_timeline_and_its_keys_choose_dates(opened):
    assert opened.page.locator(".stop").count() == 3
    opened.page.click(".stop >> nth=0")
    opened.frame()
    assert opened.js("() => atlas.state.after") == 0
    opened.page.keyboard.press(".")
    opened.frame()
    assert opened.js("() => atlas.state.after") == 1
    left = [
        float(stop.get_attribute("style").split("left: ")[1].split("%")[0])
        for stop in opened.page.query_selector_all(".stop")
    ]
    days = [(day - worlds.days(3)[0]).days for day in worlds.days(3)]
    assert left == pytest.approx([100 * day / days[-1] for day in days], abs=0.1)


def test_play_walks_through_the_dates(opened):
    opened.page.click('[aria-label="Play"]')
    opened.page.wait_for_function("() => atlas.state.after === 0")
    opened.page.wait_for_function("() => atlas.state.after === 1")
    opened.page.click('[aria-label="Pause"]')
    opened.frame()
    assert opened.page.locator('[aria-label="Play"]').count() == 1


def test_keys_walk_from_tile_to_tile(opened):
    opened.page.keyboard.press("t")
    first = opened.js("() => atlas.grid.id(atlas.state.pinned)")
    opened.page.keyboard.press("Shift+ArrowRight")
    opened.page.keyboard.press("Shift+ArrowUp")
    zone, col, row = map(int, first.split("_"))
    assert opened.js("() => atlas.grid.id(atlas.state.pinned)") == f"{zone}_{col + 1}_{row + 1}"
    opened.page.keyboard.press("2")
    opened.frame()
    assert opened.js("() => atlas.state.mode") == "swipe"


def test_the_address_holds_the_view(browser, page, opened):
    opened.page.click("[data-mode=change]")
    opened.update("{threshold: 35, base: 'none'}")
    opened.page.wait_for_function("() => location.hash.includes('change')")
    again = Opened(browser, page, opened.js("() => location.hash"))
    state = again.js(
        "() => [atlas.state.mode, atlas.state.threshold, atlas.state.base, atlas.map.getZoom(), "
        "atlas.map.getCenter().lat]"
    )
    assert state[:3] == ["change", 35, "none"]
    assert state[3] == opened.js("() => atlas.map.getZoom()")
    assert state[4] == pytest.approx(opened.js("() => atlas.map.getCenter().lat"), abs=1e-3)
    again.context.close()


def test_an_address_cannot_choose_an_online_map(browser, page):
    found = Opened(browser, page, "#map/2019-04-02/2019-07-05/FO/0/imagery/9/47.5/10.4")
    assert found.js("() => [atlas.state.base, atlas.state.shown.filter(Boolean).length]") == ["scene", 1]
    assert not [url for url in found.requests if url.startswith("http")]
    found.context.close()


def test_an_unreachable_online_map_falls_back_with_a_notice(browser, page):
    found = Opened(browser, page)
    found.context.set_offline(True)
    found.page.click("[data-base=light]")
    found.page.wait_for_function("() => atlas.state.base === 'scene'")
    assert "cannot be reached" in found.page.inner_text(".notice")
    assert all("basemaps.cartocdn.com" in url for url in found.requests if url.startswith("http"))
    found.context.close()


def test_the_picture_of_a_tile_is_shown_at_each_date(opened, tables):
    row = some_tile(tables[2], label="Forest")
    opened.page.mouse.click(*opened.point(row.lat, row.lon))
    opened.page.wait_for_function("() => document.querySelectorAll('.history .chip').length === 3")
    opened.page.wait_for_function(
        "() => [...document.querySelectorAll('.chip')].every((c) => c.getContext('2d').getImageData(32, 32, 1, "
        "1).data[3] === 255)"
    )


def test_letters_stand_in_tiles_when_zoomed_in(opened, tables):
    row = some_tile(tables[2], label="Forest")
    opened.centre_on(row.lat, row.lon, 11)
    assert opened.js("() => document.querySelector('.atlas-letters').width") == 0
    opened.centre_on(row.lat, row.lon, 13)
    assert (
        opened.js("""() => {
        const canvas = document.querySelector('.atlas-letters');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let inked = 0;
        for (let i = 3; i < data.length; i += 4) inked += data[i] > 128 ? 1 : 0;
        return inked;
    }""")
        > 1000
    )


def test_zoomed_out_land_and_borders_are_drawn_and_no_class_vanishes(opened, tables):
    opened.centre_on(47.4, 10.4, 4)
    assert opened.page.locator(".outline-land").count() == 1
    codes = opened.js(
        "() => { const l = atlas.layers.after.canvas; return Array.from(new Set(l._level(l._factor).codes)).map((c) "
        "=> c >> 7); }"
    )
    assert opened.js("() => atlas.layers.after.canvas._factor") >= 8
    common = tables[2]["code"].value_counts()
    factor = opened.js("() => atlas.layers.after.canvas._factor")
    assert {code for code, count in common.items() if code >= 0 and count >= 2 * factor**2} <= set(codes)
    opened.centre_on(47.4, 10.4, 10)
    assert opened.page.locator(".outline-land").count() == 0


def test_csv_files_hold_the_sums(opened, tables):
    with opened.page.expect_download() as started:
        opened.page.click(".classes .note >> text=CSV")
    rows = [line.split(",") for line in started.value.path().read_text().splitlines()]
    assert rows[0][0] == "class"
    assert len(rows[0]) == 4
    forest = next(row for row in rows if row[0] == "Forest")
    assert [float(cell) for cell in forest[1:]] == pytest.approx(
        [40.96 * (table["label"] == "Forest").sum() for table in tables], abs=0.01
    )


def test_the_view_is_saved_as_a_picture(opened, tables):
    opened.update("{base: 'none', opacity: 1}")
    row = some_tile(tables[2], label="Forest")
    x, y = opened.point(row.lat, row.lon)
    with opened.page.expect_download() as started:
        opened.page.click('[aria-label="Save the view as PNG"]')
    with Image.open(started.value.path()) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[0] == 800
    assert pixels.shape[1] == 1366 - 360 + 250
    assert np.abs(pixels[round(y), round(x - 360)] - [0x0B, 0x54, 0x10]).max() <= 2


def test_every_control_has_a_name(opened):
    for mode in ("map", "swipe", "change"):
        opened.page.click(f"[data-mode={mode}]")
        opened.frame()
        nameless = opened.js("""() => [...document.querySelectorAll(
            'button, input, a[href], [role=slider], [role=checkbox]')]
            .filter((e) => e.offsetParent !== null)
            .filter((e) => !(e.getAttribute('aria-label') || e.title || e.textContent.trim() || e.closest('label')))
            .map((e) => e.outerHTML)""")
        assert nameless == []


def test_the_phone_page_keeps_everything_within_reach(browser, page):
    found = Opened(
        browser, page, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True, device_scale_factor=2
    )
    panel = found.page.locator(".panel").bounding_box()
    assert panel["width"] == 390
    assert panel["y"] > 350
    assert found.js("() => document.documentElement.scrollWidth") == 390
    found.page.tap(".grab")
    found.page.wait_for_timeout(300)
    assert found.page.locator(".panel").bounding_box()["height"] > panel["height"] * 1.5
    found.page.tap(".grab")
    found.page.wait_for_timeout(300)
    found.page.touchscreen.tap(200, 350)
    found.frame()
    assert (
        "Tile id" in found.js("() => document.querySelector('.card').innerText")
        or found.js("() => atlas.state.pinned") == -1
    )
    assert found.errors == []
    found.context.close()


def test_dark_colours_follow_the_reader(browser, page):
    found = Opened(browser, page, color_scheme="dark")
    assert found.js("() => document.documentElement.dataset.theme") == "dark"
    found.page.click('[aria-label="Light colours"]')
    assert found.js("() => document.documentElement.dataset.theme") == "light"
    found.context.close()


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


def test_zones_are_drawn_and_counted_once(browser, two_zones):
    found = Opened(browser, two_zones)
    found.js("() => { atlas.update({after: 0, before: 0}); }")
    found.frame()
    total = found.js("() => atlas.data.areas(0, 0).slice(0, 10).reduce((a, b) => a + b, 0)")
    assert 1200 < total < 1.6 * 1200
    tile = found.js("() => atlas.grid.at(47.5, 12.0, (t) => atlas.data.exists(0, t))")
    assert found.js(f"() => atlas.grid.where({tile}).plane.epsg") == 32632
    assert found.errors == []
    found.context.close()


def test_places_are_listed_and_reached(browser, two_zones):
    found = Opened(browser, two_zones)
    names = [element.inner_text() for element in found.page.query_selector_all(".place-list button")]
    assert len(names) == 2
    found.page.click(".place-list button >> text=lisbon")
    found.page.wait_for_function("() => atlas.map.getCenter().lng < -5")
    assert found.js("() => atlas.state.after") == 1
    assert found.errors == []
    found.context.close()


def test_a_sample_is_labelled_by_keyboard_without_the_maps_answers(opened, tables, tmp_path):
    sample = tmp_path / "sample.csv"
    chosen = tables[2].iloc[[45, 200, 333]]
    lines = [f"{row.Index},{row.lon:.6f},{row.lat:.6f}," for row in chosen.itertuples()]
    sample.write_text("tile_id,longitude,latitude,label\r\n" + "\r\n".join(lines) + "\r\n")
    opened.page.set_input_files('[aria-label="CSV file of a sample"]', str(sample))
    opened.page.wait_for_function("() => atlas.state.labelling")
    opened.frame()
    assert opened.page.inner_text(".labelling .remark") == "0 of 3 labelled"
    assert not opened.page.is_visible(".card")
    assert not opened.page.is_visible(".legend")
    assert not opened.js("() => atlas.layers.after.source.lut.some(Boolean)")
    x, y = opened.point(chosen.iloc[0].lat, chosen.iloc[0].lon)
    assert abs(x - (360 + 1006 / 2)) < 3
    assert abs(y - 400) < 3
    opened.page.keyboard.press("2")
    opened.page.keyboard.press("Space")
    opened.page.keyboard.press("0")
    opened.frame()
    with opened.page.expect_download() as started:
        opened.page.click("text=save CSV")
    rows = [line.split(",") for line in started.value.path().read_text().splitlines()]
    assert rows[0] == ["tile_id", "longitude", "latitude", "label"]
    assert [row[3] for row in rows[1:]] == ["Forest", "", "SeaLake"]
    assert [row[0] for row in rows[1:]] == list(chosen.index)
    opened.page.click("text=leave")
    opened.frame()
    assert opened.page.is_visible(".legend")


def test_a_control_keeps_the_focus_when_its_panel_is_redrawn(opened):
    opened.page.focus('[aria-label="Show Forest"]')
    opened.page.keyboard.press("Space")
    opened.frame()
    assert opened.js("() => document.activeElement.getAttribute('aria-label')") == "Show Forest"
    assert opened.page.get_attribute('[aria-label="Show Forest"]', "aria-checked") == "false"
    opened.page.focus(".stop >> nth=0")
    opened.page.keyboard.press("Enter")
    opened.frame()
    assert opened.js("() => [document.activeElement.dataset.key, atlas.state.after]") == ["d0", 0]


def test_a_place_across_longitude_180_is_one_map(browser, tmp_path):
    x, y = Transformer.from_crs(4326, 32601, always_xy=True).transform(-180.0, 65.0)
    shares = worlds.softmax(worlds.logits((30, 20)))
    worlds.write_scene(
        tmp_path / "tiles", "edge", worlds.days(1)[0], 32601, int(x // 640) - 10, int(y // 640) + 15, shares
    )
    found = Opened(browser, render_atlas(collect(tmp_path / "tiles"), EUROSAT, tmp_path / "atlas.html"))
    assert found.js("() => atlas.map.getZoom()") > 8
    assert abs(found.js("() => atlas.map.getCenter().lng") + 180) < 0.2
    assert found.js("() => atlas.map.getBounds().contains(atlas.layers.after.pictures[0].getBounds())")
    for longitude in (-180.1, -179.9, 179.9):
        assert found.js(f"() => atlas.grid.at(65.0, {longitude})") >= 0
    painted = found.js("() => Array.from(atlas.layers.after.canvas._over).filter((tile) => tile >= 0).length")
    assert painted > 100_000
    assert found.errors == []
    found.context.close()
