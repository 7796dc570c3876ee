"""What is too much, too slow or too often, asked of real server processes."""

import asyncio
import io
import json
import socket
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.models.classifier import Prediction
from pipeline.web import batching, bodies
from pipeline.web.batching import Batcher
from pipeline.web.bodies import BodyLimit
from pipeline.web.problems import Problem
from pipeline.web.settings import Limits


def files(*entries):
    return [("files", (name, data, "application/octet-stream")) for name, data in entries]


def _exchange(server, *parts, pause=0.0):
    """What comes back for raw bytes, up to the end of the connection or three quiet seconds."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as line:
        line.settimeout(3)
        for part in parts:
            line.sendall(part)
            time.sleep(pause)
        answer = b""
        try:
            while part := line.recv(65536):
                answer += part
        except TimeoutError:
            pass
    return answer


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server):
    head = (
        "POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        "Content-Length: 100000001\r\n\r\n"
    )
    answer = _exchange(server, head.encode())  # not a byte of the body is sent
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer and b"100,000,000 bytes" in answer
    assert b"connection: close" in answer.lower()


def test_a_body_without_a_length_is_counted(tmp_path, serve, make_picture):
    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    sent = iter([{"type": "http.request", "body": b"x" * 60, "more_body": True}] * 3)

    async def receive():
        return next(sent)

    limit = BodyLimit(app, Limits(request_bytes=100), {})
    with pytest.raises(Problem) as refusal:
        asyncio.run(limit({"type": "http", "path": "/classify", "headers": []}, receive, None))
    assert refusal.value.status_code == 413


@pytest.mark.parametrize(("stalls", "words"), [(True, "stalled"), (False, "too slowly")])
def test_a_slow_body_is_given_up(stalls, words, monkeypatch):
    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    async def receive():
        await asyncio.sleep(60 if stalls else 0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    monkeypatch.setattr(bodies, "_GRACE", 0.1)
    limit = BodyLimit(app, Limits(silence=0.2), {})
    with pytest.raises(Problem, match=words) as refusal:
        asyncio.run(limit({"type": "http", "path": "/classify", "headers": []}, receive, None))
    assert refusal.value.status_code == 408


def test_fifty_pictures_and_not_one_more(server, make_picture):
    chip = make_picture()
    many = files(*((f"{at}.png", chip) for at in range(51)))
    assert len(server.client.post("/classify", files=many[:50]).json()) == 50
    answer = server.client.post("/classify", files=many)
    assert answer.status_code == 413 and "50" in answer.json()["detail"]
    told = {"images": [{"data": ""}] * 51}
    assert server.client.post("/classify", json=told).status_code == 413


def _bomb(width, height):
    """A small PNG whose header promises many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(60_000, 60_000), (16_400, 1_100)])
def test_bombs_are_told_by_their_header(server, size):
    began = time.monotonic()
    answer = server.client.post("/classify", files=files(("bomb.png", _bomb(*size))))
    assert answer.status_code == 413 and "pixels" in answer.json()["detail"]
    assert time.monotonic() - began < 20


def test_small_pictures_that_are_many_pixels_together(server):
    plain = io.BytesIO()
    Image.new("RGB", (3000, 3000)).save(plain, "PNG")
    answer = server.client.post("/classify", files=files(*((f"{at}.png", plain.getvalue()) for at in range(2))))
    assert answer.status_code == 413 and "18,000,000 pixels" in answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        [b"X: " + b"a" * 70_000],
        [b"X-%d: %s" % (at, b"a" * 100) for at in range(2000)],
    ],
)
def test_header_floods_are_refused(server, headers):
    try:
        answer = _exchange(server, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"\r\n".join(headers) + b"\r\n\r\n")
    except ConnectionError:
        answer = b"HTTP/1.1 4"  # it hung up while they came
    assert answer.startswith(b"HTTP/1.1 4")
    assert server.client.get("/health").status_code == 200


def test_a_connection_that_never_asks_is_closed(server, monkeypatch):
    from pipeline.web import connections

    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: ")
        line.settimeout(connections.HEAD_SECONDS + 10)
        assert line.recv(100) == b""


def test_too_many_requests_of_one_client(serve):
    client = serve("--rate", "3").client
    answers = [client.get("/health") for _ in range(20)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert refused[0].headers["content-type"] == "application/problem+json"
    time.sleep(1.1)
    assert client.get("/health").status_code in (200, 503)


class Judge:
    """Answers with the patch's number, and remembers how many came at once."""

    def __init__(self, seconds=0.0):
        self.seconds, self.sizes = seconds, []

    def __call__(self, patches):
        time.sleep(self.seconds)
        self.sizes.append(len(patches))
        numbers = patches[:, 0, 0, 0].astype(np.float32)
        return Prediction(np.stack([numbers, numbers + 1], axis=1), numbers % 2 == 1)


def _patches(*numbers):
    return np.array(numbers, np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)


def _run(judge, work, **limits):
    async def main():
        batcher = Batcher(judge, Limits(**limits))
        try:
            return await work(batcher), batcher.waiting
        finally:
            await batcher.close()

    return asyncio.run(main())


def test_requests_share_batches_and_get_their_own_answers():
    judge = Judge(0.02)
    asked = [_patches(*range(at, at + 1 + at % 5)) for at in range(60)]

    async def work(batcher):
        return await asyncio.gather(*map(batcher.judge, asked))

    answers, waiting = _run(judge, work)
    for patches, answer in zip(asked, answers, strict=True):
        assert np.array_equal(answer.probabilities[:, 0], patches[:, 0, 0, 0])
        assert np.array_equal(answer.unfamiliar, patches[:, 0, 0, 0] % 2 == 1)
    assert waiting == 0
    assert max(judge.sizes) == batching.BATCH
    assert len(judge.sizes) <= 1 + -(-sum(map(len, asked)) // batching.BATCH)


def test_a_large_picture_does_not_keep_chips_waiting():
    judge, order = Judge(0.005), []

    async def work(batcher):
        async def one(name, patches):
            await batcher.judge(patches)
            order.append(name)

        large = asyncio.create_task(one("large", np.concatenate([_patches(*range(200))] * 4)))
        await asyncio.sleep(0.03)
        await asyncio.gather(*(one("chip", _patches(at)) for at in range(5)))
        await large

    _run(judge, work)
    assert order == ["chip"] * 5 + ["large"]


def test_a_full_queue_says_when_to_come_back():
    async def work(batcher):
        first = asyncio.create_task(batcher.judge(_patches(*range(60))))
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refusal:
            await batcher.judge(_patches(*range(60)))
        await first
        return refusal.value

    refusal, waiting = _run(Judge(0.01), work, queue=100)
    assert refusal.status_code == 429 and int(refusal.headers["Retry-After"]) >= 1
    assert waiting == 0


def test_who_waits_too_long_is_told_and_costs_nothing_more():
    judge = Judge(0.3)

    async def work(batcher):
        with pytest.raises(Problem) as refusal:
            await batcher.judge(_patches(*range(200)))
        return refusal.value

    refusal, waiting = _run(judge, work, patience=0.1)
    assert refusal.status_code == 429
    assert waiting == 0
    assert sum(judge.sizes) < 200


def test_an_engine_that_fails_costs_those_who_asked_only():
    calls = []

    def judge(patches):
        calls.append(len(patches))
        if len(calls) == 1:
            raise RuntimeError("the engine stumbled")
        return Judge()(patches)

    judge.sizes = []

    async def work(batcher):
        with pytest.raises(RuntimeError):
            await batcher.judge(_patches(*range(100)))
        return await batcher.judge(_patches(7))

    answer, waiting = _run(judge, work)
    assert answer.probabilities[0, 0] == 7 and waiting == 0


def test_a_job_beyond_the_quota_is_refused_before_it_is_read(serve, make_picture):
    client = serve("--quota", "0.001").client
    answer = client.post("/jobs", files=files(("scene.tif", bytes(1_100_000))))
    assert answer.status_code == 507
    assert "1,000,000 bytes" in answer.json()["detail"]
    assert json.loads(client.get("/jobs").text) == []
