"""Jobs of real server processes: done, cancelled, killed, taken up again."""

import json
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from pipeline.models import store
from tests import builders

SLOW = (1280, 1792)  # 20 x 28 tiles: seconds of work


def _events(server, job, after=None):
    headers = {"Last-Event-ID": str(after)} if after is not None else {}
    with server.client.stream("GET", f"/jobs/{job}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    return [dict(line.partition(": ")[::2] for line in part.splitlines()) for part in text.split("\n\n") if part]


def _wait_for_work(server, job, seconds=300):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if "tiles" in server.client.get(f"/jobs/{job}").json()["progress"]:
            return
        time.sleep(0.05)
    raise AssertionError("the job does not begin")


@pytest.fixture
def scene(tmp_path, make_scene):
    return make_scene(tmp_path / "in")


@pytest.fixture(scope="module")
def large(tmp_path_factory, make_scene):
    """Two scenes that take seconds."""
    folder = tmp_path_factory.mktemp("large")
    for day, seed in (("2021-07-01", 3), ("2023-07-01", 4)):
        make_scene(folder, day, seed, SLOW)
    return folder


def test_an_uploaded_scene_becomes_an_atlas(serve, scene):
    server = serve()
    answer = server.client.post(
        "/jobs",
        files={"files": (f"../{scene.name}", scene.read_bytes())},
        data={"offset": "0", "title": "A <b>field</b>"},
    )
    assert answer.status_code == 202, answer.text
    job = answer.json()["id"]
    assert answer.headers["location"] == f"/jobs/{job}"
    done = server.settled(job)
    assert (done["state"], done["attempts"], done["result"]["mapped"]) == ("done", 1, [scene.stem]), done
    events = _events(server, job)
    told = [json.loads(event["data"]) for event in events if event.get("event") == "progress"]
    assert [told[0]["event"], told[-1]["event"]] == ["begin", "end"]
    tiles = [event for event in told if event["event"] == "tiles"]
    assert tiles[-1]["done"] == tiles[-1]["of"] == 40
    assert json.loads(events[-1]["data"]) == {"state": "done", "reason": None}
    later = _events(server, job, after=len(told) - 1)
    assert [event["id"] for event in later if "id" in event] == [str(len(told))]
    (atlas,) = server.client.get("/atlases").json()
    assert (atlas["id"], atlas["title"], atlas["job"]) == (f"job-{job}", "A <b>field</b>", job)
    assert server.client.get(atlas["page"]).status_code == 200
    (item,) = server.client.get("/scenes").json()["features"]
    assert item["id"] == scene.stem and item["collection"] == atlas["id"]
    assert server.client.get(f"/map/{scene.stem}/landcover/12/2165/1446.png").status_code == 200
    assert server.client.delete(f"/jobs/{job}").status_code == 200
    assert server.client.get(f"/jobs/{job}").status_code == 404
    assert server.client.get("/atlases").json() == []
    assert list((server.tiles / ".app" / "jobs").iterdir()) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_job_on_a_dask_cluster_writes_what_one_machine_writes(serve, cluster, tmp_path, make_scene):
    for day, seed in (("2021-07-01", 3), ("2023-07-01", 4)):
        make_scene(tmp_path / "in", day, seed)
    server = serve("--scenes", str(tmp_path), "--scheduler", cluster.scheduler_address)
    asked = {"folder": "in", "offset": 0}
    job = server.client.post("/jobs", json=asked).json()["id"]
    done = server.settled(job)
    assert (done["state"], len(done["result"]["mapped"])) == ("done", 2), done
    finished = [step.key for step in cluster.scheduler.transition_log if step.finish == "memory"]
    worked_on = {scene for scene in done["result"]["mapped"] for key in finished if key.startswith(scene)}
    assert worked_on == set(done["result"]["mapped"])  # by its workers, not by this machine's own
    alone = serve("--scenes", str(tmp_path), tiles=tmp_path / "alone")
    other = alone.client.post("/jobs", json=asked).json()["id"]
    assert alone.settled(other)["state"] == "done"
    tables = {
        place: sorted((place / ".app" / "jobs" / name / "tiles").rglob("*.parquet"))
        for place, name in ((server.tiles, job), (alone.tiles, other))
    }
    assert [path.name for path in tables[server.tiles]] == [path.name for path in tables[alone.tiles]]
    for one, two in zip(*tables.values(), strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_a_zipped_product_is_mapped(serve, tmp_path):
    product = builders.write_safe(tmp_path / "in", reflectance=builders.surface(256, 448))
    archive = builders.zipped(product, tmp_path / f"{product.name}.zip")
    server = serve()
    job = server.client.post("/jobs", files={"files": (archive.name, archive.read_bytes())}).json()["id"]
    done = server.settled(job)
    assert (done["state"], len(done["result"]["mapped"])) == ("done", 1), done


def test_a_folder_must_lie_below_an_allowed_root(serve, scene, tmp_path):
    (tmp_path / "out").symlink_to(tmp_path)
    (scene.parent / "link").symlink_to(tmp_path)
    server = serve("--scenes", str(scene.parent))
    for told in (str(tmp_path), "..", "../in/..", "link", "absent", "/etc", "~", "a\x00b", "x" * 5000):
        answer = server.client.post("/jobs", json={"folder": told})
        assert answer.status_code == 404, told
        assert str(tmp_path) not in answer.text
    assert server.client.post("/jobs", json={"folder": ".", "offset": 0}).status_code == 202
    other = serve(tiles=tmp_path / "other")
    assert other.client.post("/jobs", json={"folder": "."}).status_code == 404
    assert other.client.post("/jobs", json={"folder": str(scene.parent)}).status_code == 404


def test_what_is_no_scene_fails_with_the_reason(serve):
    server = serve()
    job = server.client.post("/jobs", files={"files": ("scene.tif", b"no raster at all")}).json()["id"]
    failed = server.settled(job)
    assert failed["state"] == "failed"
    assert "scene.tif" in failed["reason"] and str(server.tiles) not in failed["reason"]
    vrt = b"<VRTDataset rasterXSize='1' rasterYSize='1'><SRS>/etc/passwd</SRS></VRTDataset>"
    job = server.client.post("/jobs", files={"files": ("scene.tif", vrt)}).json()["id"]
    assert "UnsafeInput" in server.settled(job)["reason"]
    assert server.client.get("/atlases").json() == []


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({}, 422),
        ({"folder": 7}, 422),
        ({"folder": ".", "min_valid": 7}, 422),
        ({"folder": ".", "elsewhere": 1}, 422),
        ({"folder": ".", "model": "../x"}, 404),
        ({"folder": ".", "model": store.DEFAULT_COVER}, 404),
        ({"folder": ".", "cover": store.DEFAULT}, 404),
        ({"folder": ".", "cover": f"{store.DEFAULT_COVER},../x"}, 404),
        ({"folder": ".", "prior": 0.7}, 422),
    ],
)
def test_questions_that_are_none(server, told, status):
    assert server.client.post("/jobs", json=told).status_code == status
    assert server.client.post("/jobs", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert server.client.post("/jobs", content=b"x").status_code == 415
    assert server.client.post("/jobs", files={"other": b""}).status_code in (202, 400)
    assert server.client.get("/jobs/absent").status_code == 422
    assert server.client.get("/jobs/abc").status_code == 404
    assert server.client.get("/jobs/abc/events").status_code == 404
    assert server.client.delete("/jobs/abc").status_code == 404


def test_cancelling_leaves_nothing(serve, large):
    server = serve("--scenes", str(large))
    first = server.client.post("/jobs", json={"folder": ".", "offset": 0}).json()["id"]
    second = server.client.post("/jobs", json={"folder": ".", "offset": 0}).json()["id"]
    _wait_for_work(server, first)
    assert server.client.delete(f"/jobs/{second}").json()["state"] == "cancelled"
    (worker,) = server.workers()
    assert server.client.delete(f"/jobs/{first}").json()["state"] == "cancelled"
    assert not Path(f"/proc/{worker}").exists()
    assert list((server.tiles / ".app" / "jobs").iterdir()) == []
    assert server.client.get("/atlases").json() == []
    events = _events(server, first)
    assert json.loads(events[-1]["data"])["state"] == "cancelled"
    assert server.client.post(f"/jobs/{first}/resume").status_code == 409


def test_a_killed_worker_is_taken_up_once_then_called_interrupted(serve, large):
    server = serve("--scenes", str(large))
    job = server.client.post("/jobs", json={"folder": ".", "offset": 0}).json()["id"]
    for attempt in (1, 2):
        until = time.monotonic() + 300
        while time.monotonic() < until:
            found = server.client.get(f"/jobs/{job}").json()
            if found["attempts"] == attempt and found["state"] == "running" and server.workers():
                break
            time.sleep(0.02)
        time.sleep(0.5)
        assert server.client.get("/atlases").json() == []
        os.kill(server.workers()[0], signal.SIGKILL)
    found = server.settled(job)
    assert (found["state"], found["attempts"]) == ("interrupted", 2)
    assert "2 times" in found["reason"]
    assert server.client.get("/atlases").json() == []
    assert server.client.post(f"/jobs/{job}/resume").json()["state"] == "queued"
    assert server.settled(job)["state"] == "done"


def test_after_a_killed_server_the_job_goes_on(serve, large, tmp_path):
    server = serve("--scenes", str(large))
    job = server.client.post("/jobs", json={"folder": ".", "offset": 0, "title": "long"}).json()["id"]
    waits = server.client.post("/jobs", json={"folder": ".", "offset": 0, "title": "waits"}).json()["id"]
    folder = server.tiles / ".app" / "jobs" / job / "tiles" / store.DEFAULT
    until = time.monotonic() + 300
    while not list(folder.glob("S2A*/scene.json")) and time.monotonic() < until:
        time.sleep(0.02)  # the first scene is whole, the second under way
    (worker,) = server.workers()
    server.kill()
    until = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()  # an orphan would write where the next one works
    (server.tiles / ".app" / "jobs" / "left-over").mkdir()
    again = serve("--scenes", str(large))
    assert again.client.get(f"/jobs/{job}").json()["title"] == "long"
    done = again.settled(job)
    assert (done["state"], done["attempts"], len(done["result"]["mapped"])) == ("done", 2, 2), done
    statuses = [
        json.loads(event["data"])["status"]
        for event in _events(again, job)
        if event.get("event") == "progress" and json.loads(event["data"])["event"] == "scene"
    ]
    assert "cached" in statuses  # the finished scene was not done again
    assert again.settled(waits)["state"] == "done"
    assert {path.name for path in (again.tiles / ".app" / "jobs").iterdir()} == {job, waits}
    assert again.client.delete(f"/jobs/{job}").status_code == 200


def test_a_job_that_always_dies_is_interrupted_at_the_next_start(tmp_path):
    import asyncio

    from pipeline.web.job_list import JobRequest, JobState
    from pipeline.web.job_runner import JobRunner
    from pipeline.web.settings import Settings

    async def main():
        runner = JobRunner(Settings(tiles=tmp_path))
        runner._task.cancel()
        job = runner.list.add("dies", JobRequest(store.DEFAULT))
        runner.list.start(job.id)
        runner.list.start(job.id)
        await runner.close()
        second = JobRunner(Settings(tiles=tmp_path))
        second._task.cancel()
        found = second.get(job.id)
        await second.close()
        return found

    found = asyncio.run(main())
    assert found.state == JobState.INTERRUPTED


def test_a_full_queue_says_when_to_come_back(tmp_path):
    import asyncio

    from pipeline.web.job_list import JobRequest
    from pipeline.web.job_runner import JobRunner
    from pipeline.web.problems import Problem
    from pipeline.web.settings import Limits, Settings

    async def main():
        runner = JobRunner(Settings(tiles=tmp_path, limits=Limits(jobs=2)))
        runner._task.cancel()
        for _ in range(2):
            runner.check_room()
            runner.submit("one", JobRequest(store.DEFAULT))
        with pytest.raises(Problem) as refusal:
            runner.check_room()
        await runner.close()
        return refusal.value

    refusal = asyncio.run(main())
    assert refusal.status_code == 429 and int(refusal.headers["Retry-After"]) >= 1


def test_events_of_a_killed_process_are_whole_lines(tmp_path):
    from pipeline.web.job_work import EventFile

    (tmp_path / "events.jsonl").write_text('{"event": "begin"}\n{"event": "til')
    events = EventFile(tmp_path / "events.jsonl")
    events.tell("end", state="done")
    events.close()
    told = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in told] == ["begin", "end"]


def test_a_broken_list_is_told(tmp_path):
    from pipeline.errors import OutputError
    from pipeline.web.job_list import JobList

    (tmp_path / "jobs.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(OutputError, match="list of jobs cannot be opened"):
        JobList(tmp_path / "jobs.sqlite")
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(tmp_path / "jobs.sqlite").execute("select 1 from jobs")
