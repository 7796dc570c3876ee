"""Map tiles a second of the results in tiles/, cold (the first time) and warm (again), by layer."""

import argparse
import asyncio
import json
import time
from pathlib import Path

from benchmarks.app_server import ROOT, Client, Running, ask, note, server

SPAN = 2 * 20037508.342789244


def tile_paths(item: dict, layer: str, zoom: int) -> list[str]:
    """Addresses of all tiles of a zoom over a scene's bbox."""
    from pyproj import Transformer

    to_metres = Transformer.from_crs(4326, 3857, always_xy=True)
    west, south, east, north = item["bbox"]
    (left, bottom), (right, top) = to_metres.transform(west, south), to_metres.transform(east, north)
    columns = range(int((left / SPAN + 0.5) * 2**zoom), int((right / SPAN + 0.5) * 2**zoom) + 1)
    rows = range(int((0.5 - top / SPAN) * 2**zoom), int((0.5 - bottom / SPAN) * 2**zoom) + 1)
    return [f"/map/{item['id']}/{layer}/{zoom}/{x}/{y}.png" for x in columns for y in rows]


async def fetch(running: Running, paths: list[str], clients: int) -> float:
    """Tiles a second."""
    left = iter(paths)

    async def one() -> None:
        client = Client(running.port)
        for path in left:
            status, _ = await client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            if status != 200:
                raise RuntimeError(f"{path}: {status}")
        client.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return len(paths) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=Path, default=ROOT / "tiles")
    parser.add_argument("--clients", type=int, default=6)
    options = parser.parse_args()
    with server(options.tiles, "-q") as running:
        scenes = json.loads(asyncio.run(ask(running.port, "GET", "/scenes"))[1])["features"]
        if not scenes:
            raise SystemExit("tiles/ holds no results; run: make atlas")
        for layer in ("landcover", "confidence", "truecolour"):
            for zoom in (9, 12, 14):
                paths = [path for item in scenes for path in tile_paths(item, layer, zoom)][:400]
                cold = asyncio.run(fetch(running, paths, options.clients))
                warm = asyncio.run(fetch(running, paths, options.clients))
                note(layer=layer, zoom=zoom, tiles=len(paths), cold=round(cold), warm=round(warm))


if __name__ == "__main__":
    main()
