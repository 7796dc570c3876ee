"""Networks that answer per pixel, on OpenVINO or on keras."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.engines.openvino import supports_bf16

Floats = npt.NDArray[np.float32]


class OpenVinoPixels:
    """A cover network's twin on the CPU; each size of window is compiled when it is first seen.

    `precision` is "bf16" or "f32"; `threads` limits the cores used.
    """

    def __init__(self, card: ModelCard, model: Path, precision: str, threads: int | None = None) -> None:
        import openvino

        self._card, self._path = card, model
        self._options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if threads is not None:
            # Pinned threads of several processes would all sit on the first cores.
            self._options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        self._core = openvino.Core()
        if precision == "bf16" and not supports_bf16(self._core):
            self._options["INFERENCE_PRECISION_HINT"] = precision = "f32"
        self.engine = f"openvino-{precision}"
        self._requests: dict[tuple[int, ...], Any] = {}

    @property
    def card(self) -> ModelCard:
        """What the model is and what input it takes."""
        return self._card

    @property
    def halo(self) -> int:
        """Pixels around a pixel that bear on its answer."""
        return int(self._card.metrics["halo"])

    def predict(self, pixels: Floats) -> Floats:
        """Calibrated probabilities (y, x, classes) of reflectances (y, x, bands)."""
        request = self._requests.get(pixels.shape)
        if request is None:
            request = self._requests[pixels.shape] = self._compile(pixels.shape)
        request.infer({0: np.ascontiguousarray(pixels[None])})
        return np.array(request.get_output_tensor().data[0])

    def _compile(self, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 - OpenVINO has no types
        try:
            graph = self._core.read_model(self._path)
            graph.reshape([1, *shape])
            return self._core.compile_model(graph, "CPU", self._options).create_infer_request()
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{self._path}: OpenVINO cannot run it ({reason}); copy the model folder again") from error
