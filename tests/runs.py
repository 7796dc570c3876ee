"""What tests of runs ask again and again."""

import os
from dataclasses import replace

from pipeline.batch import work
from pipeline.batch.main_job import run
from pipeline.batch.products import pixel_cover
from tests.fakes import BrightPixels, FakeClassifier

# Upper left corner of made scenes: off the tile grid by 70 m and 30 m.
LEFT, TOP = 640 * 1000 + 70, 640 * 8000 - 30


def folder_bytes(folder):
    """All that a run promises to make the same again: not its report, which tells seconds, and not hidden helpers."""
    files = {
        path.relative_to(folder): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }
    return {
        str(name): path.read_bytes()
        for name, path in files.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def outputs(options):
    return folder_bytes(options.tiles) | {"atlas.html": (options.maps / "atlas.html").read_bytes()}


def elsewhere(options, name):
    return replace(options, tiles=options.tiles / name, maps=options.maps / name)


def work_with_the_fake(task):
    """One scene's work in a process that no fixture has reached."""
    work.classifier = lambda choice: FakeClassifier()
    return work.process(task)


def work_with_fake_cover(task):
    """The same with the cover's fake."""
    pixel_cover.verified_card = lambda choice: BrightPixels.card
    pixel_cover.pixel_classifier = lambda choice: BrightPixels()
    return work_with_the_fake(task)


def in_a_child(options, scenes) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = run(scenes, options).exit_code
        finally:
            os._exit(code)
    return pid


def on(disk, options):
    return replace(options, tiles=disk / "tiles", maps=disk / "maps")
