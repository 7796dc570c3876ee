"""The index over many atlases: every page linked where it lies, nothing unescaped, damaged ones left out."""

import json
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from pipeline.atlas.index_page import read_facts, write_index
from pipeline.atlas.page import render_atlas
from pipeline.cli import main
from pipeline.errors import OutputError
from pipeline.legend import EUROSAT


def atlas_page(folder, title, west, south):
    facts = {"title": title, "subtitle": "Sentinel-2, 3 Jul 2019", "bounds": [[south, west], [south + 1, west + 2]]}
    folder.mkdir(parents=True)
    (folder / "atlas.html").write_text(f"<script>Atlas.start(map_atlas, {json.dumps(facts)});</script></html>")


class Boxes(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.boxes, self.scripts, self._link = [], {}, 0, None

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        if tag == "a":
            self._link = unquote(told["href"])
            self.links.append(self._link)
        if tag == "rect":
            self.boxes[self._link] = tuple(float(told[name]) for name in ("x", "y", "width", "height"))
        self.scripts += tag == "script"


def read(page):
    found = Boxes()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def test_two_hundred_regions_are_linked_and_placed(tmp_path):
    for at in range(200):
        atlas_page(tmp_path / f"region {at % 7}" / f"n{at:03}", f"Land cover no. {at}", -20 + at % 30, 35 + at // 30)
    page, count = write_index(tmp_path)
    found = read(page)
    assert count == 200
    assert len(found.links) == 400 and len(set(found.links)) == 200
    assert all((tmp_path / link).is_file() for link in found.links)
    assert found.boxes["region 3/n052/atlas.html"] == (2.0, -37.0, 2.0, 1.0)
    assert page.stat().st_size < 400_000


def test_real_pages_are_read(collected, tmp_path):
    out = tmp_path / "one" / "atlas.html"
    out.parent.mkdir()
    render_atlas(collected, EUROSAT, out)
    facts = read_facts(out)
    ((south, west), (north, east)) = facts["bounds"]
    answer = CliRunner().invoke(main, ["atlas", str(tmp_path), "--index"], catch_exceptions=False)
    assert answer.exit_code == 0 and answer.output.startswith("1 atlases in")
    assert read(tmp_path / "index.html").boxes["one/atlas.html"] == pytest.approx(
        (west, -north, east - west, north - south), abs=1e-3
    )


def test_titles_are_text_and_damaged_pages_are_left_out(tmp_path, caplog):
    atlas_page(tmp_path / "a", "<script>alert(1)</script>", 5, 40)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "atlas.html").write_text("Atlas.start(map_atlas, {broken")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "atlas.html").write_text("nothing")
    page, count = write_index(tmp_path)
    assert count == 1 and read(page).scripts == 0
    assert "&lt;script&gt;" in page.read_text()
    assert {"b", "c"} <= {part for record in caplog.records for part in record.getMessage().split("/")}


def test_no_atlas_is_told(tmp_path):
    with pytest.raises(OutputError, match=r"no atlas\.html lies in it"):
        write_index(tmp_path)
