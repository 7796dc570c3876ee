"""Requests a second with one chip each, by the number of clients, beside the engine's own rate measured in turn.

`--soak N` then sends N requests by eight clients and tells the server's memory on the way.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.app_server import ROOT, Client, Running, chips, multipart, note, resident, server

ENGINE = """
import io, time, numpy as np
from PIL import Image
from benchmarks.app_server import chips
from pipeline.models import store
engine = store.load()
patches = np.stack([np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in chips(512)])
engine.judge(patches)
began, done = time.perf_counter(), 0
while time.perf_counter() - began < {seconds}:
    engine.judge(patches)
    done += len(patches)
print(done / (time.perf_counter() - began))
"""


def engine_rate(seconds: float) -> float:
    """Patches a second of the engine alone, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", ENGINE.format(seconds=seconds)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


async def load(running: Running, clients: int, seconds: float, rate: float | None = None) -> dict[str, float]:
    """`clients` that ask one after the other; with `rate`, so many requests a second of all together."""
    requests = [multipart(f"{at}.jpg", data) for at, data in enumerate(chips(64))]
    times, until = [], time.perf_counter() + seconds
    pace = clients / rate if rate else 0.0

    async def one(number: int) -> None:
        client = Client(running.port)
        due = time.perf_counter() + number * pace / clients
        at = number
        while time.perf_counter() < until:
            if rate:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            began = due if rate else time.perf_counter()  # a late start is part of the wait
            status, _ = await client.send(requests[at % len(requests)])
            if status != 200:
                raise RuntimeError(f"status {status}")
            times.append(time.perf_counter() - began)
            at += 1
            due += pace
        client.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(clients)))
    p50, p95, p99 = np.percentile(times, [50, 95, 99]) * 1000
    per_second = len(times) / (time.perf_counter() - began)
    return {"per_second": round(per_second, 1), "p50_ms": round(p50), "p95_ms": round(p95), "p99_ms": round(p99)}


async def soak(running: Running, count: int) -> None:
    requests = [multipart(f"{at}.jpg", data) for at, data in enumerate(chips(64))]
    left = count

    async def one() -> None:
        nonlocal left
        client = Client(running.port)
        while left > 0:
            left -= 1
            if left % (count // 10) == 0:
                note(left=left, resident_mb=round(resident(running.pid)))
            status, _ = await client.send(requests[left % len(requests)])
            if status != 200:
                raise RuntimeError(f"status {status}")
        client.close()

    await asyncio.gather(*(one() for _ in range(8)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(Path(folder) / "tiles", "-q") as running:
        asyncio.run(load(running, 4, 3))
        for _ in range(options.rounds):
            rates = [engine_rate(options.seconds / 2)]
            for clients in (1, 8, 32):
                found = asyncio.run(load(running, clients, options.seconds))
                rates.append(engine_rate(options.seconds / 2))
                beside = (rates[-1] + rates[-2]) / 2
                share = round(found["per_second"] / beside, 3)
                note(clients=clients, **found, engine_per_second=round(beside, 1), share=share)
            half = 0.2 * rates[-1]  # half of the 40 % that 32 clients must reach
            found = asyncio.run(load(running, 32, options.seconds, rate=half))
            note(clients=32, asked_per_second=round(half, 1), **found)
        if options.soak:
            asyncio.run(soak(running, options.soak))


if __name__ == "__main__":
    main()
