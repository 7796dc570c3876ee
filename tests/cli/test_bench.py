"""What `bench` tells: every figure beside its goal, as text and as JSON."""

import json
from dataclasses import replace

import pytest

from pipeline.batch.measuring import Figures, Side
from pipeline.cli.bench import as_json, report


@pytest.fixture
def figures():
    decode, inference = Side(10.0, 10.0, 10**9), Side(20.0, 40.0, 10**9)
    main, plain = Side(30.0, 58.0, 1_300_000_000, start=1.4), Side(96.0, 150.0, 10**9)
    return Figures(400, 2, "openvino-int8", decode, inference, main, plain, 0.999, 0.99)


def test_every_goal_says_whether_it_is_met(figures):
    told = {goal["name"]: goal for goal in json.loads(json.dumps(as_json(figures)))["goals"]}
    met = {name: goal["met"] for name, goal in told.items()}
    assert met == {
        "main job over the floor, clock": True,  # 30 / 25
        "main job over the floor, CPU seconds": True,
        "plain way over the main job, clock": True,  # 3.2
        "plain way over the main job, CPU seconds": False,  # 2.59
        "labels equal to the tile-by-tile float32 reference": True,
        "labels equal to the plain way's": False,
        "peak memory": False,
        "from process start to the first block's reading": True,
    }
    lines = [line for line in report(figures, "made").splitlines() if "goal" in line]
    assert [line.endswith("NOT met") for line in lines] == [not one for one in met.values()]
    assert "1.30 GB   goal <= 1.2 GB" in report(figures, "made")


def test_the_covers_inference_counts_in_the_floor(figures):
    covered = replace(figures, cover=Side(30.0, 50.0, 10**9), plain=None)
    assert covered.floor == figures.floor + 25.0
    assert as_json(covered)["cover"] == {"wall": 30.0, "cpu": 50.0, "memory": 10**9}
    assert "goal <= 1.3 GB" in report(covered, "made")
