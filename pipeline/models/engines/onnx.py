"""Inference with OpenVINO: networks of others as ONNX, added by `models add`."""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.engines import openvino as twins
from pipeline.models.foreign import ONNX, Floats, ForeignRunner, Function

PRECISIONS: tuple[str, ...] = ()


def available(precision: str) -> bool:  # noqa: ARG001 - it has one
    """Whether OpenVINO is installed."""
    return twins.available("f32")


def load(
    path: Path,
    card: ModelCard,
    precision: str,  # noqa: ARG001 - it has one
    threads: int | None,
    batch: int | None = None,
) -> ForeignRunner:
    """The network in an ONNX file.

    Raises:
        ModelError: OpenVINO is missing, or the file does not load.
    """
    return ForeignRunner(card, ONNX, function(path, threads), batch)


def function(path: Path, threads: int | None) -> Function:
    """The network as a function of arrays in float32; each size of input is compiled when it is first seen.

    Raises:
        ModelError: OpenVINO is missing, or the file does not load.
    """
    try:
        import openvino
    except ImportError as error:
        raise ModelError(f"{path}: OpenVINO is not installed ({error}); install requirements.txt") from error
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        # Pinned threads of several processes would all sit on the first cores.
        options |= {"INFERENCE_NUM_THREADS": str(threads), "ENABLE_CPU_PINNING": "NO"}
    core, turn = openvino.Core(), Lock()
    try:
        core.read_model(path)
    except RuntimeError as error:
        raise ModelError(
            f"{path}: OpenVINO cannot read it ({str(error).splitlines()[0]}); copy the model folder again"
        ) from error
    compiled: dict[tuple[int, ...], Any] = {}

    def answers(pixels: Floats) -> Floats:
        with turn:
            if pixels.shape not in compiled:
                graph = core.read_model(path)
                graph.reshape(list(pixels.shape))
                compiled[pixels.shape] = core.compile_model(graph, "CPU", options)
            return np.array(compiled[pixels.shape](np.ascontiguousarray(pixels))[0], np.float32)

    return answers
