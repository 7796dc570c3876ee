"""Results of a real run, and real server processes that show them."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import axe_playwright_python
import httpx
import numpy as np
import pytest
from PIL import Image

from tests import builders

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"}
# A busy machine is slow, not wrong.
PATIENCE = 300.0
DAYS = ("2021-07-01", "2023-07-01")


@dataclass(frozen=True)
class Results:
    """Folders of a run on two small scenes."""

    scenes: Path
    tiles: Path
    maps: Path


@dataclass
class Server:
    """A server process and a client of it."""

    process: subprocess.Popen
    url: str
    client: httpx.Client
    tiles: Path

    def settled(self, job: str, *states: str, seconds: float = PATIENCE) -> dict:
        """The job once it stands so."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.client.get(f"/jobs/{job}").json()
            if found["state"] in (states or ("done", "failed", "cancelled", "interrupted")):
                return found
            time.sleep(0.1)
        raise AssertionError(f"the job is still {found}")

    def workers(self) -> list[int]:
        """Process ids of the running job."""
        told = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in told.split()]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


def write_scene(
    folder: Path,
    day: str = "2021-07-01",
    seed: int = 7,
    shape: tuple[int, int] = (256, 448),
    bands: tuple[str, ...] = builders.RGB,
) -> Path:
    """A GeoTIFF of 4 x 7 whole tiles and some that are cut, named by its day."""
    made = builders.surface(*shape, seed, bands)
    pixels = np.stack([builders.stored(made[band]) for band in bands])
    return builders.write_tif(folder / f"S2A_MSIL2A_{day.replace('-', '')}T101559_field.tif", pixels, names=bands)


def picture(size: tuple[int, int] = (64, 64), seed: int = 0, kind: str = "PNG") -> bytes:
    """A picture of (width, height) that is not plain."""
    random = np.random.default_rng(seed)
    tone = random.integers(40, 140, 3)
    pixels = np.clip(tone + random.normal(0, 20, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


@pytest.fixture(scope="session")
def make_picture() -> Callable[..., bytes]:
    return picture


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Path]:
    return write_scene


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the command line leaves behind of two dates."""
    folder = tmp_path_factory.mktemp("results")
    found = Results(folder / "scenes", folder / "tiles", folder / "maps")
    for day, seed in zip(DAYS, (7, 8), strict=True):
        write_scene(found.scenes, day, seed)
    command = [sys.executable, "-m", "pipeline", "run", str(found.scenes), "--tiles", str(found.tiles)]
    subprocess.run(
        [*command, "--maps", str(found.maps), "--offset", "0", "-q"], check=True, cwd=folder, env=ENVIRONMENT
    )
    return found


@contextlib.contextmanager
def _running(tiles: Path, *options: str) -> Iterator[Server]:
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "pipeline", "serve", "--port", "0"]
    with (tiles.parent / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--tiles", str(tiles), *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=tiles.parent,
            env=ENVIRONMENT,
        )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, (tiles.parent / "serve.log").read_text()[-2000:]
        with httpx.Client(base_url=found[0], timeout=60, trust_env=False) as client:
            server = Server(process, found[0], client, tiles)
            until = time.monotonic() + 300
            while client.get("/health").json()["status"] == "starting" and time.monotonic() < until:
                time.sleep(0.1)
            yield server
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
        process.stdout.close()


@pytest.fixture(scope="session")
def running() -> Callable[..., contextlib.AbstractContextManager[Server]]:
    """A server on a folder of tiles, with options of one's own, for as long as one wants it."""
    return _running


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """What a process needs to find this checkout, and the loopback device, from anywhere."""
    return ENVIRONMENT


@pytest.fixture(scope="session")
def server(results: Results) -> Iterator[Server]:
    """One server on the results, for tests that leave it as it is."""
    with _running(results.tiles, "--maps", str(results.maps)) as found:
        yield found


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers with options of a test's own; they end with the test."""
    with contextlib.ExitStack() as stack:
        yield (
            lambda *options, tiles=tmp_path / "tiles": (
                tiles.mkdir(exist_ok=True),
                stack.enter_context(_running(tiles, *options)),
            )[1]
        )


@pytest.fixture(scope="session")
def axe() -> str:
    """The text of axe-core."""
    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
