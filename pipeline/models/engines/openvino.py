"""Inference with OpenVINO: the fast twin of a stored model."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models.abstention import Abstention
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction
from pipeline.models.engines.checks import check_patches, prediction

# Throughput is flat from 16 to 512 patches a call, and so are the answers. A strip of a granule has 688 patches: larger
# batches would fill up their last one with copies, and leave a core idle while another works on it.
BATCH = 16

# OpenVINO is imported inside functions only.
Request = Any
Core = Any


class OpenVinoClassifier:
    """A model's twin on the CPU.

    Every call runs batches of one fixed size, so a patch's answer never depends on its neighbours.

    `precision` is "int8", "bf16" or "f32"; `threads` limits the cores used.
    """

    def __init__(self, card: ModelCard, folder: Path, model: Path, precision: str, threads: int | None = None) -> None:
        import openvino

        self._card, self.engine = card, f"openvino-{precision}"
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "f32" if precision == "f32" else "bf16",
        }
        if threads is not None:
            # Pinned threads of several processes would all sit on the first cores.
            options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        try:
            core = openvino.Core()
            if precision != "f32" and not supports_bf16(core):
                options["INFERENCE_PRECISION_HINT"] = "f32"
            graph = core.read_model(model)
            bands, size = len(card.input.bands), card.input.size
            graph.reshape([BATCH, size, size, bands])
            self._compiled = core.compile_model(graph, "CPU", options)
            shapes = {output.get_any_name(): tuple(output.shape) for output in self._compiled.outputs}
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"{model}: OpenVINO cannot load it ({reason}); use --engine keras or copy the model folder again"
            ) from error
        if shapes.get("probabilities") != (BATCH, len(card.legend.classes)) or "features" not in shapes:
            raise ModelError(
                f"{model}: answers {shapes}, the card says {len(card.legend.classes)} classes; copy the model "
                f"folder again"
            )
        self._queue = openvino.AsyncInferQueue(self._compiled)
        self._abstention = Abstention.read(folder / card.unfamiliar["file"]) if card.unfamiliar else None

    @property
    def card(self) -> ModelCard:
        """What the model is and what input it takes."""
        return self._card

    def predict(self, patches: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Calibrated probabilities (n, classes)."""
        return self.outputs(patches)[0]

    def judge(self, patches: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> Prediction:
        """Probabilities and which patches are unlike the training data, in one pass."""
        return prediction(*self.outputs(patches), self._abstention, self._card)

    def outputs(
        self, patches: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Probabilities (n, classes) and pooled features (n, f)."""
        check_patches(self.card, patches)
        n = len(patches)
        padded = -(-n // BATCH) * BATCH
        found = {
            name: np.empty((padded, self._compiled.output(name).shape[1]), np.float32)
            for name in ("probabilities", "features")
        }

        def keep(request: Request, start: int) -> None:
            for name, rows in found.items():
                rows[start : start + BATCH] = request.get_tensor(name).data

        self._queue.set_callback(keep)
        for start in range(0, n, BATCH):
            piece = patches[start : start + BATCH]
            if len(piece) < BATCH:
                piece = np.concatenate([piece, np.repeat(piece[-1:], BATCH - len(piece), axis=0)])
            self._queue.start_async({0: np.ascontiguousarray(piece)}, start)
        self._queue.wait_all()
        return found["probabilities"][:n], found["features"][:n]


def supports_bf16(core: Core = None) -> bool:
    """Whether this machine's processor computes in bfloat16."""
    if core is None:
        import openvino

        core = openvino.Core()
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
