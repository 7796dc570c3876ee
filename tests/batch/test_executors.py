import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.batch.executors import Processes, Serial
from pipeline.batch.work import ModelChoice, SceneTask, describe
from tests.test_tiling import scene_on_disk


def answer(task: SceneTask):
    return replace(describe(task.scene), counts={"Forest": 1})


def die_on_the_second(task: SceneTask):
    if task.scene.id == "scene-1":
        os.kill(os.getpid(), signal.SIGKILL)
    return answer(task)


@pytest.fixture
def tasks(tmp_path):
    pixels = np.ones((3, 8, 8), np.uint16)
    return [SceneTask(scene_on_disk(tmp_path, pixels, 640_000, 640_000, f"scene-{n}"), ModelChoice(), Path("out")) for n in range(4)]


@pytest.mark.parametrize("executor", [Serial(answer), Processes(2, answer)], ids=["serial", "processes"])
def test_every_task_is_answered_once(tasks, executor):
    assert sorted(record.id for record in executor.run(tasks)) == [task.scene.id for task in tasks]


def test_a_dead_worker_costs_its_own_scene_only(tasks):
    records = {record.id: record for record in Processes(2, die_on_the_second).run(tasks)}
    assert sorted(records) == [task.scene.id for task in tasks]
    assert records["scene-1"].status == "refused"
    assert "died while it worked on scene-1" in records["scene-1"].reason
    assert all(record.status == "done" for name, record in records.items() if name != "scene-1")
