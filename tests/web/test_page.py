"""The person's page in real browsers, on real server processes."""

import json
import time

import pytest

from tests.atlas.browsers import FirefoxWindow

PATIENCE = 300
# Serious for axe-core, https://github.com/dequelabs/axe-core/blob/develop/doc/API.md
SERIOUS = ("serious", "critical")


class Shown:
    """The page in a window, with what a person does to it."""

    def __init__(self, browser, server, view="", width=1280, height=900, touch=False):
        self.server, self.window = server, browser.window(width, height, touch, False)
        self.window.goto(f"{server.url}/{view}")
        self.wait("document.body.dataset.ready === 'yes' || !document.getElementById('gate').hidden")

    def js(self, expression):
        return self.window.js(expression)

    def wait(self, expression):
        until = time.monotonic() + PATIENCE
        while not self.js(expression):
            assert time.monotonic() < until, f"never true: {expression}; errors {self.window.errors}"
            time.sleep(0.05)

    def text(self, selector):
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText")

    def count(self, selector):
        return self.js(f"document.querySelectorAll({json.dumps(selector)}).length")

    def middle(self, selector):
        element = f"document.querySelector({json.dumps(selector)})"
        self.js(f"({element}.scrollIntoView({{block: 'center'}}), 0)")
        box = self.js(f"{element}.getBoundingClientRect().toJSON()")
        return box["left"] + box["width"] / 2, box["top"] + box["height"] / 2

    def click(self, selector):
        self.click_at(*self.middle(selector))

    def click_at(self, x, y):
        self.window.move(x, y)
        self.window.down()
        self.window.up()

    def focus(self, selector):
        self.js(f"(document.querySelector({json.dumps(selector)}).focus(), 0)")

    def tab(self):
        """Tab, which WebDriver calls by a code point."""
        self.window.press("\ue004" if isinstance(self.window, FirefoxWindow) else "Tab")

    def choose(self, selector, value):
        self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)};"
            " e.dispatchEvent(new Event('change')); return 0; })()"
        )

    def catch_downloads(self):
        self.js(
            "(window.caught = [], URL.createObjectURL = (blob) => { blob.text().then((t) => caught.push(t));"
            " return 'about:blank#'; }, HTMLAnchorElement.prototype.click = () => 0, 0)"
        )

    def downloaded(self):
        self.wait("caught.length > 0")
        return self.js("caught.pop()")

    def tiles_loaded(self):
        self.wait(
            "(() => { const all = [...document.querySelectorAll('.leaflet-tile')];"
            " return all.length > 0 && all.every((e) => e.complete && e.naturalWidth === 256); })()"
        )


@pytest.fixture
def show(browser, server):
    """Opens the page; nothing may go wrong on it, and nothing may be asked elsewhere."""
    windows = []

    def one(view="", on=server, errors=False, **window):
        windows.append((Shown(browser, on, view, **window), errors))
        return windows[-1][0]

    yield one
    for shown, errors in windows:
        asked = [
            url for url in shown.window.requests if not url.startswith((shown.server.url, "data:", "blob:", "about:"))
        ]
        told = shown.window.errors
        shown.window.close()
        assert errors or told == []
        assert asked == []


@pytest.fixture
def chip(tmp_path, make_picture):
    path = tmp_path / "chip.png"
    path.write_bytes(make_picture())
    return path


def test_a_chosen_picture_comes_back_with_its_answer(show, chip, server):
    shown = show()
    shown.window.files("#classify-files", chip)
    shown.wait("document.querySelectorAll('#classify-answers .bars').length === 1")
    (expected,) = server.client.post("/classify", files={"files": ("chip.png", chip.read_bytes())}).json()
    text = shown.text("#classify-answers li")
    assert expected["label"] in text and expected["model"] in text
    ranked = sorted(expected["probabilities"], key=expected["probabilities"].get, reverse=True)
    assert f"then {ranked[1]}" in text
    assert ("unfamiliar" in text) == expected["unfamiliar"]
    assert shown.js("[...document.querySelectorAll('.bars dt')].map((e) => e.innerText)") == ranked[:5]
    assert shown.text("#classify-status") == "1 picture answered"
    shown.catch_downloads()
    shown.click("#classify-csv")
    head, row = [line.split(",") for line in shown.downloaded().splitlines()]
    told = dict(zip(head, row, strict=True))
    assert told["image"] == "chip.png" and told["label"] == expected["label"]
    assert {name: float(told[f"p_{name}"]) for name in ranked} == expected["probabilities"]
    shown.click("#classify-clear")
    assert shown.count("#classify-answers li") == 0


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(show, make_picture, way):
    import base64

    shown = show()
    names = ["a.png", "<img src=x onerror=document.title='hit'>.png", "..\\b.png"]
    data = [base64.b64encode(make_picture(seed=at)).decode() for at in range(3)]
    shown.js(
        f"(() => {{ const all = new DataTransfer(); const names = {json.dumps(names)};"
        f" {json.dumps(data)}.forEach((text, at) => {{"
        " const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));"
        " all.items.add(new File([bytes], names[at], {type: 'image/png'})); });"
        + (
            "document.getElementById('classify-drop').dispatchEvent(new DragEvent('drop',"
            " {dataTransfer: all, bubbles: true, cancelable: true})); return 0; })()"
            if way == "drop"
            else "const event = new ClipboardEvent('paste', {clipboardData: all, bubbles: true});"
            " if (!event.clipboardData || !event.clipboardData.files.length)"
            " Object.defineProperty(event, 'clipboardData', {value: all}); dispatchEvent(event); return 0; })()"
        )
    )
    shown.wait("document.querySelectorAll('#classify-answers .bars').length === 3")
    assert set(shown.js("[...document.querySelectorAll('#classify-answers h3')].map((e) => e.innerText)")) == set(names)
    assert shown.js("document.title") == "Land-cover atlas"


def test_a_larger_picture_is_shown_patch_by_patch(show, tmp_path, make_picture, server):
    path = tmp_path / "large.png"
    path.write_bytes(make_picture((200, 140)))
    shown = show()
    shown.window.files("#classify-files", path)
    shown.wait("document.querySelectorAll('canvas').length === 1")
    answers = server.client.post("/classify", files={"files": ("large.png", path.read_bytes())}).json()
    assert shown.js("[document.querySelector('canvas').width, document.querySelector('canvas').height]") == [192, 128]
    x, y, width, height = shown.js(
        "(() => { const e = document.querySelector('canvas'); e.scrollIntoView({block: 'center'});"
        " const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()"
    )
    shown.click_at(x + 0.83 * width, y + 0.75 * height)  # the last patch
    shown.wait("document.querySelector('.card [role=status]').innerText.startsWith('128, 64')")
    assert answers[-1]["label"] in shown.text(".card [role=status]")
    assert "6 patches" in shown.text("#classify-answers li")


def test_a_bad_picture_is_told_in_the_servers_words(show, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"nothing")
    shown = show(errors=True)  # browsers log the refusal
    shown.window.files("#classify-files", tmp_path / "bad.png")
    shown.wait("document.getElementById('classify-status').innerText.includes('no readable picture')")


def test_the_live_map_by_keyboard(show, server):
    shown = show("#atlases")
    shown.wait("document.querySelectorAll('#atlas-list li').length === 1")
    assert "2 scenes, 2021-07-01, 2023-07-01" in shown.text("#atlas-list li")
    shown.focus("#atlas-list a")
    shown.window.press("Enter")
    shown.wait("!document.getElementById('live').hidden")
    shown.tiles_loaded()
    shown.wait("document.querySelectorAll('#live-legend li').length === 10")
    shown.focus("#live-map")
    before = shown.js("liveMap.getCenter().lng")
    shown.window.press("ArrowRight")
    shown.wait(f"liveMap.getCenter().lng > {before}")
    shown.js("(liveMap.panTo([0, 0], {animate: false}), liveMap.fitBounds(liveMap.options.maxBounds || "
             "[[46.02, 10.28], [46.04, 10.33]], {animate: false}), 0)")  # fmt: skip
    shown.focus("#live-map")
    shown.window.press("Enter")
    shown.wait("document.querySelectorAll('#live-inspector .bars').length === 1")
    place = shown.js("[liveMap.getCenter().lng, liveMap.getCenter().lat]")
    scene = shown.js("document.getElementById('live-scene').value")
    box = ",".join(f"{value:.6f}" for value in (*place, *place))
    (feature, *_) = server.client.get(f"/scenes/{scene}/tiles", params={"bbox": box}).json()["features"]
    assert feature["properties"]["tile_id"] in shown.text("#live-inspector")
    assert feature["properties"]["label"] in shown.text("#live-inspector")


def test_swipe_layers_search_and_opacity(show):
    shown = show("#atlases/eurosat-resnet50")
    shown.tiles_loaded()
    assert shown.js("getComputedStyle(document.querySelector('.swiped')).display") == "none"
    shown.click("#live-swipe")
    shown.choose("#live-right-layer", "truecolour")
    shown.tiles_loaded()
    assert shown.js("liveMap.getPane('right').querySelectorAll('img[src*=\"/truecolour/\"]').length") > 0
    assert shown.js("liveMap.getPane('left').querySelectorAll('img[src*=\"/landcover/\"]').length") > 0
    shown.choose("#live-right-layer", "confidence")
    shown.wait("document.querySelectorAll('#live-legend li').length === 14")
    assert shown.text("#live-legend").split("\n")[0] == "Tiles" and "40 % or less" in shown.text("#live-legend")
    before = shown.js("liveMap.getPane('right').style.clipPath")
    shown.focus("#live-divider")
    shown.window.press("ArrowLeft")
    shown.wait(f"liveMap.getPane('right').style.clipPath !== {json.dumps(before)}")
    shown.choose("#live-query", "austria")
    shown.focus("#live-query")
    shown.window.press("Enter")
    shown.wait("document.getElementById('live-inspector').innerText.includes('Austria (country)')")


def test_areas_drawn_and_viewed(show, server):
    shown = show("#atlases/eurosat-resnet50")
    shown.tiles_loaded()
    shown.click("#area-view")
    shown.wait("document.querySelectorAll('#area-result tbody td').length > 0")
    told = shown.js(
        "[...document.querySelectorAll('#area-result tbody')].map((b) => [...b.rows].map((r) => "
        "[...r.cells].map((c) => c.innerText)))"
    )
    (atlas,) = server.client.get("/atlases").json()
    bbox, titles = atlas["bbox"], {entry["label"]: entry["title"] for entry in atlas["legend"]}
    # Tiles on the border reach beyond the scene's own box; the view holds them whole.
    west, south, east, north = (edge + beyond for edge, beyond in zip(bbox, (-0.05, -0.05, 0.05, 0.05), strict=True))
    square = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    rows = server.client.post("/areas", json={"polygon": {"type": "Polygon", "coordinates": [square]}}).json()["rows"]
    expected = {}
    for row in rows:
        figures = [f"{row['hectares']:,.0f}", f"{100 * row['share']:.1f}"]
        expected.setdefault(row["date"], []).append([titles.get(row["label"], row["label"]), *figures])
    assert told == [[[day], *lines] for day, lines in expected.items()]
    box = "document.getElementById('area-result')"
    assert shown.js(f"{box}.scrollWidth <= {box}.clientWidth")
    shown.click("#area-draw")
    x, y = shown.middle("#live-map")
    for dx, dy in ((-150, -120), (150, -120), (150, 120), (-150, 120), (-150, -120)):
        shown.click_at(x + dx, y + dy)
    shown.wait("document.getElementById('area-draw').getAttribute('aria-pressed') === 'false'")
    shown.wait("document.getElementById('area-status').innerText !== 'counting ...'")
    drawn = shown.js("[...document.querySelectorAll('#area-result tbody tr')].filter((r) => r.cells.length > 1).length")
    assert drawn > 0
    shown.catch_downloads()
    shown.click("#area-result button")
    assert len(shown.downloaded().splitlines()) == drawn + 1


def test_a_dropped_polygon_is_measured(show, server, tmp_path):
    west, south, east, north = server.client.get("/atlases").json()[0]["bbox"]
    middle = (west + east) / 2
    ring = [[west, south], [middle, south], [middle, north], [west, north], [west, south]]
    path = tmp_path / "half.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    shown = show("#atlases/eurosat-resnet50")
    shown.tiles_loaded()
    shown.window.files("#area-file", path)
    shown.wait("document.querySelectorAll('#area-result tbody tr').length > 0")


def test_a_scene_is_mapped_from_the_page(show, serve, tmp_path, make_scene):
    server = serve()
    scene = make_scene(tmp_path / "in")
    shown = show("#run", on=server)
    shown.window.files("#run-files", scene)
    shown.wait(f"document.getElementById('run-chosen').innerText === {json.dumps(scene.name)}")
    shown.js("(document.querySelector('#run details').open = true, 0)")
    shown.choose("#run-offset", "0")
    shown.choose("#run-name", "From <b>a page</b>")
    shown.click("#run-form > button")
    shown.wait("document.querySelectorAll('#job-list li').length === 1")
    shown.wait("document.querySelector('#job-list a') !== null")
    text = shown.text("#job-list li")
    assert "From <b>a page</b>" in text and "done" in text and "40 of 40 tiles" in text
    shown.click("#job-list a")
    shown.tiles_loaded()
    assert shown.text("#live-title") == "From <b>a page</b>"


def test_a_job_is_cancelled_and_deleted_from_the_page(show, serve, tmp_path, make_scene):
    scene = make_scene(tmp_path / "in", shape=(1280, 1792))
    server = serve("--scenes", str(scene.parent))
    shown = show("#run", on=server)
    shown.choose("#run-folder", ".")
    shown.js("(document.querySelector('#run details').open = true, 0)")
    shown.choose("#run-offset", "0")
    shown.click("#run-form > button")
    shown.wait("document.querySelectorAll('#job-list progress:not([hidden])').length === 1")
    shown.click("#job-list button")
    shown.wait("document.querySelector('#job-list li').innerText.includes('cancelled')")
    shown.click("#job-list button")
    shown.wait("document.querySelectorAll('#job-list li').length === 0")


@pytest.mark.parametrize("view", ["#classify", "#atlases/eurosat-resnet50", "#run"])
def test_a_phone_shows_all_of_it(show, view, chip):
    shown = show(view, width=360, height=740, touch=True)
    if view == "#classify":
        shown.window.files("#classify-files", chip)
        shown.wait("document.querySelectorAll('.bars').length === 1")
    if "/" in view:
        shown.tiles_loaded()
    assert shown.js("document.scrollingElement.scrollWidth") <= 360
    small = shown.js(
        "[...document.querySelectorAll('button, select, .button')].filter((e) => e.getClientRects().length &&"
        " e.getBoundingClientRect().height < 40).map((e) => e.textContent)"
    )
    assert small == []


@pytest.mark.parametrize("view", ["#classify", "#atlases/eurosat-resnet50", "#run"])
def test_axe_finds_nothing_serious(show, view, chip, axe):
    shown = show(view)
    if view == "#classify":
        shown.window.files("#classify-files", chip)
        shown.wait("document.querySelectorAll('.bars').length === 1")
    if "/" in view:
        shown.tiles_loaded()
    shown.js(f"(() => {{ {axe}; return 0; }})()")
    found = shown.js("axe.run().then((told) => told.violations.map((v) => [v.impact, v.id, v.nodes[0].html]))")
    assert [entry for entry in found if entry[0] in SERIOUS] == []


def test_the_first_tab_leads_to_the_content_and_all_is_in_reach(show):
    shown = show()
    shown.tab()
    assert shown.js("document.activeElement.className") == "skip"
    reached = []
    for _ in range(9):
        shown.tab()
        reached.append(shown.js("document.activeElement.id || document.activeElement.textContent"))
    assert reached[:4] == ["Classify", "Atlases", "Run", "API"]
    assert {"classify-files", "classify-model"} <= set(reached)


def test_a_token_is_asked_for_once(show, running, tmp_path):
    (tmp_path / "tiles").mkdir()
    with running(tmp_path / "tiles", "--token", "open sesame") as guarded:
        shown = show(on=guarded, errors=True)  # browsers log the 401
        assert shown.js("document.activeElement.id") == "gate-token"
        assert shown.js("document.getElementById('classify').hidden")
        shown.choose("#gate-token", "wrong")
        shown.window.press("Enter")
        shown.wait("document.getElementById('gate-title').innerText.includes('not the token')")
        shown.choose("#gate-token", "open sesame")
        shown.focus("#gate-token")
        shown.window.press("Enter")
        shown.wait("!document.getElementById('classify').hidden")
        assert shown.js("document.getElementById('gate').hidden")


def test_the_calls_can_be_read(browser, server):
    window = browser.window(1280, 900, False, False)
    window.goto(f"{server.url}/docs")
    until = time.monotonic() + PATIENCE
    while not window.js("document.querySelectorAll('.opblock').length > 20"):
        assert time.monotonic() < until
        time.sleep(0.1)
    asked, errors = (
        [url for url in window.requests if not url.startswith((server.url, "data:", "blob:"))],
        window.errors,
    )
    window.close()
    assert asked == errors == []


def test_the_offline_page_is_fenced(browser, server):
    window = browser.window(1280, 900, False, False)
    window.goto(f"{server.url}/atlases/eurosat-resnet50/page")
    until = time.monotonic() + PATIENCE
    while not window.js("window.atlasComplete === true"):
        assert time.monotonic() < until
        time.sleep(0.1)
    told = window.js("fetch('/models').then((a) => a.status, () => 'blocked')")
    errors = [text for text in window.errors if not any(part in text for part in ("favicon", "connect-src", "/models"))]
    window.close()
    assert told == "blocked"
    assert errors == []
