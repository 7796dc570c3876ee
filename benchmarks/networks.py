"""Size and speed of the networks: OpenVINO in float32 at each one's own patch size, beside ResNet50 at 64 pixels.

    python benchmarks/networks.py

Fresh weights: speed and size do not depend on what a network has learnt. Rounds are interleaved with ResNet50's.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.models import networks
from pipeline.models.networks import Plan
from pipeline.training.export import convert, save_keras, with_temperature

BATCH, ROUNDS = 16, 5


def prepared(name: str, folder: Path):
    import openvino

    network = networks.find(name)
    size = 256 if name == "efficientnet-lite" else network.SIZE
    bands = 10 if name == "spectrumnet" else 3
    told = {"mean": (0.2,) * 10, "spread": (0.1,) * 10} if bands == 10 else {}
    model = network.build(Plan(21, size, bands, **told))
    save_keras(with_temperature(model, 1.0), folder / f"{name}.keras")
    convert(folder / f"{name}.keras", folder / name / "model.xml", np.float32)
    graph = openvino.Core().read_model(folder / name / "model.xml")
    graph.reshape([BATCH, size, size, bands])
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    patches = np.random.default_rng(0).integers(1, 256, (BATCH, size, size, bands)).astype(np.float32)
    megabytes = (folder / f"{name}.keras").stat().st_size / 1e6
    return size, model.count_params(), megabytes, lambda: compiled(patches)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        reference = prepared("resnet50", folder)
        print("| network | patch | parameters | model.keras | time a patch / ResNet50's |\n|---|---|---|---|---|")
        for name in networks.names():
            size, count, megabytes, ask = prepared(name, folder)
            ratios = []
            for _ in range(ROUNDS):
                spans = []
                for call in (reference[3], ask):
                    started = time.perf_counter()
                    call()
                    spans.append(time.perf_counter() - started)
                ratios.append(spans[1] / spans[0])
            print(f"| {name} | {size} | {count:,} | {megabytes:.1f} MB | {np.median(ratios):.2f} |", flush=True)


if __name__ == "__main__":
    main()
