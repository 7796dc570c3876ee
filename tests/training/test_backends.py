"""The same training on every backend of Keras that is installed, each in a process of its own."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
# The smallest network that the pipeline can train, store and measure stands in for ResNet50.
PROGRAM = """
import json, sys
from pipeline.cli import main
from pipeline.training import fit
from tests.models import networks
fit.networks.find = lambda _: networks
for arguments in json.loads(sys.argv[1]):
    main(arguments, standalone_mode=False)
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("backends") / "data", np.random.default_rng(0)
    for label, low in (("Dark", 0), ("Bright", 150)):
        (folder / label).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(rng.integers(low, low + 90, (64, 64, 3)).astype(np.uint8)).save(folder / label / f"{i}.png")
    return folder


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_backend_trains_resumes_stores_and_measures(backend: str, pictures: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }

    def start(*verbs: list[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, json.dumps(verbs)]
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    train = (
        f"train --data {pictures} --name small --out models --run run --weights none --epochs 4 --batch 8 --rate "
        f"0.03 --full-precision --no-augment"
    ).split()
    evaluate = f"evaluate --data {pictures} --model models/small --engine keras --json figures.json".split()
    killed = start(train)
    stop = time.monotonic() + 300
    while not (tmp_path / "run" / "averaged.npz").is_file() and killed.poll() is None and time.monotonic() < stop:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (tmp_path / "run" / "averaged.npz").is_file()
    resumed = start(train, evaluate)
    said, wrong = resumed.communicate()
    assert resumed.returncode == 0, wrong
    assert "resumes after epoch" in said
    assert (
        json.loads((tmp_path / "models" / "small" / "card.json").read_text())["trained_on"]["versions"]["backend"]
        == backend
    )
    assert (tmp_path / "models" / "small" / "report" / "curves.png").is_file()
    assert json.loads((tmp_path / "figures.json").read_text())["accuracy"] > 0.9
