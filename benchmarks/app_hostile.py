"""A thousand hostile requests to a server of its own: what each kind got, and whether the server and its folders stand.

No answer may be 500, no secret beside the folders may come back, nothing outside them may be written.
"""

import asyncio
import base64
import io
import json
import random
import re
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from benchmarks.app_server import Running, ask, chips, multipart, note, resident, server

SECRET = "canary-7f3a91"
COUNT = 1000
PATIENCE = 40.0
CHIP = chips(1)[0]


def request(method: str, path: str, body: bytes = b"", kind: str = "", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
        + chunk(b"IEND", b"")
    )


def broken_multipart(dice: random.Random) -> bytes:
    whole = multipart("a.jpg", CHIP)
    body = whole.partition(b"\r\n\r\n")[2]
    choice = dice.randrange(6)
    if choice == 0:
        body = body[: dice.randrange(len(body))]
    elif choice == 1:
        body = body.replace(b"--b", b"--" + dice.choice([b"c", b"", b"b" * 500]), 1)
    elif choice == 2:
        at = dice.randrange(len(body))
        body = body[:at] + dice.randbytes(dice.randrange(1, 300)) + body[at:]
    elif choice == 3:
        body = body.replace(b'name="files"', dice.choice([b"", b'name="', b"name=" + b"x" * 9000, b"name*=x''%ff"]))
    elif choice == 4:
        body = b"--b\r\n" * 4000
    else:
        body = (b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n\r\n' * 80) + b"--b--"
    kinds = [
        "multipart/form-data; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed",
    ]
    kind = dice.choice(kinds[:1] * 4 + kinds)
    return request("POST", dice.choice(["/classify", "/areas", "/jobs"]), body, kind)


def bomb(dice: random.Random) -> bytes:
    pictures = [
        png(60_000, 60_000),
        png(4096, 4097),
        b"II*\0" + struct.pack("<I", 8) + dice.randbytes(200),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9999 9999\n(/etc/passwd) run\n",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 200, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
        b"RIFF\xff\xff\xff\x7fWEBPVP8L" + dice.randbytes(60),
        CHIP[: dice.randrange(len(CHIP))],
        bytes(bytearray(CHIP[:200]) + dice.randbytes(400)),
    ]
    data = dice.choice(pictures)
    if dice.random() < 0.3:
        body = json.dumps({"images": [{"data": base64.b64encode(data).decode()}]}).encode()
        return request("POST", "/classify", body, "application/json")
    return multipart("bomb.png", data)


def traversal(dice: random.Random) -> bytes:
    up = dice.choice(
        ["../", "..%2f", "%2e%2e/", "..\\", "..%5c", "....//", "%252e%252e%252f", "..%00/", "%c0%ae%c0%ae/"]
    )
    target = dice.choice(["secret.txt", "etc/passwd", "tiles/.app/jobs.sqlite", ".app/lock", "run.json"])
    path = up * dice.randrange(1, 8) + target
    places = [
        "/static/app/",
        "/static/",
        "/scenes/",
        "/atlases/",
        "/models/",
        "/map/",
        "/jobs/",
        "/stac/collections/",
        "/",
    ]
    ends = ["", "/page", "/files/tiles.parquet", "/landcover/1/1/1.png", "/events", "/tiles"]
    choice = dice.randrange(4)
    if choice == 0:
        body = json.dumps({"folder": path.replace("%2f", "/")}).encode()
        return request("POST", "/jobs", body, "application/json")
    if choice == 1:
        return multipart(path, CHIP)
    if choice == 2:
        return request("GET", f"/scenes?atlas={path}&bbox={path}")
    return request("GET", dice.choice(places) + path + dice.choice(ends))


def headers(dice: random.Random) -> bytes:
    choice = dice.randrange(7)
    if choice == 0:
        return b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * dice.choice([2000, 20000]) + b"\r\n"
    if choice == 1:
        return b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * dice.choice([40_000, 200_000]) + b"\r\n\r\n"
    if choice == 2:
        return request("GET", "/models", Cookie="atlas_session=" + "ü" * 50 + "; a=\x01;;;=")
    if choice == 3:
        return request("GET", "/models", Host_=dice.choice(["evil", ""]), Authorization="Bearer " + "x" * 9000)
    if choice == 4:
        return b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"
    if choice == 5:
        return (
            b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\nGET /jobs HTTP/1.1\r\n\r\n"
        )
    return dice.randbytes(dice.randrange(1, 2000)) + b"\r\n\r\n"


def parameters(dice: random.Random) -> bytes:
    odd = [
        "-1",
        "1e999",
        "NaN",
        "9" * 400,
        "%00",
        "%ff%fe",
        "",
        "[]",
        "{}",
        "null",
        "' or 1=1--",
        "<script>",
        "\u202e",
        "%n",
    ]
    value = quote(dice.choice(odd), safe="%")
    templates = [
        "/map/{0}/landcover/{0}/{0}/{0}.png",
        "/map/x/landcover/9/{0}/1.png",
        "/scenes?bbox={0},{0},{0},{0}",
        "/scenes?limit={0}&offset={0}&datetime={0}",
        "/scenes/{0}/tiles?bbox={0}",
        "/stac/search?ids={0}&collections={0}&datetime={0}/{0}",
        "/places?q={0}",
        "/jobs/{0}/events",
        "/classify?model={0}",
    ]
    return request(
        dice.choice(["GET", "GET", "POST", "DELETE", "PATCH", "TRACE", "X"]), dice.choice(templates).format(value)
    )


def questions(dice: random.Random) -> bytes:
    deep = "[" * 30_000
    shapes = [
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[1e308, 0], [1, 1e308], [0, 1], [1e308, 0]]]},
        {"type": "Polygon", "coordinates": [[[float("nan"), 0], [1, 1], [0, 1], [float("nan"), 0]]]},
        {"type": "Polygon", "coordinates": {"a": 1}},
        {"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection", "geometries": []}] * 50},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None}] * 900},
        {"type": "MultiPolygon", "coordinates": [[[[x, 0], [x + 1, 0], [x, 1], [x, 0]]] for x in range(900)]},
        "x",
        None,
    ]
    bodies = [json.dumps({"polygon": shape}) for shape in shapes] + [
        deep,
        '{"a":' * 20_000,
        "\xff\xfe",
        "null",
        "{",
        "1e999",
    ]
    bodies += [json.dumps({"polygon": shapes[0], "dates": ["x"] * 900}), json.dumps({"images": [{"data": "!"}] * 60})]
    bodies += [json.dumps({"folder": ".", "bands": "x," * 99, "offset": 1e308}), json.dumps({"token": "x" * 900})]
    path = dice.choice(["/areas", "/classify", "/jobs", "/stac/search", "/session"])
    return request("POST", path, dice.choice(bodies).encode("utf-8", "replace"), "application/json")


def polygon_files(dice: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr(
            dice.choice(["x.shp", "../../../x.shp", "/etc/x.shp", "x.SHP"]), bytes(dice.choice([0, 100, 30_000_000]))
        )
        bundle.writestr("x.vrt", f"<OGRVRTDataSource><SrcDataSource>{SECRET}</SrcDataSource></OGRVRTDataSource>")
    data = dice.choice(
        [
            out.getvalue(),
            out.getvalue()[:-30],
            b"SQLite format 3\0" + dice.randbytes(52) + b"GPKG" + dice.randbytes(4000),
            b"<OGRVRTDataSource><OGRVRTLayer name='secret'><SrcDataSource>secret.txt</SrcDataSource></OGRVRTLayer>"
            b"</OGRVRTDataSource>",
            b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><kml>&x;</kml>",
            b"\x00\x00\x27\x0a" + dice.randbytes(200),
        ]
    )
    return multipart("x.zip", data, "/areas")


KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "broken multipart": broken_multipart,
    "bombs and broken pictures": bomb,
    "traversal": traversal,
    "headers": headers,
    "parameters": parameters,
    "questions": questions,
    "polygon files": polygon_files,
}


async def exchange(port: int, data: bytes, slow: bool = False) -> tuple[str, bytes]:
    """The status that came back, or how the connection ended, and all bytes."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if slow:
            for at in range(0, min(len(data), 3000), 60):
                writer.write(data[at : at + 60])
                await asyncio.sleep(0.5)
        else:
            writer.write(data)
        if writer.can_write_eof() and not slow:
            await writer.drain()
        answer = b""
        while part := await asyncio.wait_for(reader.read(1 << 16), PATIENCE if not answer else 0.5):
            answer += part
    except TimeoutError:
        pass
    except OSError:
        return "hung up", b""
    finally:
        if "writer" in locals():
            writer.close()
    found = re.match(rb"HTTP/1.1 (\d+)", answer)
    return (found.group(1).decode() if found else "closed"), answer


def state(folder: Path) -> dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if ".app" not in path.parts and path.is_file()
    }


async def attack(running: Running) -> dict[str, Counter]:
    dice, got = random.Random(20260504), {name: Counter() for name in [*KINDS, "slow bodies"]}
    line = asyncio.Semaphore(16)

    async def one(name: str, data: bytes, slow: bool = False) -> None:
        async with line:
            status, answer = await exchange(running.port, data, slow)
            got[name][status] += 1
            if SECRET.encode() in answer or b"root:" in answer:
                got[name]["LEAK"] += 1

    slow = [asyncio.create_task(one("slow bodies", multipart("slow.jpg", CHIP), True)) for _ in range(8)]
    names = list(KINDS)
    await asyncio.gather(
        *(one(name, KINDS[name](dice)) for name in (names[at % len(names)] for at in range(COUNT - 8)))
    )
    await asyncio.gather(*slow)
    return got


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "secret.txt").write_text(SECRET)
        (folder / "tiles").mkdir()
        (folder / "scenes").mkdir()
        options = ("--maps", str(folder / "maps"), "--scenes", str(folder / "scenes"), "-q")
        with server(folder / "tiles", *options) as running:
            before, memory = state(folder), resident(running.pid)
            got = asyncio.run(attack(running))
            alive = asyncio.run(ask(running.port, "GET", "/health"))[0]
            note(
                alive=alive,
                resident_mb=[round(memory), round(resident(running.pid))],
                files_changed=state(folder) != before,
            )
        for name, counts in got.items():
            note(kind=name, **dict(sorted(counts.items())))
        total = sum(got.values(), Counter())
        note(requests=sum(total.values()) - total["LEAK"], status_500=total["500"], leaks=total["LEAK"])
        if total["500"] or total["LEAK"] or alive != 200:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
