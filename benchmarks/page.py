"""Measures the atlas page in headless Chromium and prints each figure beside its goal.

Usage: page.py [--quick] [--keep FOLDER]     (needs Debian's chromium; figures on a busy machine are too high)

Worlds are made (making.py): one granule at one date, one granule at six dates with pictures, sixteen
granules at twelve dates (5.6 million rows of tile tables), and with --large sixty-four granules at twelve dates with
pictures, cover and a table of changes (22 million tiles, made in memory). CPU is the renderer's main thread, from the
browser's own metrics; wall is what a reader waits. Each figure is a median.
"""

import argparse
import math
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from playwright.sync_api import sync_playwright

from benchmarks import making
from pipeline.atlas.collect import AtlasInput, SceneTiles, TileChanges, collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.legend import EUROSAT

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Runs an action, waits until its frame is painted, and tells the milliseconds between.
TIMED = """async (code) => {
    const action = new Function(code), began = performance.now();
    action();
    await new Promise((done) => requestAnimationFrame(() => {
      const port = new MessageChannel();
      port.port1.onmessage = done;
      port.port2.postMessage(0);
    }));
    return performance.now() - began;
}"""


class Meter:
    def __init__(self, page) -> None:
        self.page = page
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable")

    def cpu(self) -> float:
        """Seconds that the main thread has worked."""
        metrics = {entry["name"]: entry["value"] for entry in self.session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    def heap(self) -> float:
        metrics = {entry["name"]: entry["value"] for entry in self.session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["JSHeapUsedSize"]) / 1e6

    def wall(self, actions: list[str]) -> float:
        return statistics.median(self.page.evaluate(TIMED, code) for code in actions)

    def per_step(self, actions: list[str], rest: int = 60) -> float:
        """Milliseconds of CPU a step."""
        spent = []
        for code in actions:
            before = self.cpu()
            self.page.evaluate(TIMED, code)
            self.page.wait_for_timeout(rest)
            spent.append(1000 * (self.cpu() - before))
        return statistics.median(spent)


def large_world(folder: Path, granules: int = 64, dates: int = 12, edge: int = 171) -> AtlasInput:
    """Granules side by side with pictures and cover, each date a little different; the first and last are compared."""
    side, generator = round(granules**0.5), np.random.default_rng(1)
    base = making.softmax(making.logits((edge, edge)))
    codes, confidence = base.argmax(-1).astype(np.int8), np.rint(100 * base.max(-1)).astype(np.uint8)
    full = np.full((edge, edge), 100, np.uint8)
    grounds = []
    for k in range(granules):
        corner = 100 + (k % side) * edge, 8000 - (k // side) * edge
        grounds.append((corner, *making.ground(folder, k, corner, np.roll(codes, 7 * k, axis=1))))
    scenes = []
    for at, moment in enumerate(making.days(dates)):
        for k, (corner, look, cover) in enumerate(grounds):
            seen = np.where(generator.random(codes.shape) < 0.03, (codes + 1) % 10, codes).astype(np.int8)
            scenes.append(
                SceneTiles(
                    f"S2A_{at:02}_T32T{k:03}",
                    moment,
                    making.GRID,
                    *corner,
                    codes=np.roll(seen, 7 * k, axis=1),
                    confidence=np.roll(confidence, 7 * k, axis=1),
                    runner_up=np.full_like(codes, 3),
                    runner_up_confidence=(100 - confidence) // 2,
                    valid=full,
                    cloud=np.zeros_like(full),
                    quicklook=look,
                    cover=cover,
                )
            )
    first, last = scenes[0].day, scenes[-1].day
    whole = np.stack(np.meshgrid(np.arange(side * edge) + 100, 8000 - np.arange(side * edge)), -1).reshape(-1, 2)
    changed = np.where(generator.random(len(whole)) < 0.01, 2, 0).astype(np.uint8)
    changes = TileChanges(32632, first, last, whole, np.where(changed, 90, 3).astype(np.uint8), changed)
    return AtlasInput(EUROSAT.labels, tuple(scenes), (), (changes,), {"name": "made"})


def measure(browser, path: Path, dates: int) -> dict[str, float]:
    usable = []
    for _ in range(3):
        context = browser.new_context(viewport={"width": 1366, "height": 800})
        page = context.new_page()
        page.goto(path.as_uri(), wait_until="commit")
        page.wait_for_function("() => window.atlasReady === true", timeout=120_000)
        usable.append(page.evaluate("() => performance.getEntriesByName('atlas-ready')[0].startTime"))
        page.wait_for_function("() => window.atlasComplete === true", timeout=120_000)
        if len(usable) < 3:
            context.close()
    page.wait_for_timeout(500)
    page.evaluate("() => { if (atlas.places.length === 1) atlas.visit(0, true); }")
    meter = Meter(page)
    toggles = [f"atlas.update({{shown: atlas.classes.map((_, k) => k !== {k % 10})}})" for k in range(12)]
    found = {"usable": statistics.median(usable), "toggle": meter.wall(toggles)}
    page.evaluate("() => atlas.update({shown: atlas.classes.map(() => true)})")
    if dates > 1:
        found["date"] = meter.wall([f"atlas.update({{after: {k % dates}}})" for k in range(12)])
        meter.wall(["atlas.update({mode: 'change', before: 0, after: 1})"])
        found["change"] = meter.wall(
            [
                f"atlas.update({{mode: 'change', before: {k % (dates - 1)}, after: {k % (dates - 1) + 1}}})"
                for k in range(6)
            ]
        )
        page.evaluate("() => atlas.setMode('map')")
        page.evaluate("() => atlas.setMode('change')")
        found["patches"] = meter.wall(["atlas.update({})"] * 3)
        page.wait_for_timeout(500)
        found["frames"] = frames(page)
        meter.wall([f"atlas.update({{mode: 'map', after: {dates - 1}}})"])
    if page.evaluate("() => Boolean(atlas.meta.cover)"):
        found["cover"] = meter.wall(["atlas.update({product: 'cover'})", "atlas.update({product: 'tiles'})"] * 3)
        page.evaluate("() => atlas.update({product: 'cover'})")
        page.wait_for_timeout(500)
        found["cover frames"] = frames(page)
        page.evaluate("() => atlas.update({product: 'tiles'})")
    hovers = []
    for k in range(60):
        page.mouse.move(700 + 5 * k, 250 + 4 * (k % 30))
        page.wait_for_timeout(12)
        hovers.append(page.evaluate("() => atlas.stats.hover"))
    found["hover"] = statistics.median(hovers)
    found["hover95"] = statistics.quantiles(hovers, n=20)[18]
    page.mouse.move(5, 5)
    found["pan"] = meter.per_step(
        [f"atlas.map.panBy([{(-1) ** k * 180}, {(-1) ** k * 120}], {{animate: false}})" for k in range(12)]
    )
    found["zoom"] = meter.per_step(
        [f"atlas.map.setZoom(atlas.map.getZoom() + {1 if k % 6 < 3 else -1}, {{animate: false}})" for k in range(12)]
    )
    found["heap"] = meter.heap()
    context.close()
    return found


def frames(page) -> float:
    """Frames a second while the mouse drags the map to and fro."""
    page.evaluate(
        """() => {
        window.drawn = 0;
        window.counting = true;
        const count = () => { drawn++; if (counting) requestAnimationFrame(count); };
        requestAnimationFrame(count);
    }"""
    )
    page.mouse.move(800, 400)
    page.mouse.down()
    began = time.perf_counter()
    for step in range(120):
        page.mouse.move(800 + 250 * math.sin(step / 12), 400 + 120 * math.sin(step / 7))
    spent = time.perf_counter() - began
    page.mouse.up()
    return page.evaluate("() => { counting = false; return drawn; }") / spent


GOALS = {
    "bytes": ("page, MB", "< 0.5 without pictures (one granule, one date)"),
    "render": ("tables to page, s", "seconds"),
    "usable": ("usable, ms", "< 1000 (one granule), < 3000 (16 x 12), < 5000 (64 x 12)"),
    "toggle": ("class toggle, ms", "< 100"),
    "date": ("date change, ms", "< 100"),
    "change": ("pair in Change, ms", "-"),
    "patches": ("Change with patches, ms", "-"),
    "frames": ("frames a second, dragged", "> 30"),
    "cover": ("to cover and back, ms", "-"),
    "cover frames": ("the same on the cover", "> 30"),
    "hover": ("hover, ms", "< 16"),
    "hover95": ("hover 95th, ms", "< 16"),
    "pan": ("pan step, ms CPU", "< 50"),
    "zoom": ("zoom step, ms CPU", "-"),
    "heap": ("heap, MB", "-"),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="leave the sixteen granules out")
    arguments.add_argument("--keep", type=Path, help="keep the made worlds here and use them again")
    arguments.add_argument("--large", action="store_true", help="only sixty-four granules at twelve dates")
    options = arguments.parse_args()
    cases = {
        "1 x 1": {"dates": 1, "pictures": False},
        "1 x 6": {"dates": 6},
        "16 x 12": {"dates": 12, "granules": 16, "pictures": False},
    }
    if options.quick:
        del cases["16 x 12"]
    if options.large:
        cases = {"64 x 12": {"dates": 12}}
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Debian's chromium is not installed")
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = options.keep or Path(scratch)
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name, case in cases.items():
            place = folder / name.replace(" ", "")
            if not options.large and not (place / "run.json").is_file():
                making.write_world(place, size=(171, 171), **case)
            made = large_world(folder) if options.large else None
            began = time.perf_counter()
            page = render_atlas(made or collect(place), EUROSAT, folder / f"{place.name}.html", AtlasOptions())
            spent = time.perf_counter() - began
            results[name] = {
                "bytes": page.stat().st_size / 1e6,
                "render": spent,
                **measure(browser, page, case["dates"]),
            }
        browser.close()
    print(f"{'':22}" + "".join(f"{name:>12}" for name in results) + "   goal")
    for key, (title, goal) in GOALS.items():
        cells = "".join(f"{results[name][key]:12.2f}" if key in results[name] else f"{'-':>12}" for name in results)
        print(f"{title:22}{cells}   {goal}")


if __name__ == "__main__":
    main()
