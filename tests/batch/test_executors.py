import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.batch import date_changes
from pipeline.batch.executors import Cluster, Processes, Serial
from pipeline.batch.main_job import run
from pipeline.batch.products import tile_table
from pipeline.batch.task import ModelChoice, SceneTask
from pipeline.errors import OutputError
from pipeline.results.folder import ResultsFolder
from pipeline.results.layout import evidence_files
from pipeline.results.record import SceneRecord
from tests.builders import scene_on_disk
from tests.runs import elsewhere, outputs, work_with_the_fake


def answer(task: SceneTask):
    return replace(SceneRecord.described(task.scene), counts={"Forest": 1})


def die_on_the_second(task: SceneTask):
    if task.scene.id == "scene-1":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(task)


def die_once_midway(task: SceneTask):
    """Scene 1's worker is killed the first time, when half of the scene's files are written."""
    mark = task.results.path.parent / "killed"
    if task.scene.id == "scene-1" and not mark.exists():
        tile_table.write_table = lambda *_: (mark.touch(), os.kill(os.getpid(), signal.SIGKILL))
    return work_with_the_fake(task)


@pytest.fixture
def tasks(tmp_path):
    pixels = np.ones((3, 8, 8), np.uint16)
    return [
        SceneTask(
            scene_on_disk(tmp_path, pixels, 640_000, 640_000, f"scene-{n}"), ModelChoice(), ResultsFolder(Path("out"))
        )
        for n in range(4)
    ]


@pytest.mark.parametrize("executor", [Serial(answer), Processes(2, answer)], ids=["serial", "processes"])
def test_every_task_is_answered_once(tasks, executor):
    assert sorted(record.id for record in executor.run(tasks)) == [task.scene.id for task in tasks]


def test_a_dead_worker_costs_its_own_scene_only(tasks):
    records = {record.id: record for record in Processes(2, die_on_the_second).run(tasks)}
    assert sorted(records) == [task.scene.id for task in tasks]
    assert records["scene-1"].status == "refused"
    assert "died while it worked on scene-1" in records["scene-1"].reason
    assert all(record.status == "done" for name, record in records.items() if name != "scene-1")


def sleep_and_tell(task: SceneTask):
    (task.results.path / str(os.getpid())).touch()
    time.sleep(600)


def test_workers_end_with_a_killed_run(tasks, tmp_path):
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            list(
                Processes(2, sleep_and_tell).run(
                    [replace(task, results=ResultsFolder(tmp_path / "pids")) for task in tasks]
                )
            )
        os._exit(0)
    (tmp_path / "pids").mkdir()
    patience = time.monotonic() + 120
    while len(list((tmp_path / "pids").iterdir())) < 2:
        assert time.monotonic() < patience
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    workers = {int(path.name) for path in (tmp_path / "pids").iterdir()}
    while alive := {
        worker
        for worker in workers
        if psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE
    }:
        assert time.monotonic() < patience, alive
        time.sleep(0.1)


def test_processes_write_the_same_bytes_as_one(options, scenes):
    here, there = elsewhere(options, "one"), elsewhere(options, "two")
    run(scenes, here)
    assert run(scenes, there, Processes(2, work_with_the_fake)).exit_code == 0
    assert outputs(there) == outputs(here)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_that_loses_a_worker_midway_writes_the_same_bytes(options, scenes, cluster):
    here, there = elsewhere(options, "local"), elsewhere(options, "cluster")
    run(scenes, here)
    report = run(scenes, there, Cluster(cluster.scheduler_address, die_once_midway))
    assert (there.tiles / "killed").exists()
    assert [record.status for record in report.records] == ["done"] * 3
    (there.tiles / "killed").unlink()
    assert outputs(there) == outputs(here)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_scene_that_kills_every_worker_is_refused_alone(tasks, cluster):
    records = {record.id: record for record in Cluster(cluster.scheduler_address, die_on_the_second).run(tasks)}
    assert {name: record.status for name, record in records.items()} == {
        "scene-0": "done",
        "scene-1": "refused",
        "scene-2": "done",
        "scene-3": "done",
    }


def doubled_or_dead(number):
    if number == 3:
        os._exit(1)
    return 2 * number


def doubled(number):
    return 2 * number, os.getpid()


def test_each_item_is_answered_in_order_by_workers():
    found = list(Processes(2).each(doubled, range(5)))
    assert [number for number, _ in found] == [0, 2, 4, 6, 8]
    assert os.getpid() not in {process for _, process in found}
    assert list(Serial().each(doubled, [4])) == [(8, os.getpid())]
    assert list(Processes(2).each(doubled_or_dead, [1, 3, 5])) == [2, None, 10]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_item_that_kills_workers_costs_itself_alone(cluster):
    executor = Cluster(cluster.scheduler_address)
    assert list(executor.each(doubled_or_dead, [1, 3, 5])) == [2, None, 10]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_dates_are_compared_by_the_workers(options, dates, cluster, monkeypatch):
    here, there = elsewhere(options, "local"), elsewhere(options, "cluster")
    run(dates, here)
    monkeypatch.setattr(date_changes, "evidence", None)  # the workers have it; who asks here fails
    run(dates, there, Cluster(cluster.scheduler_address, work_with_the_fake))
    assert evidence_files(there.tiles / "fake").keys()
    assert outputs(there) == outputs(here)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_scheduler_is_an_output_error(tasks, monkeypatch):
    from pipeline.batch import executors

    monkeypatch.setattr(executors, "_PATIENCE", "1s")
    with pytest.raises(OutputError, match="no Dask scheduler answers"):
        list(Cluster("tcp://127.0.0.1:9", answer).run(tasks))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_without_workers_ends_the_run(tasks, monkeypatch):
    from pipeline.batch import executors

    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "_LONELY", 0.5)
    with (
        distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as empty,
        pytest.raises(OutputError, match="no worker has been there"),
    ):
        list(Cluster(empty.scheduler_address, answer).run(tasks))
