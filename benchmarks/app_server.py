"""A server process for the benchmarks of the app, and a client that costs little beside it."""

import asyncio
import io
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
EUROSAT = ROOT.parent / "shared" / "data" / "eurosat" / "EuroSAT_RGB_trainval.zip"


@dataclass(frozen=True)
class Running:
    port: int
    pid: int
    folder: Path


@contextmanager
def server(tiles: Path, *options: str) -> Iterator[Running]:
    """The app on a free port, ready to answer; ends with the block."""
    command = [sys.executable, "-m", "pipeline", "serve", "--tiles", str(tiles), "--port", "0", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        port = int(re.search(r":(\d+) ", line).group(1))
        while asyncio.run(ask(port, "GET", "/health"))[0] != 200:
            time.sleep(0.2)
        yield Running(port, process.pid, tiles)
    finally:
        process.terminate()
        process.wait(30)


def chips(count: int, seed: int = 0) -> list[bytes]:
    """Pictures of EuroSAT where they are at hand, else made ones of 64 pixels; each different."""
    random = np.random.default_rng(seed)
    if EUROSAT.is_file():
        with zipfile.ZipFile(EUROSAT) as bundle:
            names = sorted(name for name in bundle.namelist() if name.endswith(".jpg"))
            return [bundle.read(names[at]) for at in random.choice(len(names), count, replace=False)]
    made = []
    for _ in range(count):
        tone = random.integers(40, 160, 3)
        pixels = np.clip(tone + random.normal(0, 12, (64, 64, 3)), 0, 255).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=92)
        made.append(out.getvalue())
    return made


def multipart(name: str, data: bytes, path: str = "/classify") -> bytes:
    """A whole POST request with one file."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="' + name.encode() + b'"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + data + b"\r\n--b--\r\n"
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """One connection that is kept; reads answers with a Content-Length."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams = None

    async def send(self, request: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(re.search(rb"content-length: (\d+)", head).group(1))
        return int(head[9:12]), await reader.readexactly(length)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    client = Client(port)
    try:
        return await client.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    finally:
        client.close()


def resident(pid: int) -> float:
    """Megabytes of a process in memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024


def note(**facts: object) -> None:
    print(json.dumps(facts), flush=True)
