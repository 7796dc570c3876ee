"""The whole product as a new user meets it: the demo, its later dates one period, the trained model, a real browser."""

import io
import json
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer

from pipeline.results.layout import model_folders, scene_folders
from pipeline.simulate import read_truth
from pipeline.simulate.truth import PURE

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder in which `run_pipeline.py --demo` has run."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, ROOT / "run_pipeline.py", "--demo"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def tables(demo):
    """The tile tables that speak in the demo, of the first date and of the later two as a period, by tile id."""
    (model,) = model_folders(demo / "tiles")
    found = [gpd.read_parquet(place / "tiles.parquet") for place in scene_folders(model)]
    assert len(found) == 2
    return sorted((table.set_index("tile_id") for table in found), key=lambda table: table["acquired"].iloc[0])


def test_the_summary_says_what_a_person_wants_to_know(demo):
    text = (demo / "stdout.txt").read_text()
    assert (
        "3 of 3 scenes mapped, 1 composite made of them," in text
        and "Forest" in text
        and " ha " in text
        and "atlas.html" in text
    )


def test_the_cover_knows_the_made_land(demo):
    found = re.findall(r"(\S+): ([0-9.]+)% of 1,9[0-9]{2},[0-9]{3} pixels", (demo / "stdout.txt").read_text())
    assert len(found) == 4
    shares = {name: float(share) for name, share in found}
    assert min(shares.values()) > 85
    (composite,) = [name for name in shares if not name.startswith("S2B")]
    assert shares[composite] >= max(share for name, share in shares.items() if "_2023" in name and name != composite)


def test_the_model_recognises_the_landscape(demo, tables):
    clear = [tile for tile in read_truth(demo / "demo-scenes" / "truth.csv") if tile.clear]
    first = min(tile.scene.split("_")[2] for tile in clear)
    right = [tables[0 if first in tile.scene else 1].at[tile.tile_id, "label"] == tile.label for tile in clear]
    assert len(right) > 300
    assert np.mean(right) >= 0.85


def test_what_is_claimed_has_changed(demo):
    """Claims between any two dates, of tiles that one class fills at both; a period's truth is its nearest date's."""
    (path,) = demo.glob("tiles/*/changes.parquet")
    claimed = gpd.read_parquet(path).query("state == 'changed'")
    truth = {(tile.date, tile.tile_id): tile for tile in read_truth(demo / "demo-scenes" / "truth.csv")}
    days = sorted({day for day, _ in truth})

    def at(moment, tile_id):
        day = min(days, key=lambda day: abs(datetime.fromisoformat(f"{day}T10:00+00:00") - moment))
        return truth[day, tile_id]

    pairs = [
        [at(moment, row.tile_id) for moment in (row.before_acquired, row.after_acquired)]
        for row in claimed.itertuples()
    ]
    pure = [(one.label, two.label) for one, two in pairs if one.purity >= PURE and two.purity >= PURE]
    assert len(pure) >= 5
    assert not [labels for labels in pure if labels[0] == labels[1]]


def test_the_offsets_of_the_products_were_read(demo):
    records = json.loads(next(demo.glob("tiles/*/run.json")).read_text())["scenes"]
    offsets = [set(record["radiometry"]["offsets"].values()) for record in records if not record["period"]]
    assert offsets == [{0.0}, {-1000.0}, {-1000.0}]


def test_the_period_fills_what_clouds_hid(demo, tables):
    later = [gpd.read_parquet(path).set_index("tile_id") for path in demo.glob("tiles/*/S2B*2023*/tiles.parquet")]
    hidden = [set(table.index[table["label"].isin(["cloud", "unclassified"])]) for table in later]
    left = set(tables[1].index[tables[1]["label"].isin(["cloud", "unclassified"])])
    assert left <= hidden[0] & hidden[1]
    assert len(left) < min(map(len, hidden))
    assert set(tables[1]["looks"]) == {0, 1, 2}


def test_the_worked_example_of_composites_tells_what_comes_out(demo):
    """docs/composite.md, within some tiles that another release of the model may name otherwise."""
    (model,) = model_folders(demo / "tiles")
    told = re.findall(
        r"^\| (2023-07-01_\S+|S2B_\S+) \| (\d+) \| (\d+) \| (\d+) \|$",
        (ROOT / "docs" / "composite.md").read_text(),
        re.M,
    )
    assert len(told) == 3
    for name, *counts in told:
        table = gpd.read_parquet(model / name / "tiles.parquet")
        found = [
            (table["code"] >= 0).sum(),
            (table["label"] == "unclassified").sum(),
            (table["label"] == "cloud").sum(),
        ]
        assert np.abs(np.array(counts, int) - found).max() <= 25, name
    later = [gpd.read_parquet(model / name / "tiles.parquet") for name, *_ in told]
    assert (later[2]["code"] >= 0).sum() > max((table["code"] >= 0).sum() for table in later[:2])


@pytest.fixture(scope="module")
def page(demo):
    """The open page with what went wrong on it and what it asked the network for."""
    if CHROMIUM is None:
        pytest.skip("Debian's chromium is not installed")
    from playwright.sync_api import sync_playwright

    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        opened = browser.new_page(viewport={"width": 1366, "height": 800})
        opened.faults, opened.requests = [], []
        opened.on("pageerror", lambda error: opened.faults.append(str(error)))
        opened.on("request", lambda request: opened.requests.append(request.url))
        opened.goto((demo / "maps" / "atlas.html").as_uri())
        opened.wait_for_function("() => window.atlasReady === true", timeout=30_000)
        yield opened
        browser.close()


def place(page, table, tile_id):
    """Where a tile's centre is on the screen."""
    centre = table.at[tile_id, "geometry"].centroid
    longitude, latitude = Transformer.from_crs(table.crs, 4326, always_xy=True).transform(centre.x, centre.y)
    script = """([lat, lon]) => {
        const point = atlas.map.latLngToContainerPoint([lat, lon]);
        const frame = atlas.map.getContainer().getBoundingClientRect();
        return [point.x + frame.left, point.y + frame.top];
    }"""
    return page.evaluate(script, [latitude, longitude])


def pixel(page, at):
    """The colour on the screen, a little off the tile's centre where no letter stands."""
    clip = {"x": at[0] - 8, "y": at[1] - 8, "width": 1, "height": 1}
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")).astype(int)[0, 0]


def lake_tile(table):
    """A confident lake tile amid lake tiles."""
    lakes = table[(table["label"] == "SeaLake") & (table["confidence"] > 0.8)]
    inside = lakes[
        [
            sum(((lakes["col"] - row.col).abs() <= 1) & ((lakes["row"] - row.row).abs() <= 1)) == 9
            for row in lakes.itertuples()
        ]
    ]
    return inside.index[0]


def test_the_page_opens_from_disk_without_a_network(page):
    assert page.faults == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_the_label_under_the_mouse_is_the_tables(page, tables):
    tile_id = lake_tile(tables[1])
    page.mouse.move(*place(page, tables[1], tile_id))
    page.wait_for_timeout(200)
    confidence = round(tables[1].at[tile_id, "confidence"] * 100)
    text = page.inner_text("body")
    assert "Sea or lake" in text and f"{confidence} %" in text


def test_a_class_toggle_changes_the_pixel(page, tables):
    at = place(page, tables[1], lake_tile(tables[1]))
    shown = pixel(page, at)
    box = page.get_by_role("checkbox", name="Show Sea or lake")
    box.click()
    page.wait_for_timeout(300)
    hidden = pixel(page, at)
    box.click()
    page.wait_for_timeout(300)
    assert np.abs(shown - hidden).max() > 20
    assert np.array_equal(pixel(page, at), shown)


def test_the_legend_counts_the_tables_hectares(page, tables):
    hectares = (tables[1]["label"] == "SeaLake").sum() * 40.96
    shown = "".join(page.get_by_role("checkbox", name="Show Sea or lake").locator("xpath=../..").inner_text().split())
    assert f"{hectares:.0f}" in shown
