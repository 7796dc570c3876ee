"""Fixtures that every room's tests share."""

import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.batch.main_job import RunOptions
from pipeline.catalogue import download
from tests.atlas.browsers import CHROMIUM, FIREFOX, Chromium, Firefox
from tests.builders import scene_on_disk
from tests.catalogues import Catalogue
from tests.fakes import fake_model
from tests.runs import LEFT, TOP

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared data folder (../shared/data) is not beside this checkout")
    return SHARED


@pytest.fixture
def options(tmp_path, monkeypatch):
    """A run with the fake classifier; its card lies in a model folder like a real one."""
    choice, _ = fake_model(tmp_path, monkeypatch)
    return RunOptions(tiles=tmp_path / "tiles", maps=tmp_path / "maps", model=choice)


@pytest.fixture
def scenes(tmp_path):
    """Three scenes side by side, each a tile further east."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    rng = np.random.default_rng(2)
    return [
        scene_on_disk(
            folder, rng.integers(200, 2700, (3, 200, 330), dtype=np.uint16), LEFT + 640 * n, TOP, f"scene-{n}"
        )
        for n in range(3)
    ]


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster on this machine: two workers in processes of their own."""
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    # It would give up, for good, a worker that is just starting again 15 seconds after any of its deaths.
    patience = dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    # Closing workers leave sockets to the garbage collector.
    with (
        patience,
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as found,
    ):
        yield found


@pytest.fixture
def catalogue(monkeypatch):
    """A STAC API and file server on the loopback device; nothing waits before it asks again."""
    monkeypatch.setattr(download.time, "sleep", lambda _: None)  # the clock of all modules
    made = Catalogue()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(scope="session", params=["chromium", "firefox"])
def browser(request):
    """One browser after the other, for every test of a page."""
    if {"chromium": CHROMIUM, "firefox": FIREFOX}[request.param] is None:
        pytest.skip(f"Debian's {request.param} is not installed")
    found = {"chromium": Chromium, "firefox": Firefox}[request.param]()
    yield found
    found.close()
