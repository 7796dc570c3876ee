"""What damaged, doubled and hostile inputs mean for a whole run: tables, reports and the page."""

import json
import os
import shutil
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest

from pipeline.batch.main_job import RunOptions, run
from pipeline.cli.run import summary
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import UNMASKED, ReadOptions
from tests.builders import Safe, band_folder, stored, surface, write_item, write_jp2, write_safe, write_tif
from tests.fakes import fake_model
from tests.scenes.helpers import BANDS, CUTS, SECRET, cut, halves, vrt

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Runs a folder with the classifier that knows the answer; gives the report and the outputs' folder."""
    model, fake = fake_model(tmp_path, monkeypatch)

    def start(folder, name="out", options=ReadOptions(), order=lambda found: found):
        out = tmp_path / name
        choice = RunOptions(tiles=out / "tiles", maps=out / "maps", model=model)
        return run(order(list(find_scenes(folder, options))), choice), out

    start.fake = fake
    return start


def contents(out, scene):
    folder = out / "tiles" / "fake" / scene
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def records(out):
    return {entry["id"]: entry for entry in json.loads((out / "tiles" / "fake" / "run.json").read_text())["scenes"]}


@pytest.mark.parametrize("share", CUTS)
def test_truncated_scene_leaves_the_others_as_they_are(tmp_path, mapped, monkeypatch, share):
    monkeypatch.setenv("GDAL_NUM_THREADS", "ALL_CPUS")
    good = [Safe(tile="32TPR"), Safe(tile="32TQR", west=699_960)]
    for at, product in enumerate(good):
        write_safe(tmp_path / "in", product, surface(260, 390, seed=at))
    undisturbed, before = mapped(tmp_path / "in", "before")
    assert undisturbed.exit_code == 0
    bad = Safe(tile="32TPS", north=5_200_020)
    root = write_safe(tmp_path / "in", bad, surface(260, 390, seed=9))
    cut(root / bad.image("B03"), share)
    report, after = mapped(tmp_path / "in", "after")
    assert report.exit_code == 3
    done = [record.id for record in report.records if record.status == "done"]
    assert len(done) == 2
    for scene in done:
        assert contents(before, scene) == contents(after, scene)
    (refused,) = [entry for entry in records(after).values() if entry["status"] == "refused"]
    assert refused["error"] == "CorruptScene" and "B03" in refused["reason"]
    assert "B03" in report.page.read_text()


def test_passport_is_in_every_output(tmp_path, mapped):
    write_safe(tmp_path / "in", Safe(manifest="SHA3-256"), scl=np.full((100, 165), 4, np.uint8))
    report, out = mapped(tmp_path / "in")
    (entry,) = records(out).values()
    passport = entry["radiometry"]
    assert (
        passport["baseline"] == "05.09" and passport["quantification"] == 10_000 and passport["offsets"]["B02"] == -1000
    )
    assert (
        passport["sources"]["offset"] == "MTD_MSIL2A.xml"
        and passport["clipped_share"] == 0
        and passport["saturated_share"] == 0
    )
    item = json.loads((out / "tiles" / "fake" / entry["id"] / "scene.json").read_text())
    assert item["properties"]["atlas:radiometry"]["offsets"]["B02"] == -1000
    assert "05.09" in report.page.read_text()


@pytest.mark.parametrize("kind", ["all zero", "all cloud"])
def test_scenes_without_a_usable_tile(tmp_path, mapped, kind):
    numbers = {band: stored(value, -1000) for band, value in surface().items()}
    scl = np.full((100, 165), 9, np.uint8)
    if kind == "all zero":
        numbers, scl = {band: np.zeros_like(value) for band, value in numbers.items()}, np.zeros_like(scl)
    write_safe(tmp_path / "in", dn=numbers, scl=scl)
    report, out = mapped(tmp_path / "in")
    assert report.exit_code in (0, 1)
    assert mapped.fake.seen == [], "no pixel reaches the network"
    (entry,) = records(out).values()
    assert set(entry["counts"]) <= {"no data", "cloud"} or entry["error"] == "EmptyScene"


def test_no_zero_reaches_the_network(tmp_path, mapped):
    """A swath edge across the tiles: what the network sees is measured everywhere, and never a flat zero."""
    y, x = np.mgrid[0:260, 0:390]
    inside = x + 0.4 * y < 300
    values = surface(260, 390)
    bright = {band: np.clip(value, 0.03, None) for band, value in values.items()}
    write_safe(
        tmp_path / "in",
        dn={band: np.where(inside, stored(value, -1000), 0).astype(np.uint16) for band, value in bright.items()},
    )
    _, out = mapped(tmp_path / "in")
    seen = np.concatenate(mapped.fake.seen)
    assert len(seen) and seen.min() >= 25
    table = gpd.read_parquet(next(out.glob("tiles/fake/*/tiles.parquet")))
    assert ((table["valid_fraction"] >= 0.5) == (table["code"] >= 0)).all()
    probabilities = table.loc[table["code"] >= 0, [name for name in table if name.startswith("p_")]]
    assert np.isfinite(probabilities.to_numpy()).all()


@pytest.mark.parametrize("change", ["order", "folder name", "threads"])
def test_outputs_depend_on_the_pixels_alone(tmp_path, mapped, monkeypatch, change):
    for seed, tile in enumerate(("32TPR", "32TPS")):
        write_safe(tmp_path / "in", Safe(tile=tile, north=5_100_000 + 100_020 * seed), surface(seed=seed))
    band_folder(tmp_path / "in" / "20210703")
    first, before = mapped(tmp_path / "in", "before")
    folder = tmp_path / "in"
    if change == "folder name":
        folder = tmp_path / "ein anderer Name"
        shutil.copytree(tmp_path / "in", folder)
    if change == "threads":
        monkeypatch.setenv("GDAL_NUM_THREADS", "ALL_CPUS")
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
    order = (lambda found: found[::-1]) if change == "order" else (lambda found: found)
    second, after = mapped(folder, "after", order=order)
    names = sorted(record.id for record in first.records)
    assert names == sorted(record.id for record in second.records) and len(names) == 3
    for scene in names:
        assert contents(before, scene) == contents(after, scene)
    assert first.page.read_bytes() == second.page.read_bytes()


def test_another_place_changes_nothing_here(tmp_path, mapped):
    write_safe(tmp_path / "in")
    _, before = mapped(tmp_path / "in", "before")
    write_safe(tmp_path / "in", Safe(tile="33TUL", epsg=32633, west=300_000))
    report, after = mapped(tmp_path / "in", "after")
    scene = "S2B_L2A_T32TPR_20230614T100609"
    assert report.exit_code == 0 and contents(before, scene) == contents(after, scene)


def test_halves_make_one_scene_with_both_sources(tmp_path, mapped):
    first, second = halves(tmp_path / "in")
    write_safe(tmp_path / "whole", scl=np.full((100, 165), 4, np.uint8))
    report, out = mapped(tmp_path / "in", "halves")
    _, other = mapped(tmp_path / "whole", "whole")
    (scene,) = [record.id for record in report.records]
    merged, whole = (gpd.read_parquet(folder / "tiles" / "fake" / scene / "tiles.parquet") for folder in (out, other))
    assert merged["code"].tolist() == whole["code"].tolist() and merged["tile_id"].tolist() == whole["tile_id"].tolist()
    assert any(second.name in text or first.name in text for text in records(out)[scene]["warnings"])


def test_identical_input_of_two_baselines(tmp_path, mapped):
    write_safe(tmp_path / "old", Safe(baseline="03.01", offset=None))
    write_safe(tmp_path / "new", Safe(baseline="05.09", offset=-1000))
    tables = []
    for name in ("old", "new"):
        _, out = mapped(tmp_path / name, f"out-{name}")
        tables.append(gpd.read_parquet(next(out.glob("tiles/fake/*/tiles.parquet"))))
    assert tables[0].drop(columns="scene").equals(tables[1].drop(columns="scene"))


def test_no_secret_in_any_output(tmp_path, mapped, server):
    secret = write_tif(tmp_path / "outside" / "secret.tif", np.full((200, 330), SECRET, np.uint16))
    home = tmp_path / "in"
    band_folder(home / "good")
    for name, text in {"local": vrt(secret), "remote": vrt(f"/vsicurl/{server.url}/x.tif")}.items():
        band_folder(home / name)
        (home / name / "B03.tif").write_text(text)
    band_folder(home / "link")
    (home / "link" / "B03.tif").unlink()
    (home / "link" / "B03.tif").symlink_to(secret)
    report, out = mapped(home)
    assert report.exit_code == 3 and sum(record.status == "done" for record in report.records) == 1
    assert server.asked == []
    for path in out.rglob("*"):
        if path.is_file():
            assert b"outside/secret" not in path.read_bytes()


XSS = [
    "<script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    '"><svg onload=alert(1)>',
    "</script><script>alert(1)</script>",
    "'-alert(1)-'",
    "new\nline \u2028 end",
]


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
def test_markup_in_names_stays_text(tmp_path, mapped):
    from playwright.sync_api import sync_playwright

    home = tmp_path / "in"
    for at, text in enumerate(XSS):
        name = text.replace("/", "_")
        folder = band_folder(home / f"{at} {name}")
        assets = {band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4}]) for band in BANDS}
        write_item(
            folder / "item.json",
            assets,
            id=text,
            platform=text,
            **{"s2:processing_baseline": text, "eo:cloud_cover": 3},
        )
        (home / f"bad {at}").mkdir()
        (home / f"bad {at}" / f"B02 {name}.tif").write_bytes(b"<not a raster>")
    report, _ = mapped(home)
    assert sum(record.status == "done" for record in report.records) == len(XSS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1366, "height": 800})
        dialogs, faults = [], []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(report.page.as_uri())
        page.wait_for_function("() => window.atlasReady === true", timeout=120_000)
        title = page.title()
        for x in range(300, 1300, 90):
            page.mouse.move(x, 400)
            page.mouse.click(x, 420)
        for button in page.query_selector_all("button, summary, [role=tab], [role=button]")[:60]:
            if button.is_visible():
                button.click(timeout=1000, force=True, no_wait_after=True)
        page.wait_for_timeout(300)
        assert dialogs == [] and faults == [] and page.title() == title and "hacked" not in title
        assert page.query_selector_all("svg[onload], img[onerror]") == []
        browser.close()


def test_names_that_are_not_utf8_do_not_stop_a_run(tmp_path, mapped):
    home = tmp_path / "in"
    band_folder(home / "good")
    band_folder(tmp_path / "made")
    for band in BANDS:
        (tmp_path / "made" / f"{band}.tif").rename(home / os.fsdecode(b"caf\xe9_" + band.encode() + b".tif"))
    report, _ = mapped(home)
    assert report.exit_code == 3
    assert sorted(record.status for record in report.records) == ["done", "refused"]


def test_options_reach_the_readers(tmp_path, mapped):
    picture = np.full((3, 200, 330), 90, np.uint8)
    write_jp2(tmp_path / "in" / "visual_20210703.jp2", picture)
    report, out = mapped(tmp_path / "in", options=replace(ReadOptions(), tci_max=2500.0))
    assert report.exit_code == 0
    assert any("approximate" in text for text in next(iter(records(out).values()))["warnings"])


def test_an_unknown_date_is_called_unknown(tmp_path, mapped):
    for band, value in surface().items():
        write_tif(tmp_path / "in" / f"{band}.tif", stored(value))
    report, _ = mapped(tmp_path / "in")
    told = summary(report)
    assert "date unknown" in told and "1970" not in told


@pytest.mark.parametrize("masked", [True, False])
def test_clouds_that_nothing_masks_are_told_in_scene_item_and_page(tmp_path, mapped, masked):
    write_safe(tmp_path / "in", Safe(level="L1C"))
    write_safe(tmp_path / "in", Safe(level="L2A"), scl=np.full((100, 165), 4, np.uint8) if masked else None)
    report, out = mapped(tmp_path / "in")
    (record,) = (record for record in report.records if record.status == "done")
    assert (UNMASKED in record.warnings) == (not masked)
    assert ("clouds are not masked" in (out / "maps" / "atlas.html").read_text()) == (not masked)
