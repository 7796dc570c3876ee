"""Killed, full and read-only: earlier outputs stay whole, and a second run ends where an undisturbed one does."""

import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from pipeline.batch.main_job import run
from pipeline.errors import OutputError
from tests.builders import scene_on_disk
from tests.runs import LEFT, TOP, outputs


@pytest.fixture
def dates(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    rng = np.random.default_rng(4)
    shapes = [(3, 330, 210), (3, 200, 410), (3, 330, 210)]
    scenes = [
        scene_on_disk(folder, rng.integers(200, 2700, shape, dtype=np.uint16), LEFT, TOP, f"scene-{n}")
        for n, shape in enumerate(shapes)
    ]
    return [replace(scene, acquired=scene.acquired + timedelta(days=10 * n)) for n, scene in enumerate(scenes)]


def in_a_child(options, scenes) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = run(scenes, options).exit_code
        finally:
            os._exit(code)
    return pid


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the run is killed in a forked child")
def test_killed_at_ten_random_moments_a_run_ends_like_an_undisturbed_one(options, dates, tmp_path):
    calm = replace(options, tiles=tmp_path / "calm" / "tiles", maps=tmp_path / "calm" / "maps")
    run(dates, calm)  # pays for imports
    began = time.monotonic()
    run(dates, replace(calm, force=True))
    seconds = time.monotonic() - began
    expected = outputs(calm)
    chance = random.Random(7)
    killed = 0
    for attempt in range(10):
        if attempt % 4 == 3:
            shutil.rmtree(options.tiles, ignore_errors=True)
        pid = in_a_child(options, dates)
        time.sleep(chance.uniform(0.02, 0.9) * seconds)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed += os.WIFSIGNALED(status)
    assert killed >= 5
    report = run(dates, options)
    assert report.exit_code == 0
    assert outputs(options) == expected
    left = [
        path for path in [*options.tiles.rglob("*"), *options.maps.rglob("*")] if path.name.endswith((".part", ".old"))
    ]
    assert left == []


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command to make a small disk with")
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def on(disk, options):
    return replace(options, tiles=disk / "tiles", maps=disk / "maps")


def test_a_full_disk_is_an_output_error_and_leaves_earlier_outputs(options, dates, small_disk, tmp_path):
    place = on(small_disk, options)
    run(dates[:1], place)
    before = outputs(place)
    rng = np.random.default_rng(5)
    large = scene_on_disk(
        tmp_path / "scenes", rng.integers(200, 2700, (3, 2400, 1900), dtype=np.uint16), LEFT, TOP, "large"
    )
    with pytest.raises(OutputError, match=r"cannot be written|reads? back"):
        run([dates[0], large], place)
    assert {name: data for name, data in outputs(place).items() if name in before} == before
    assert sorted(path.name for path in (place.tiles / "fake").iterdir() if not path.name.startswith(".")) == [
        "run.json",
        "scene-0",
    ]
    with pytest.raises(OutputError):
        run([replace(large, id="scene-0")], place)
    assert outputs(place) == before


def test_read_only_outputs_are_an_output_error(options, dates, small_disk):
    place = on(small_disk, options)
    run(dates[:1], place)
    before = outputs(place)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(OutputError, match="cannot be written"):
        run(dates, place)
    assert outputs(place) == before


@pytest.mark.parametrize("inside", ["", "out"])
def test_outputs_inside_the_searched_folder_are_refused(options, dates, tmp_path, inside):
    with pytest.raises(OutputError, match=r"among the scenes|inside the folder of scenes"):
        run(dates, replace(options, maps=tmp_path / "scenes" / inside, inputs=tmp_path / "scenes"))
    assert sorted(path.name for path in (tmp_path / "scenes").iterdir()) == [
        "scene-0.tif",
        "scene-1.tif",
        "scene-2.tif",
    ]
