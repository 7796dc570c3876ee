"""Made worlds, built once a session."""

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import worlds

from pipeline.atlas.collect import AtlasInput, collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.legend import EUROSAT


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """Three dates of one place, 30 rows by 20 columns, with clouds and true colour."""
    return worlds.write_world(tmp_path_factory.mktemp("world"), dates=3, size=(30, 20), truecolour=True)


@pytest.fixture(scope="session")
def collected(world) -> AtlasInput:
    return collect(world)


@pytest.fixture(scope="session")
def page(collected, tmp_path_factory) -> Path:
    return render_atlas(collected, EUROSAT, tmp_path_factory.mktemp("page") / "atlas.html", AtlasOptions(title="Made & <b>world</b>"))


def meta_of(html: str) -> dict:
    """What the page's script is told."""
    found = re.search(r"Atlas\.start\(map_atlas, (\{.*\})\);", html)
    assert found
    return json.loads(found.group(1))


def text_of(html: str, element: str) -> str:
    found = re.search(rf'<script type="text/plain" id="{element}">([^<]*)</script>', html)
    assert found, element
    return found.group(1)
