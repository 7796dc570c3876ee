"""Results at an address: the same bytes as in a folder, and never a part of a scene that counts as the whole."""

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import replace

import fsspec
import pytest

from pipeline.batch.executors import Cluster, Processes
from pipeline.batch.main_job import run
from pipeline.errors import OutputError
from pipeline.results import layout as files
from pipeline.results.address import RemoteFolder, mirror
from tests.runs import elsewhere, folder_bytes, outputs, work_with_the_fake


def die_once_while_uploading(task):
    """Scene 1's worker is killed the first time, when some of the scene's files are at the address."""
    mark = task.results.path.parent / "killed"
    if task.scene.id == "scene-1" and not mark.exists():
        system = fsspec.filesystem("file")
        put = type(system).put_file

        def put_and_die(self, path, target, **rest):
            put(self, path, target, **rest)
            if target.endswith(files.TABLE):
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        type(system).put_file = put_and_die
    return work_with_the_fake(task)


@pytest.fixture
def at_an_address(options, tmp_path):
    """A run whose results go to a file: address, with the local copy beside."""
    return replace(elsewhere(options, "copy"), results=f"file://{tmp_path}/there")


def test_results_at_an_address_are_those_of_a_local_run(options, at_an_address, scenes, tmp_path):
    here = elsewhere(options, "here")
    run(scenes, here)
    report = run(scenes, at_an_address)
    assert [record.status for record in report.records] == ["done"] * 3
    assert report.results == f"file://{tmp_path}/there/fake"
    assert outputs(at_an_address) == outputs(here)
    assert folder_bytes(tmp_path / "there") == folder_bytes(here.tiles)
    assert (tmp_path / "there" / "fake" / "run.json").is_file()
    again = run(scenes, at_an_address)
    assert [record.status for record in again.records] == ["cached"] * 3


def test_another_machine_finds_finished_scenes_at_the_address(options, at_an_address, scenes):
    run(scenes[:2], at_an_address)
    shutil.rmtree(at_an_address.tiles)
    report = run(scenes, at_an_address)
    assert [record.status for record in report.records] == ["cached", "cached", "done"]
    here = elsewhere(options, "here")
    run(scenes, here)
    assert outputs(at_an_address) == outputs(here)


@pytest.mark.parametrize("damage", ["table", "missing", "item"])
def test_damaged_results_are_made_again(at_an_address, scenes, tmp_path, damage):
    run(scenes[:1], at_an_address)
    place = tmp_path / "there" / "fake" / "scene-0"
    before = folder_bytes(place)
    target = place / (files.ITEM if damage == "item" else files.TABLE)
    target.unlink() if damage == "missing" else target.write_bytes(target.read_bytes()[:-20])
    (place / "stale.txt").write_text("of an earlier run")
    shutil.rmtree(at_an_address.tiles)
    assert [record.status for record in run(scenes[:1], at_an_address).records] == ["done"]
    assert folder_bytes(place) == before


def test_an_upload_that_ends_early_never_counts(at_an_address, scenes, tmp_path, monkeypatch):
    run(scenes[:1], at_an_address)
    store, place = RemoteFolder(at_an_address.results) / "fake", tmp_path / "there" / "fake" / "scene-0"
    system = type(fsspec.filesystem("file"))
    put = system.put_file

    def full(self, path, target, **rest):
        if target.endswith(files.TABLE):
            raise OSError(28, "No space left on device")
        put(self, path, target, **rest)

    monkeypatch.setattr(system, "put_file", full)
    with pytest.raises(OutputError, match="No space left"):
        run(scenes[:1], replace(at_an_address, force=True))
    assert not (place / files.ITEM).exists()
    assert not store.get_scene("scene-0", tmp_path / "elsewhere")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_that_loses_a_worker_while_it_uploads(options, at_an_address, scenes, cluster, tmp_path):
    here = elsewhere(options, "here")
    run(scenes, here)
    report = run(scenes, at_an_address, Cluster(cluster.scheduler_address, die_once_while_uploading))
    assert (at_an_address.tiles / "killed").exists()
    (at_an_address.tiles / "killed").unlink()
    assert [record.status for record in report.records] == ["done"] * 3
    assert folder_bytes(tmp_path / "there") == folder_bytes(here.tiles)
    assert outputs(at_an_address) == outputs(here)


def test_bytes_that_came_back_wrong_are_told(at_an_address, scenes, tmp_path):
    run(scenes[:1], at_an_address)
    place = tmp_path / "there" / "fake" / "scene-0"
    (place / files.LANDCOVER).write_bytes(b"someone else's")
    with pytest.raises(OutputError, match="reads back other than it was written"):
        (RemoteFolder(at_an_address.results) / "fake").get_scene("scene-0", tmp_path / "x", {files.LANDCOVER: "0" * 64})


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://example.com/x", "written to a https"),
        ("memory://x", "written to a memory"),
        ("nosuch://x", "no address that fsspec knows"),
    ],
)
def test_addresses_that_cannot_hold_results(options, scenes, address, message):
    with pytest.raises(OutputError, match=message):
        run(scenes[:1], replace(options, results=address))


def test_a_missing_package_is_named(monkeypatch):
    def absent(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(OutputError, match="pip install s3fs") as told:
        RemoteFolder("s3://me:secret@bucket/maps").check()
    assert "secret" not in str(told.value)


def test_an_address_among_the_scenes_is_refused(options, scenes, tmp_path):
    with pytest.raises(OutputError, match="inside the folder of scenes"):
        run(scenes, replace(options, inputs=tmp_path / "scenes", results=f"file://{tmp_path}/scenes/out"))


def test_copies_of_two_addresses_lie_apart(tmp_path):
    assert mirror("s3://a/maps", tmp_path) != mirror("s3://b/maps", tmp_path)
    assert mirror("s3://u:one@a/maps", tmp_path) == mirror("s3://u:two@a/maps", tmp_path)


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """A bucket of a real S3 server in a process of its own; skipped where its packages are absent."""
    pytest.importorskip("s3fs", reason="results at s3 addresses need s3fs")
    server = shutil.which("moto_server") or pytest.skip("no S3 server: moto is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        [server, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean
    )
    try:
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        for _ in range(100):
            try:
                system.mkdir("maps")
                break
            except Exception:  # not up yet
                time.sleep(0.2)
        yield "s3://maps/first"
    finally:
        process.kill()
        process.wait()


@pytest.mark.filterwarnings("ignore")  # of other people's packages
def test_results_in_a_bucket_are_those_of_a_local_run(options, scenes, bucket):
    here, there = elsewhere(options, "here"), replace(elsewhere(options, "copy"), results=bucket)
    run(scenes, here)
    assert run(scenes, there, Processes(2, work_with_the_fake)).exit_code == 0
    assert outputs(there) == outputs(here)
    shutil.rmtree(there.tiles)
    assert [record.status for record in run(scenes, there).records] == ["cached"] * 3
    system = fsspec.filesystem("s3")
    assert system.exists("maps/first/fake/scene-1/scene.json")
    assert system.exists("maps/first/fake/run.json")
