"""From a fitted cover network to a calibrated model folder."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bands import RGB
from pipeline.datasets.masks import IGNORED, Truth
from pipeline.errors import OutputError
from pipeline.evaluation.cover import CoverScore, calibration_error, total
from pipeline.legend import Legend
from pipeline.models.calibration import fit_temperature
from pipeline.models.card import COVER, ModelCard
from pipeline.models.foreign import HALO
from pipeline.models.input import REFLECTANCE, ModelInput
from pipeline.models.networks import Network, cover_unet
from pipeline.models.pixels import load_pixels
from pipeline.scenes.radiometry import Harmonisation
from pipeline.training import export
from pipeline.training.cover import probabilities
from pipeline.training.cover_scores import FITTED, measured, window_by_window

# Bands at 10 m, in the order of the network's channels.
BANDS = ("B02", "B03", "B04", "B08")
ENGINES: Mapping[str, Mapping[str, Any]] = {
    "openvino-bf16": {"file": "openvino/model.xml"},
    "openvino-f32": {"file": "openvino/model.xml"},
    "keras": {"file": "model.keras"},
}
# Bfloat16 is used where it names at least this part of the pixels as float32 does.
_AGREE = 0.99


@dataclass(frozen=True, slots=True)
class CoverShipment:
    """What a cover model's folder is made from."""

    name: str
    """The model's name."""
    folder: Path
    """Where its files go."""
    legend: Legend
    """The covers that the network knows, in the order of its outputs."""
    held_out: Sequence[Truth]
    """Places that it did not learn from: they calibrate and measure it."""
    harmonisation: Mapping[str, Harmonisation] = field(default_factory=dict)
    """Lines by level to the level that was learnt from."""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """What it learnt from, for the card."""
    temperature: float | None = None
    """Where nothing is held out: the temperature of the run that chose the recipe."""


def surface_line(bands: Sequence[str] = BANDS) -> Harmonisation:
    """Surface reflectance to top of atmosphere for these bands; those without a measured line stay as they are."""
    from pipeline.scenes.radiometry import surface_to_top

    line = surface_to_top(RGB)
    known = {band: (line.scale[at], line.offset[at]) for at, band in enumerate(RGB)}
    pairs = [known.get(band, (1.0, 0.0)) for band in bands]
    return Harmonisation(tuple(scale for scale, _ in pairs), tuple(offset for _, offset in pairs))


def ship_cover(network: Network, order: CoverShipment) -> tuple[ModelCard, dict[str, CoverScore]]:
    """Calibrates, stores and measures a network (logits out); the scores are by place.

    Raises:
        OutputError: the folder cannot be written.
    """
    temperature = order.temperature or _temperature(network, order.held_out)
    bands = BANDS[: network.input_shape[-1]]
    taken = ModelInput(bands=bands, units=REFLECTANCE, harmonisation=order.harmonisation)
    card = ModelCard(
        order.name,
        order.legend,
        taken,
        COVER,
        temperature,
        architecture="cover-unet",
        engines=ENGINES,
        trained_on={**order.trained_on, "versions": dict(export.versions())},
        metrics={HALO: cover_unet.halo()},
    )
    model = export.with_temperature(network, temperature)
    try:
        (order.folder / "openvino").mkdir(parents=True, exist_ok=True)
        export.save_keras(model, order.folder / "model.keras")
        _save_twin(model, order.folder / "openvino" / "model.xml")
        card = export.write_card(order.folder, card)
        agreement = _agreement(order)
        if agreement is not None and agreement < _AGREE:
            slow = {name: told for name, told in ENGINES.items() if name != "openvino-bf16"}
            card = export.write_card(order.folder, replace(card, engines=slow))
        scores, curve = measured(load_pixels(str(order.folder)), order.held_out)
        found: dict[str, Any] = {HALO: cover_unet.halo(), "bfloat16_agrees": agreement}
        if scores:
            overall = total(scores.values())
            found |= {"held_out": overall.as_json() | {"places": sorted(scores)}, "ece": calibration_error(curve)}
            found["reliability"] = [[round(sure, 4), round(right, 4), count] for sure, right, count in curve]
        return export.write_card(order.folder, replace(card, metrics=found)), scores
    except OSError as error:
        raise OutputError(f"{order.folder}: cannot write the model ({error.strerror}); free some space") from error


def _temperature(network: Network, truths: Sequence[Truth]) -> float:
    logits, labels = [], []
    rng, count = np.random.default_rng(0), network.output_shape[-1]
    for truth in truths:
        likely = np.log(np.maximum(probabilities(network, truth.pixels[None])[0], 1e-9))
        known = np.flatnonzero(truth.codes.ravel() < count)
        drawn = rng.choice(known, min(len(known), FITTED // len(truths)), replace=False)
        logits.append(likely.reshape(-1, count)[drawn])
        labels.append(truth.codes.ravel()[drawn].astype(np.int64))
    return fit_temperature(np.concatenate(logits), np.concatenate(labels)) if logits else 1.0


def _agreement(order: CoverShipment) -> float | None:
    """Part of the held-out pixels that bfloat16 names as float32 does; None without such pixels or such a processor."""
    slow = load_pixels(str(order.folder), "openvino-f32")
    fast = load_pixels(str(order.folder), "openvino-bf16")
    same, count = 0, 0
    for truth in list(order.held_out)[:4]:
        known = truth.codes != IGNORED
        answers = [window_by_window(network.predict, truth.pixels).argmax(axis=-1) for network in (slow, fast)]
        same += int((answers[0] == answers[1])[known].sum())
        count += int(known.sum())
    return round(same / count, 5) if count else None


def _save_twin(model: Network, path: Path) -> None:
    """The OpenVINO twin: reflectance in, `probabilities` out."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        graph = openvino.convert_model(folder)
    graph.outputs[0].get_tensor().set_names({"probabilities"})
    openvino.save_model(graph, path, compress_to_fp16=True)
