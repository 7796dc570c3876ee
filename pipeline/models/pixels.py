"""Stored networks that answer for every pixel: load them, ask them."""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models import engines, store
from pipeline.models.card import COVER, ModelCard
from pipeline.models.classifier import PixelClassifier
from pipeline.models.foreign import ONNX, SAVED_MODEL, ForeignPixels, OfCard
from pipeline.models.pixel_ensemble import PixelEnsemble, kept_temperature

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]


def load_pixels(
    name: str, engine: str = "auto", threads: int | None = None, folder: Path = store.FOLDER
) -> PixelClassifier:
    """The verified network of this name, or the mean of several whose names stand with commas between them.

    Raises:
        ModelError: no such model, a file that differs from its digest, a model of tiles, or members that do not match.
    """
    loaded = [_load(part.strip(), engine, threads, folder) for part in name.split(",")]
    if len(loaded) == 1:
        return loaded[0]
    joined = PixelEnsemble.of(loaded)
    return PixelEnsemble.of(loaded, kept_temperature(joined.card, folder))


def _load(name: str, engine: str, threads: int | None, folder: Path) -> PixelClassifier:
    place = store.locate(name, folder)
    card = ModelCard.read(place / "card.json")
    if card.kind != COVER:
        raise ModelError(f"{name}: answers for tiles, not for pixels; choose a model of kind {COVER!r}")
    card.verify(place)
    chosen = store.choose_engine(card, engine)
    path = place / card.engines[chosen]["file"]
    if chosen in (SAVED_MODEL, ONNX):
        module: Any = engines.find(chosen)[0]
        return ForeignPixels(card, chosen, module.function(path, threads))
    if chosen == "keras":
        return KerasPixels(card, path)
    return OpenVinoPixels(card, path, chosen.partition("-")[2], threads)


class OpenVinoPixels(OfCard):
    """A network on the CPU; each size of window is compiled when it is first seen."""

    def __init__(self, card: ModelCard, path: Path, precision: str, threads: int | None = None) -> None:
        import openvino

        super().__init__(card)
        self._path = path
        self.engine = f"openvino-{precision}"
        self._options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if threads is not None:
            # Pinned threads of several processes would all sit on the first cores.
            self._options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        self._core = openvino.Core()
        self._requests: dict[tuple[bool, tuple[int, ...]], Any] = {}
        self._turn = Lock()

    def predict(self, pixels: Floats) -> Floats:
        """Calibrated probabilities (y, x, classes) of reflectances (y, x, bands).

        Raises:
            ModelError: the pixels are not the card's input.
        """
        (found,) = self._asked(pixels, naming=False)
        return found

    def best(self, pixels: Floats) -> tuple[Codes, Codes]:
        """The likeliest class (y, x) of reflectances (y, x, bands), and how likely it is in percent.

        The graph itself chooses: eight numbers a pixel need not be copied and compared here.

        Raises:
            ModelError: the pixels are not the card's input.
        """
        classes, percent = self._asked(pixels, naming=True)
        return classes, percent

    def _asked(self, pixels: Floats, *, naming: bool) -> list[npt.NDArray[Any]]:
        """Copies of the graph's outputs."""
        _check(self._card, pixels)
        with self._turn:
            request = self._requests.get((naming, pixels.shape))
            if request is None:
                request = self._requests[naming, pixels.shape] = self._compiled(pixels.shape, naming)
            request.infer({0: np.ascontiguousarray(pixels[None])}, share_inputs=True)
            return [np.array(request.get_output_tensor(at).data[0]) for at in range(2 if naming else 1)]

    def _compiled(self, shape: tuple[int, ...], naming: bool) -> Any:  # noqa: ANN401 - OpenVINO has no types
        try:
            graph = self._core.read_model(self._path)
            graph.reshape([1, *shape])
            graph = _naming(graph) if naming else graph
            return self._core.compile_model(graph, "CPU", self._options).create_infer_request()
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{self._path}: OpenVINO cannot run it ({reason}); copy the model folder again") from error


def _naming(graph: Any) -> Any:  # noqa: ANN401 - OpenVINO has no types
    """A graph that ends with the likeliest class, the first of equals, and its probability in whole percent."""
    import openvino
    from openvino import opset13

    axis = np.array([-1], np.int64)
    most = opset13.topk(
        graph.get_results()[0].input_value(0), np.int64(1), -1, "max", "value", index_element_type="i32"
    )
    hundred = opset13.constant(np.float32(100))
    percent = opset13.round(opset13.multiply(opset13.squeeze(most.output(0), axis), hundred), "half_to_even")
    answers = opset13.squeeze(most.output(1), axis), percent
    return openvino.Model([opset13.result(opset13.convert(each, "u8")) for each in answers], graph.get_parameters())


class KerasPixels(OfCard):
    """The stored Keras model in float32: the reference, and the way to a GPU."""

    engine = "keras"

    def __init__(self, card: ModelCard, path: Path) -> None:
        from pipeline.models.engines.keras import load_model

        super().__init__(card)
        self._model, self._turn = load_model(path), Lock()

    def predict(self, pixels: Floats) -> Floats:
        """Calibrated probabilities (y, x, classes) of reflectances (y, x, bands).

        Raises:
            ModelError: the pixels are not the card's input.
        """
        _check(self._card, pixels)
        with self._turn:
            return np.asarray(self._model.predict_on_batch(pixels[None])[0], np.float32)


def _check(card: ModelCard, pixels: npt.NDArray[Any]) -> None:
    bands = len(card.input.bands)
    if pixels.ndim != 3 or pixels.shape[-1] != bands or pixels.dtype != np.float32:
        raise ModelError(f"{card.name}: pixels are {pixels.shape} {pixels.dtype}, it takes (y, x, {bands}) float32")
