import base64
import itertools
import re
import shutil
import subprocess
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from importlib import import_module, resources
from pathlib import Path

import numpy as np
import pytest

from pipeline.atlas.collect import collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.atlas.part import slim
from pipeline.atlas.parts.palette import SAFE, safe_colours
from pipeline.errors import OutputError
from pipeline.legend import EUROSAT, LandCoverClass, Legend
from pipeline.scenes.scene import UNKNOWN_DATE
from tests.atlas import vision, worlds
from tests.atlas.reading import meta_of, text_of

# Backdrops of the classes: a light map, dark green imagery, bare soil.
BACKDROPS = ("#f2f2f0", "#34452f", "#8a7a62")


@pytest.fixture(scope="module")
def html(page) -> str:
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def default_opacity() -> float:
    script = resources.files("pipeline.atlas").joinpath("static", "page.js").read_text()
    return float(re.search(r"opacity: (0\.\d+)", script).group(1))


def test_the_page_asks_no_server(html):
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", html)
    assert "default-src 'none'" in html
    assert "sourceMappingURL" not in html
    assert not re.search(r"url\((?!#|images/)", html)


def test_names_are_escaped_and_the_markup_is_whole(html):
    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.tags = []

        def handle_starttag(self, tag, attrs):
            self.tags.append(tag)

    reader = Reader()
    reader.feed(html)
    assert "<title>Made &amp; &lt;b&gt;world&lt;/b&gt;</title>" in html
    assert "b" not in reader.tags
    assert meta_of(html)["title"] == "Made & <b>world</b>"


def test_a_hostile_name_cannot_leave_the_script(tmp_path):
    worlds.write_scene(tmp_path, "a", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    found = collect(tmp_path)
    hostile = replace(found, scenes=(replace(found.scenes[0], id="</script><script>alert(1)</script>"),))
    text = render_atlas(hostile, EUROSAT, tmp_path / "atlas.html").read_text()
    assert "<script>alert(1)" not in text
    assert meta_of(text)["scenes"][0]["id"] == "</script><script>alert(1)</script>"


def test_a_scene_without_a_date_says_so(tmp_path):
    worlds.write_scene(tmp_path, "a", UNKNOWN_DATE, 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    worlds.write_scene(tmp_path, "b", worlds.days(1)[0], 32632, 10, 50, worlds.softmax(worlds.logits((6, 4))))
    meta = meta_of(render_atlas(collect(tmp_path), EUROSAT, tmp_path / "atlas.html").read_text())
    (known,) = (day for day in meta["dates"] if not day.startswith("1970"))
    assert f"{int(known[8:])} " in meta["subtitle"] and "and scenes of unknown date" in meta["subtitle"]
    assert "1970" not in meta["subtitle"]


def test_the_bytes_say_what_the_tables_say(html, collected):
    meta = meta_of(html)
    raw = zlib.decompress(base64.b64decode(text_of(html, "atlas-core")))
    sizes = [
        meta["planes"][layer["plane"]]["rows"] * meta["planes"][layer["plane"]]["cols"] for layer in meta["layers"]
    ]
    assert len(raw) == 2 * sum(sizes)
    for code, entry in enumerate(EUROSAT.classes):
        tables = sum(int((scene.codes == code).sum()) for scene in collected.scenes)
        assert raw[: sum(sizes)].count(code) == tables
        assert meta["classes"][code]["label"] == entry.label
    assert meta["dates"] == sorted(meta["dates"])
    assert [scene["counts"]["Forest"] for scene in meta["scenes"]] == [
        int((scene.codes == 1).sum()) for scene in collected.scenes
    ]
    assert meta["refusals"][0]["error"] == "IncompleteScene"


def test_equal_inputs_give_equal_bytes(world, page, tmp_path):
    again = render_atlas(collect(world), EUROSAT, tmp_path / "again.html", AtlasOptions(title="Made & <b>world</b>"))
    assert again.read_bytes() == page.read_bytes()


def test_the_page_stays_small(tmp_path):
    worlds.write_world(tmp_path / "tiles", dates=1, size=(171, 171), pictures=False)
    options = AtlasOptions()
    html = render_atlas(collect(tmp_path / "tiles"), EUROSAT, tmp_path / "atlas.html", options).read_text()
    shares = text_of(html, "atlas-shares")
    assert 0 < len(shares) <= options.share_budget
    assert len(html) - len(shares) < 500_000


def test_quicklooks_keep_to_their_budget(collected, tmp_path):
    out = render_atlas(collected, EUROSAT, tmp_path / "atlas.html", AtlasOptions(quicklook_budget=3000, chips="none"))
    text = out.read_text()
    pictures = [text_of(text, picture["element"]) for picture in meta_of(text)["quicklooks"]]
    assert len(pictures) == 3
    assert sum(len(base64.b64decode(picture)) for picture in pictures) < 3000


def test_a_page_without_pictures_chips_and_basemaps_is_whole(tmp_path):
    worlds.write_world(tmp_path / "tiles", dates=1, size=(6, 4), pictures=False)
    text = render_atlas(
        collect(tmp_path / "tiles"), EUROSAT, tmp_path / "atlas.html", AtlasOptions(online_basemaps=False)
    ).read_text()
    meta = meta_of(text)
    assert meta["quicklooks"] == []
    assert meta["chips"]["sheets"] == []
    assert "https://" not in re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)


def test_another_model_brings_its_own_legend(tmp_path):
    classes = tuple(
        LandCoverClass(f"C{k}", f"Class {k}", f"Cl {k}", f"C{k}", f"#{40 + 50 * k:02x}8040", "#ffffff")
        for k in range(4)
    )
    legend = Legend("four", classes)
    worlds.write_scene(
        tmp_path / "tiles",
        "a",
        worlds.days(1)[0],
        32632,
        10,
        50,
        worlds.softmax(worlds.logits((6, 4), classes=4)),
        legend=legend,
    )
    meta = meta_of(render_atlas(collect(tmp_path / "tiles"), legend, tmp_path / "atlas.html").read_text())
    assert [entry["letters"] for entry in meta["classes"]] == ["C0", "C1", "C2", "C3"]


def test_a_legend_of_another_model_is_refused(collected, tmp_path):
    with pytest.raises(OutputError, match="legend"):
        render_atlas(collected, Legend("few", EUROSAT.classes[:4]), tmp_path / "atlas.html")
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_leaves_the_old_one(collected, page, tmp_path, monkeypatch):
    target = tmp_path / "atlas.html"
    target.write_text("old")

    def full(*_args, **_kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OutputError, match="no space left"):
        render_atlas(collected, EUROSAT, target, AtlasOptions(chips="none"))
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["atlas.html"]


def test_places_far_apart_are_listed(tmp_path):
    shares = worlds.softmax(worlds.logits((6, 4)))
    worlds.write_scene(
        tmp_path / "tiles", "S2A_20240601_T32TPT", worlds.days(1)[0], 32632, 900, 8281, shares, pictures=False
    )
    worlds.write_scene(tmp_path / "tiles", "lisbon", worlds.days(2)[1], 32629, 800, 6700, shares, pictures=False)
    meta = meta_of(render_atlas(collect(tmp_path / "tiles"), EUROSAT, tmp_path / "atlas.html").read_text())
    assert [place["name"] for place in meta["places"]] == ["near Lisbon, Portugal", "near Vaduz, Liechtenstein"]
    assert [place["dates"] for place in meta["places"]] == [[1], [0]]


def test_every_script_is_in_the_page_and_parses(html, tmp_path):
    folder = Path(str(resources.files("pipeline.atlas").joinpath("static")))
    scripts = [path for path in folder.rglob("*.js") if path.parent.name != "vendor"]
    for path in scripts:
        assert slim(path.read_text()) in html, path
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to check the scripts' syntax")
    for path in scripts:
        served = tmp_path / path.name
        served.write_text(slim(path.read_text()))
        subprocess.run([node, "--check", str(served)], check=True)


def test_a_part_is_there_by_being_there(collected, monkeypatch, tmp_path):
    (tmp_path / "greeting.py").write_text(
        "from pipeline.atlas.part import Contribution\n\n\ndef contribute(world):\n"
        "    return Contribution({'greeting': len(world.collected.scenes)}, {'atlas-greeting': 'hello'})\n"
    )
    package = import_module("pipeline.atlas.parts")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    html = render_atlas(collected, EUROSAT, tmp_path / "atlas.html", AtlasOptions(chips="none")).read_text()
    assert meta_of(html)["greeting"] == 3
    assert text_of(html, "atlas-greeting") == "hello"


def test_ciede2000_reproduces_published_pairs():
    """From the supplement of Sharma et al. 2005."""
    for one, two, expected in (
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ):
        assert vision.ciede2000(np.array(one, float), np.array(two, float)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("sight", list(vision.DICHROMACY))
@pytest.mark.parametrize("backdrop", BACKDROPS)
def test_classes_look_different_at_the_default_opacity(sight, backdrop, default_opacity):
    shown = [
        default_opacity * vision.rgb(entry.colour) + (1 - default_opacity) * vision.rgb(backdrop)
        for entry in EUROSAT.classes
    ]
    seen = [vision.lab(colour, sight) for colour in shown]
    assert min(vision.ciede2000(a, b) for a, b in itertools.combinations(seen, 2)) >= 9


def smallest_difference(colours: list[str], sight: str) -> float:
    seen = [vision.lab(vision.rgb(colour), sight) for colour in colours]
    return min(vision.ciede2000(a, b) for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize("sight", ["normal", "protan", "deutan"])
def test_the_alternative_colours_look_different_to_everyone(html, sight):
    chosen = [entry["colour"] for entry in meta_of(html)["safe"]]
    assert len(set(chosen)) == 10
    assert smallest_difference(chosen, sight) >= 15
    assert smallest_difference(list(SAFE), sight) >= 15
    # The legend's own colours are told apart less well; the figure is held so that it does not get worse.
    assert smallest_difference([entry.colour for entry in EUROSAT.classes], sight) >= 8


def test_alternative_colours_differ_by_texture_too(html):
    textures = [entry["texture"] for entry in meta_of(html)["safe"]]
    assert len(set(textures)) == len(textures) == 10
    more = safe_colours([f"#{k:02x}8040" for k in range(0, 250, 10)])
    assert len({(entry["colour"], entry["texture"]) for entry in more}) == 25


@pytest.mark.parametrize("backdrop", BACKDROPS)
def test_letters_can_be_read_on_their_class(html, backdrop, default_opacity):
    for entry in meta_of(html)["classes"]:
        mixed = default_opacity * vision.rgb(entry["colour"]) + (1 - default_opacity) * vision.rgb(backdrop)
        assert vision.contrast("#" + "".join(f"{round(255 * v):02x}" for v in mixed), entry["ink"]) >= 4.5


def test_text_can_be_read_in_light_and_dark():
    css = resources.files("pipeline.atlas").joinpath("static", "atlas.css").read_text()
    for block in re.findall(r":root[^{]*\{([^}]*)\}", css)[:2]:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for text, paper in itertools.product(
            ("ink", "quiet", "accent", "later", "more", "less"), ("paper", "soft", "raised")
        ):
            assert vision.contrast(colours[text], colours[paper]) >= 4.5, (text, paper)
