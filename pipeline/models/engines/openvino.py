"""Inference with OpenVINO: the fast twins of a stored model on the CPU."""

import ctypes
import importlib.util
import mmap
from collections import deque
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.engines import Outputs, Patches, padded

PRECISIONS = ("int8", "bf16", "f32")
# Throughput is flat from 16 to 512 patches a call, and so are the answers. A strip of a granule has 688 patches: larger
# batches would fill up their last one with copies, and leave a core idle while another works on it.
BATCH = 16
PROBABILITIES, FEATURES = "probabilities", "features"

# OpenVINO is imported inside functions only.
Request = Any
Compiled = Any
Core = Any


def available(precision: str) -> bool:
    """Whether OpenVINO is installed and this machine computes well in `precision`."""
    if importlib.util.find_spec("openvino") is None:
        return False
    return precision == "f32" or (supports_vnni() if precision == "int8" else supports_bf16())


def load(
    path: Path, card: ModelCard, precision: str, threads: int | None = None, batch: int | None = None
) -> "OpenVinoRunner":
    """The twin in an OpenVINO file.

    Raises:
        ModelError: OpenVINO is missing, the file does not load, or is another network than the card says.
    """
    try:
        import openvino
    except ImportError as error:
        raise ModelError(
            f"{path}: OpenVINO is not installed ({error}); install requirements.txt or use --engine keras"
        ) from error
    options: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        # Pinned threads of several processes would all sit on the first cores.
        options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
    try:
        core = openvino.Core()
        if precision != "f32" and supports_bf16(core):
            options["INFERENCE_PRECISION_HINT"] = "bf16"
        graph = core.read_model(path)
        graph.reshape([batch or BATCH, *card.input.shape])
        compiled = core.compile_model(graph, "CPU", options)
        del graph
        _let_mapped_go(path.with_suffix(".bin"))
        shapes = {output.get_any_name(): tuple(output.shape) for output in compiled.outputs}
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"{path}: OpenVINO cannot load it ({reason}); use --engine keras or copy the model folder again"
        ) from error
    classes = len(card.legend.classes)
    if shapes.get(PROBABILITIES) != (batch or BATCH, classes) or FEATURES not in shapes:
        raise ModelError(f"{path}: answers {shapes}, the card says {classes} classes; copy the model folder again")
    return OpenVinoRunner(compiled)


class OpenVinoRunner:
    """A compiled network with its requests. Each call takes idle ones, so that calls of several threads share them."""

    def __init__(self, compiled: Compiled) -> None:
        self._widths = {name: int(compiled.output(name).shape[1]) for name in (PROBABILITIES, FEATURES)}
        self._batch = int(compiled.output(PROBABILITIES).shape[0])
        self._idle: SimpleQueue[Request] = SimpleQueue()
        for _ in range(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 1):  # one waits while others work
            self._idle.put(compiled.create_infer_request())

    def __call__(self, patches: Patches) -> Outputs:
        """Probabilities and pooled features of patches (n, size, size, bands), in batches of one fixed size."""
        n, batch = len(patches), self._batch
        rows = {name: np.empty((-(-n // batch) * batch, width), np.float32) for name, width in self._widths.items()}
        under_way: deque[tuple[Request, int]] = deque()

        def collect() -> None:
            request, start = under_way[0]
            request.wait()
            for name, found in rows.items():
                found[start : start + batch] = request.get_tensor(name).data
            self._idle.put(under_way.popleft()[0])

        try:
            for start in range(0, n, batch):
                while (request := self._free(wait=not under_way)) is None:
                    collect()
                under_way.append((request, start))
                request.start_async({0: padded(patches[start : start + batch], batch)})
            while under_way:
                collect()
        finally:  # after a failure, what still runs must end before others may have its request
            for request, _ in under_way:
                with suppress(RuntimeError):
                    request.wait()
                self._idle.put(request)
        return Outputs(rows[PROBABILITIES][:n], rows[FEATURES][:n])

    def _free(self, wait: bool) -> Request | None:
        """An idle request; None where there is none and the caller need not wait for others' to end."""
        try:
            return self._idle.get(block=wait)
        except Empty:
            return None


def _let_mapped_go(weights: Path) -> None:
    """Lets a mapped file's pages leave this process's memory: a compiled network works on copies of its own.

    OpenVINO keeps the file mapped, so whatever is still looked up there is read again. Only Linux can be told.
    """
    with suppress(OSError, AttributeError):
        madvise, name = ctypes.CDLL(None).madvise, f" {weights.resolve()}"
        for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            span, rights = line.split()[:2]
            if line.endswith(name) and "w" not in rights:  # what was written into such pages would be lost
                first, end = (int(at, 16) for at in span.split("-"))
                madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), mmap.MADV_DONTNEED)


def supports_bf16(core: Core = None) -> bool:
    """Whether this machine's processor computes in bfloat16."""
    if core is None:
        import openvino

        core = openvino.Core()
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def supports_vnni() -> bool:
    """Whether this machine's processor multiplies int8 well (others are slower, or overflow in their sums)."""
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
