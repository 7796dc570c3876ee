"""Several places in one atlas: what is compared, counted, named and shown."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer

from pipeline.atlas.collect import PERCENT_UNKNOWN, collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.legend import EUROSAT
from pipeline.scenes.scene import UNKNOWN_DATE
from tests.atlas import worlds

ROWS, COLS = 14, 10
EARLY, LATE, OTHER = (datetime(year, 7, 2, 10, tzinfo=UTC) for year in (2018, 2024, 2021))


def corner(longitude, latitude, epsg) -> tuple[int, int]:
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(longitude, latitude)
    return int(x // 640), int(y // 640)


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """Nantes at two dates and without one; Bolzano at one; east of it, without overlap, another date."""
    folder = tmp_path_factory.mktemp("journey")
    evidence = worlds.logits((ROWS, COLS), seed=4)
    west, south = corner(-1.55, 47.3, 32630), corner(11.35, 46.55, 32632)
    for name, when, epsg, (col, row), seed in (
        ("nantes_early", EARLY, 32630, west, 0),
        ("nantes_late", LATE, 32630, west, 9),
        ("nantes_undated", UNKNOWN_DATE, 32630, west, 0),
        ("bolzano", OTHER, 32632, south, 3),
        ("east", EARLY, 32632, (south[0] + COLS, south[1]), 5),
    ):
        shares = worlds.softmax(worlds.later(evidence, seed) if seed else evidence)
        worlds.write_scene(folder / "tiles", name, when, epsg, col, row, shares, pictures=False)
    worlds.write_changes(folder / "tiles", "nantes_[el]*")
    found = collect(folder / "tiles")
    unknown = np.full((ROWS, COLS), PERCENT_UNKNOWN, np.uint8)
    scenes = tuple(replace(one, cloud=unknown) if one.id == "bolzano" else one for one in found.scenes)
    found = replace(found, scenes=scenes)
    return found, render_atlas(found, EUROSAT, folder / "atlas.html", AtlasOptions(chips="none"))


@pytest.fixture
def map_of(open_page, journey):
    return lambda hash_="", **window: open_page(journey[1], hash_, **window)


def codes(journey, name) -> np.ndarray:
    return next(scene.codes for scene in journey[0].scenes if scene.id == name)


def visit(opened, name) -> None:
    opened.js(f"(atlas.visit(atlas.places.findIndex((p) => p.ids.includes('{name}')), true), 0)")
    opened.frame()


def test_places_carry_names_and_neighbours_of_other_days_stay_apart(map_of):
    names = map_of().js("atlas.places.map((place) => [place.name, place.ids])")
    assert [ids for _, ids in names if "bolzano" in ids] == [["bolzano"]]
    assert any("Nantes, France" in name and len(ids) == 3 for name, ids in names)
    assert len({name for name, _ in names}) == 3


def test_dates_of_different_places_are_not_compared(map_of):
    opened = map_of()
    visit(opened, "bolzano")
    for mode in ("change", "swipe"):
        opened.click(f"[data-mode={mode}]")
        assert opened.js("atlas.state.mode") == "map"
        assert "one date only" in opened.text(".notice")
    visit(opened, "nantes_late")
    opened.click("[data-mode=change]")
    assert opened.js("[atlas.meta.dates[atlas.state.before], atlas.meta.dates[atlas.state.after]]") == [
        "2018-07-02",
        "2024-07-02",
    ]
    visit(opened, "bolzano")
    assert opened.js("atlas.state.mode") == "map"


def test_change_counts_this_place_only(map_of, journey):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.click("[data-mode=change]")
    both = (codes(journey, "nantes_early") >= 0) & (codes(journey, "nantes_late") >= 0)
    total = opened.js(
        "(() => { const t = atlas.data.transitions(atlas.state.before, atlas.state.after, 0, atlas.scope()); "
        "return t.changed + t.undecided + t.stable; })()"
    )
    assert total == pytest.approx(40.96 * both.sum())


def test_the_difference_counts_tiles_classed_at_both_dates(map_of, journey):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.click("[data-mode=swipe]")
    before, after = codes(journey, "nantes_early"), codes(journey, "nantes_late")
    both = (before >= 0) & (after >= 0)
    rows = opened.js(
        "[...document.querySelectorAll('.legend tbody tr')].map((r) => "
        "[Number(r.querySelector('.check').dataset.class), "
        "[...r.querySelectorAll('.figure')].at(-1).innerText])"
    )
    for k, text in rows:
        expected = 40.96 * float((after[both] == k).sum() - (before[both] == k).sum())
        assert float(text.replace("\N{MINUS SIGN}", "-").replace("\u202f", "")) == pytest.approx(expected, abs=0.5)


def test_title_dates_and_figures_follow_the_place_in_view(map_of, journey):
    opened = map_of()
    assert opened.text("h1") == "Land cover of 3 places"
    visit(opened, "nantes_late")
    assert opened.text("h1").endswith("Nantes, France")
    assert "nantes_early" in opened.text(".panel header p")
    assert opened.count(".stop") == 3
    total = sum(int((codes(journey, "nantes_late") == k).sum()) for k in range(10))
    assert f"{total * 0.4096:.0f} km² counted" in opened.text(".classes")
    visit(opened, "bolzano")
    assert not opened.visible(".timeline")


def test_another_places_date_leaves_no_blank_map(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.update("{after: atlas.datesHere()[1], base: 'none'}")
    for name in ("bolzano", "east"):
        visit(opened, name)
        assert opened.js("[...atlas.layers.after.source.codes].filter((c) => c >> 7 < 10).length") > 300


def test_the_csv_tells_place_part_and_unknown_dates(map_of, journey):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.js(
        "(atlas.map.setView(atlas.grid.centre(atlas.planesHere()[0].offset + 45), 14, {animate: false}), "
        "atlas.update({where: 'view'}), 0)"
    )
    opened.frame()
    opened.click(".classes .note button", "CSV")
    name, content = opened.saved()
    rows = [re.findall(r'"[^"]*"|[^,]+', line) for line in content.decode().splitlines()]
    assert name == "land-cover-near-nantes-france.csv"
    assert {row[1] for row in rows[1:]} == {"this view"}
    assert {row[0] for row in rows[1:]} == {'"near Nantes, France"'}
    assert {row[2] for row in rows[1:]} == {"date unknown", "2018-07-02", "2024-07-02"}
    inside = opened.js("[...atlas.inView()].filter(Boolean).length")
    counted = sum(float(row[4]) for row in rows[1:] if row[2] == "2024-07-02") / 40.96
    assert 0 < inside < ROWS * COLS
    assert counted == pytest.approx(inside, abs=0.01)


def test_a_class_alone_shows_its_losses_too(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.click("[data-mode=change]")
    both = "atlas.data.classes[atlas.state.before][t], atlas.data.classes[atlas.state.after][t]"
    moves = f"[...atlas.changeMarks].map((t) => [{both}])"
    every = opened.js(moves)
    lost = {before for before, after in every if before != after}
    chosen = min(lost)
    opened.update(f"{{shown: atlas.classes.map((_, k) => k === {chosen})}}")
    assert sorted(opened.js(moves)) == sorted(move for move in every if chosen in move)
    assert any(before == chosen for before, _ in opened.js(moves))


def test_the_key_of_a_change_names_what_is_drawn(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.click("[data-mode=change]")
    names = opened.js("Atlas.sheet.keyOf(atlas).map((row) => row.name)")
    assert names[-2:] == ["undecided", "stable"]
    assert all(name.startswith("became ") for name in names[:-2])
    assert opened.js("Atlas.sheet.keyOf(atlas).at(-2).second") is not None


def test_what_is_not_known_is_said_so(map_of):
    opened = map_of()
    visit(opened, "bolzano")
    opened.js("(atlas.pin(atlas.planesHere()[0].offset + 30), 0)")
    opened.frame()
    assert "255" not in opened.text(".card")
    assert "unknown" in opened.text(".card")
    opened.js("(atlas.pin(atlas.planesHere()[0].offset + 1), 0)")  # unclassified
    opened.frame()
    assert opened.js("document.getElementById('atlas-live').textContent") == "Unclassified"


@pytest.mark.parametrize("width", [390, 600, 780])
@pytest.mark.parametrize("asked", ["", "#map/2018-07-02/2024-07-02/all/0/scene/12/47.25/-1.5"])
def test_narrow_windows_open_on_what_was_asked_for(map_of, width, asked):
    opened = map_of(asked, width=width, height=760)
    if asked:
        centre = opened.js("[atlas.map.getZoom(), atlas.map.getCenter().lat, atlas.map.getCenter().lng]")
        assert centre == pytest.approx([12, 47.25, -1.5], abs=0.01)
    else:
        assert opened.js("atlas.places.every((p) => atlas.map.getBounds().intersects(p.bounds))")


def test_places_all_over_the_world_fit_into_a_phone(open_page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("far")
    made = worlds.softmax(worlds.logits((6, 8)))
    for name, zone, corner in (("west", 32611, (1031, 6250)), ("east", 32650, (781, 3843))):
        worlds.write_scene(folder, name, worlds.days(1)[0], zone, *corner, made)
    opened = open_page(render_atlas(collect(folder), EUROSAT, folder / "atlas.html"), width=390, height=760)
    assert opened.js("atlas.places.every((p) => atlas.map.getBounds().contains(p.bounds))")
    assert opened.count(".pin") == 2


def test_the_list_of_places_makes_room_for_the_figures(map_of):
    opened = map_of()
    assert opened.js("document.querySelector('.place-list').checkVisibility()")
    visit(opened, "bolzano")
    assert not opened.js("document.querySelector('.place-list').checkVisibility()")
    opened.click(".places .link", "list all places")
    assert "bolzano" in opened.text(".place-list [aria-current=true]")
    opened.click(".place-list button", "Nantes")
    opened.wait("atlas.places[atlas.state.place].name.includes('Nantes')")
    assert not opened.js("document.querySelector('.place-list').checkVisibility()")


def test_everything_shown_is_findable(map_of):
    opened = map_of()
    visit(opened, "bolzano")
    opened.click('[aria-label="Show everything"]')
    opened.wait("atlas.state.place === -1")
    time_to_settle = "!atlas.map._animatingZoom"
    opened.wait(time_to_settle)
    assert opened.js("atlas.places.map((_, n) => atlas.sizeOnScreen(n)).every((size) => size < 40)")
    assert opened.count(".pin") == 3
    opened.js("(atlas.map.setZoom(2, {animate: false}), 0)")
    assert opened.count(".pin") == 3


def test_a_pin_leads_to_its_place(map_of):
    opened = map_of()
    opened.click('.pin[title*="Nantes"]')
    opened.wait("atlas.state.place >= 0 && !atlas.map._animatingZoom && !atlas.map._panAnim?._inProgress")
    assert opened.text("h1").endswith("Nantes, France")


def test_zoom_has_a_limit(map_of):
    opened = map_of("#map/2018-07-02/2024-07-02/all/0/scene/99/47.25/-1.5")
    assert opened.js("atlas.map.getZoom()") <= 17


def test_escape_takes_the_ring_away(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.press("t")
    rings = "[...document.querySelectorAll('.leaflet-overlay-pane path')].some((p) => p.getAttribute('d').length > 10)"
    assert opened.js("atlas.state.pinned") >= 0
    assert opened.js(rings)
    opened.press("Escape")
    assert opened.js("atlas.state.pinned") == -1
    assert not opened.js(rings)


def test_the_address_remembers_tile_opacity_fade_flow_and_swipe(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.click("[data-mode=swipe]")
    opened.update("{split: 0.3, opacity: 0.4, fade: true, pinned: atlas.planesHere()[0].offset + 45}")
    opened.wait("location.hash.includes('split')")
    wanted = "['mode', 'split', 'opacity', 'fade', 'pinned', 'place'].map((name) => atlas.state[name])"
    again = map_of(opened.js("location.hash"))
    again.frame()
    assert again.js(wanted) == opened.js(wanted)
    opened.click("[data-mode=change]")
    opened.update("{pair: [1, 0]}")
    opened.wait("location.hash.includes('flow')")
    again = map_of(opened.js("location.hash"))
    again.frame()
    assert again.js("[atlas.state.mode, atlas.state.pair]") == ["change", [1, 0]]


def test_changes_stay_visible_when_zoomed_out(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.click("[data-mode=change]")
    opened.update("{base: 'none'}")
    opened.js("(atlas.lookAround = () => 0, atlas.map.setView(atlas.map.getCenter(), 6, {animate: false}), 0)")
    opened.frame()
    assert opened.js("atlas.layers.after.canvas.painter.tilePixels") < 1
    tile = opened.js("atlas.changeMarks[0]")
    x, y = opened.point(*opened.js(f"atlas.grid.centre({tile})"))
    code = opened.js(f"atlas.data.classes[atlas.state.after][{tile}]")
    colours = [
        np.array([int(EUROSAT.classes[k].colour[at : at + 2], 16) for at in (1, 3, 5)])
        for k in opened.js("[...new Set([...atlas.changeMarks].map((t) => atlas.data.classes[atlas.state.after][t]))]")
    ]
    seen = opened.pixels()[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].reshape(-1, 3)
    assert code < 10
    assert sum(any(np.abs(one - colour).max() <= 3 for colour in colours) for one in seen) >= 9


def test_the_sheet_is_light_and_whole_in_the_dark(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.click('[aria-label="Dark colours"]')
    for mode in ("map", "change"):
        opened.click(f"[data-mode={mode}]")
        opened.click('[aria-label="Save the view as PNG"]')
        with Image.open(io.BytesIO(opened.saved()[1])) as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        assert pixels.shape[1] > 2000
        assert (pixels[4:12, 4:400] == 255).all()
        assert pixels.mean() > 150


def test_paper_is_light_fitted_and_has_no_blank_page(map_of):
    pypdfium2 = pytest.importorskip("pypdfium2", reason="pages of a PDF are looked at with pypdfium2")
    opened = map_of()
    visit(opened, "nantes_late")
    opened.click('[aria-label="Dark colours"]')
    document = pypdfium2.PdfDocument(opened.window.pdf())
    pages = [np.asarray(page.render(scale=1).to_pil().convert("RGB")).astype(int) for page in document]
    assert 1 <= len(pages) <= 3
    for page in pages:
        assert (page[:6] == 255).all()
        assert page.std() > 1
    assert "Classes" in "".join(page.get_textpage().get_text_range() for page in document)
    document.close()


def test_fingers_hit_everything_on_a_phone(map_of):
    opened = map_of(width=390, height=800, touch=True)
    visit(opened, "nantes_late")
    opened.tap(".grab")
    small = opened.js(
        "[...document.querySelectorAll('.panel button, .panel select, .tools button, .timeline button, "
        ".leaflet-bar a')]"
        ".filter((e) => e.offsetParent).map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])"
        ".filter(([, r]) => r.height < 39.5 || r.width < 39.5).map(([html, r]) => html + r.width + 'x' + r.height)"
    )
    assert small == []
    assert opened.js("document.documentElement.scrollWidth") == 390


def test_an_area_counts_border_tiles_by_their_part(map_of, journey, tmp_path):
    opened = map_of()
    visit(opened, "nantes_late")
    ring = opened.js("atlas.grid.ring(atlas.planesHere()[0].offset + 45)")  # north-west, clockwise
    (north, west), (south, east) = ring[0], ring[2]
    wide = east - west
    area = tmp_path / "district.geojson"
    outline = [[west, north], [west + 1.5 * wide, north], [west + 1.5 * wide, south], [west, south], [west, north]]
    area.write_text(
        '{"type": "Feature", "properties": {"name": "District"}, "geometry": {"type": "Polygon", "coordinates": ['
        + str(outline)
        + "]}}"
    )
    opened.window.files('[aria-label="File with an outline"]', area)
    opened.wait("atlas.state.where === 'area'")
    opened.frame()
    assert opened.text(".area .remark") == "District"
    shares = opened.js("[...atlas.area.shares].filter(Boolean)")
    assert sum(shares) == pytest.approx(1.5, abs=0.03)
    opened.click(".classes .note button", "CSV")
    rows = [re.findall(r'"[^"]*"|[^,]+', line) for line in opened.saved()[1].decode().splitlines()]
    hectares = sum(float(row[4]) for row in rows[1:] if row[2] == "2024-07-02")
    assert hectares == pytest.approx(1.5 * 40.96, abs=1.5)
    assert {row[1] for row in rows[1:]} == {"District"}


def test_an_area_is_drawn_by_hand(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.js("(atlas.map.setView(atlas.grid.centre(atlas.planesHere()[0].offset + 45), 13, {animate: false}), 0)")
    opened.click(".area button", "Draw an area")
    for x, y in ((700, 300), (900, 300), (900, 500)):
        opened.click_at(x, y)
    opened.press("Enter")
    opened.wait("atlas.state.where === 'area'")
    assert opened.js("atlas.area.polygons[0][0].length") == 3
    assert opened.js("atlas.state.pinned") == -1


def test_kml_is_read_too(map_of, tmp_path):
    opened = map_of()
    visit(opened, "nantes_late")
    (north, west), (south, east) = (opened.js("atlas.grid.ring(atlas.planesHere()[0].offset + 45)")[k] for k in (0, 2))
    path = tmp_path / "a.kml"
    path.write_text(
        '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><name>Plot</name><Polygon>'
        f"<outerBoundaryIs><LinearRing><coordinates>{west},{north} {east},{north} {east},{south}</coordinates>"
        "</LinearRing></outerBoundaryIs></Polygon></Placemark></kml>"
    )
    opened.window.files('[aria-label="File with an outline"]', path)
    opened.wait("atlas.state.where === 'area'")
    assert opened.js("[...atlas.area.shares].reduce((a, b) => a + b)") == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.geojson", b'{"type": "FeatureCollection", "features": []}', "holds no polygon"),
        ("a.gpkg", b"SQLite format 3\0" + bytes(range(256)), "it is a GeoPackage"),
        ("a.zip", b"PK\3\4" + bytes(range(256)), "it is a zip, perhaps of a shapefile"),
        ("a.txt", b"nothing of the kind", "neither GeoJSON nor KML"),
    ],
)
def test_a_file_that_is_no_outline_says_what_it_is_and_where_it_goes(map_of, tmp_path, name, content, words):
    opened = map_of()
    path = tmp_path / name
    path.write_bytes(content)
    opened.window.files('[aria-label="File with an outline"]', path)
    opened.wait("document.querySelector('.notice')?.classList.contains('on')")
    told = opened.text(".notice")
    assert told.startswith(name) and words in told and "areas tiles --regions" in told


def test_patches_are_listed_and_reached(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.click("[data-mode=change]")
    assert opened.count(".patch-list li") >= 1
    opened.click(".patch-list button")
    opened.wait("!atlas.map._animatingZoom && !atlas.map._panAnim?._inProgress")
    assert opened.js("atlas.map.getBounds().contains(atlas.grid.centre(atlas.state.pinned))")
    assert opened.js("atlas.isChanged(atlas.state.pinned)")


def test_towns_and_coordinates_are_found(map_of):
    opened = map_of()
    opened.wait("atlas.towns && atlas.towns.length > 1000")
    opened.js("(() => { const i = document.querySelector('.find input'); i.value = 'nante'; i.oninput(); })()")
    assert opened.text(".found button").startswith("Nantes")
    opened.click(".found button")
    assert opened.js("[atlas.map.getCenter().lat, atlas.map.getCenter().lng]") == pytest.approx([47.21, -1.59], abs=0.1)
    for text, place in (("47.2, -1.55", [47.2, -1.55]), ("1.5 W 47.2 N", [47.2, -1.5]), ("Nantes 44000", None)):
        assert opened.js(f"Atlas.coordinates('{text}')") == place


def test_a_sample_is_answered_at_its_own_date_and_nothing_is_lost(map_of, browser, journey, tmp_path):
    opened = map_of()
    visit(opened, "nantes_late")
    ids = opened.js("[45, 46, 47].map((k) => atlas.grid.id(atlas.planesHere()[0].offset + k))")
    sample = tmp_path / "sample.csv"
    sample.write_text("tile_id,date,label\n" + "".join(f"{one},2018-07-02,\n" for one in ids))

    def begin(page):
        page.window.files('[aria-label="CSV file of a sample"]', sample)
        page.wait("atlas.state.labelling")
        page.frame()

    begin(opened)
    assert opened.js("atlas.meta.dates[atlas.state.after]") == "2018-07-02"
    assert "2 Jul 2018" in opened.text(".labelling")
    opened.press("2")
    opened.press("Backspace")
    opened.press("Space")
    opened.press("?")
    assert opened.text(".labelling .remark") == "2 of 3 answered"
    opened.click(".labelling button", "save CSV")
    rows = opened.rows()
    assert [row[2:] for row in rows[1:]] == [["Forest", ""], ["", "cannot tell"], ["", ""]]
    opened.window.goto(journey[1].as_uri())
    opened.wait("window.atlasComplete === true")
    begin(opened)
    assert opened.text(".labelling .remark") == "2 of 3 answered"


def test_nothing_serious_stands_in_anyones_way(map_of):
    """axe-core's rules, serious and critical."""
    axe = pytest.importorskip("axe_playwright_python", reason="axe-core's script comes with axe-playwright-python")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text()
    opened = map_of()
    visit(opened, "nantes_late")
    opened.js(f"(() => {{ {script}\n; return 0; }})()")
    for mode in ("map", "swipe", "change"):
        opened.click(f"[data-mode={mode}]")
        found = opened.js(
            "axe.run().then((r) => r.violations.filter((v) => ['serious', 'critical'].includes(v.impact))"
            ".map((v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 90) + ' ' + (n.any[0]?.message || ''))))"
        )
        assert found == []


def test_other_colours_and_textures_are_chosen_in_the_page(map_of):
    opened = map_of()
    visit(opened, "nantes_late")
    opened.update("{base: 'none', opacity: 1}")
    opened.click(".background label", "colour-blind")
    opened.frame()
    safe = opened.js("atlas.meta.safe[1].colour")
    assert opened.js("getComputedStyle(document.querySelector('[aria-label=\"Show Forest\"]')).backgroundColor") == (
        "rgb({}, {}, {})".format(*(int(safe[at : at + 2], 16) for at in (1, 3, 5)))
    )
    forest = opened.js(
        "atlas.planesHere()[0].offset + [...atlas.data.classes[atlas.state.after]].slice(atlas.planesHere()[0].offset)"
        ".indexOf(1)"
    )
    opened.js(f"(atlas.map.setView(atlas.grid.centre({forest}), 14, {{animate: false}}), 0)")
    opened.frame()
    x, y = opened.point(*opened.js(f"atlas.grid.centre({forest})"))
    around = opened.pixels()[int(y) + 12 : int(y) + 28, int(x) - 20 : int(x) + 20].reshape(-1, 3)
    assert len(np.unique(around, axis=0)) >= 2
    opened.wait("location.hash.includes('palette')")
