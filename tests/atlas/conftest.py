"""Made worlds, built once a session."""

from pathlib import Path

import pytest

from pipeline.atlas.collect import AtlasInput, collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.legend import EUROSAT
from tests.atlas import worlds
from tests.atlas.browsers import Opened


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """Three dates of one place, 30 rows by 20 columns, with clouds and true colour."""
    return worlds.write_world(tmp_path_factory.mktemp("world"), dates=3, size=(30, 20), truecolour=True, changes=True)


@pytest.fixture(scope="session")
def collected(world) -> AtlasInput:
    return collect(world)


@pytest.fixture(scope="session")
def page(collected, tmp_path_factory) -> Path:
    return render_atlas(
        collected, EUROSAT, tmp_path_factory.mktemp("page") / "atlas.html", AtlasOptions(title="Made & <b>world</b>")
    )


@pytest.fixture
def open_page(browser):
    """Opens pages; none may go wrong or ask for anything."""
    windows = []

    def open_one(path, hash_="", **window):
        windows.append(Opened(browser, path, hash_, **window))
        return windows[-1]

    yield open_one
    for one in windows:
        errors, asked = one.errors, one.asked
        one.close()
        assert errors == []
        assert asked == []


@pytest.fixture
def opened(open_page, page):
    return open_page(page)
