"""From a trained network to a calibrated, gated model folder."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.labelled import LabelledPatches
from pipeline.errors import ModelError
from pipeline.legend import Legend
from pipeline.models import confidence
from pipeline.models.abstention import FILE, Abstention
from pipeline.models.calibration import calibration_error, fit_temperature, log_loss, softmax
from pipeline.models.card import ModelCard
from pipeline.models.engines import Outputs, available
from pipeline.models.gate import Gate, compare
from pipeline.models.input import ModelInput
from pipeline.models.networks import Network
from pipeline.models.stored import StoredClassifier, lead
from pipeline.training import export, quantize, sureness
from pipeline.training.augment import side_by_side, varied

log = logging.getLogger(__name__)

# What needs no gate; faster twins come before them.
EXACT = {"openvino-f32": {"file": "openvino/model.xml"}, "keras": {"file": "model.keras"}}


@dataclass(frozen=True, slots=True)
class Shipment:
    """What a model folder is made from."""

    name: str
    """The model's name."""
    folder: Path
    """Where its files go."""
    legend: Legend
    """Its classes."""
    taken: ModelInput
    """What the network takes."""
    training: LabelledPatches
    """What it was trained on: sets what is familiar, and the ranges and margin of the fast twins."""
    fitting: LabelledPatches
    """What calibrates temperature and threshold, and measures the gate."""
    elsewhere: npt.NDArray[Any]
    """Patches of other scenes for the gate."""
    architecture: str = "resnet50"
    """The network's name."""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """Data, split, options."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What was measured before."""
    refuse: float = 0.01
    """Share of `fitting` to be called unfamiliar."""
    temperature: float | None = None
    """Where `fitting` was trained on: the temperature of an earlier run that had not seen it."""
    exceedance: float | None = None
    """Likewise: the share of training patches beyond the earlier run's threshold."""
    seed: int = 20
    """Of everything drawn."""


def ship(network: Network, order: Shipment, progress: Callable[[str], None] = log.info) -> ModelCard:
    """Writes the model folder of a network (logits out) and returns its card.

    Raises:
        ModelError: the network's classes are not the legend's.
        OutputError: the folder cannot be written.
    """
    classes = len(order.legend.classes)
    if network.output_shape != (None, classes) or order.fitting.classes != order.legend.labels:
        answers = network.output_shape
        raise ModelError(
            f"{order.name}: the network answers {answers}, the legend {order.legend.name} has {classes} classes; "
            f"train with its classes"
        )
    card = ModelCard(
        order.name,
        order.legend,
        order.taken,
        architecture=order.architecture,
        engines=EXACT,
        trained_on={
            **order.trained_on,
            "versions": dict(export.versions()),
            "training_sha256": export.data_digest(order.training.patches, order.training.labels),
        },
    )
    card = export.save(order.folder, network, card)
    raw, features = StoredClassifier(card, order.folder, "openvino-f32").outputs(order.fitting.patches)
    logits = np.log(np.maximum(raw, 1e-30))
    temperature = order.temperature or fit_temperature(logits, order.fitting.labels)
    losses = log_loss(logits, order.fitting.labels), log_loss(logits / temperature, order.fitting.labels)
    progress(f"temperature {temperature:.3f}, log loss {losses[0]:.4f} -> {losses[1]:.4f}")
    labels = order.fitting.labels
    abstention, known = fit_abstention(StoredClassifier(card, order.folder, "openvino-f32"), order.training, order.seed)
    threshold = float(
        np.quantile(abstention.score(features), 1 - order.refuse)
        if order.exceedance is None
        else np.quantile(known, 1 - order.exceedance)
    )
    card = replace(
        card, temperature=temperature, unfamiliar={"score": "mahalanobis", "file": FILE, "threshold": threshold}
    )
    card = export.save(order.folder, network, card, abstention)
    card, sure = with_confidence(card, order, abstention, progress)
    card = replace(card, engines={**fast_twins(card, order, progress), **EXACT})
    engines, gates, reference = pass_gate(card, order.folder, order.fitting, order.elsewhere, progress)
    if "openvino-int8" not in engines:
        for suffix in (".xml", ".bin"):
            (order.folder / quantize.FILE).with_suffix(suffix).unlink(missing_ok=True)
    calibration = {
        "ece_raw": calibration_error(raw, labels),
        "ece": calibration_error(reference, labels),
        "temperature": temperature,
        "ece_cross_fitted": calibration_error(cross_fitted(logits, labels, order.seed), labels),
    }
    calibration["exceedance"] = float((known > threshold).mean())
    metrics = {**order.metrics, "calibration": calibration, "gate": gates, **sure}
    card = replace(card, engines=engines, metrics=metrics)
    return export.write_card(order.folder, card)


def with_confidence(
    card: ModelCard, order: Shipment, abstention: Abstention, progress: Callable[[str], None] = log.info
) -> tuple[ModelCard, dict[str, Any]]:
    """The card with how sure to be of mixed and strange patches, and its figures, each cross-fitted.

    Without enough pictures to fit it on, the card as it is.
    """
    if len(order.fitting) < sureness.LEAST:
        progress(
            f"confidence on mixed ground is fitted on {sureness.LEAST} pictures or more, not on {len(order.fitting)}"
        )
        return card, {}
    ask = StoredClassifier(card, order.folder, "openvino-f32").outputs
    listed = sureness.samples(ask, abstention, order.fitting, order.seed)
    sureness.fit_confidence(listed).write(order.folder / confidence.FILE)
    card = export.write_card(order.folder, replace(card, confidence={"score": "network", "file": confidence.FILE}))
    figures = {
        "network alone": sureness.measured(listed, None),
        "with confidence": sureness.cross_fitted(listed, order.seed),
    }
    for way, kinds in figures.items():
        told = ", ".join(f"{kind} {found['ece']:.3f}" for kind, found in kinds.items())
        progress(f"calibration error, {way}: {told}")
    return card, {"confidence": {**figures, "fitted_on": len(order.fitting)}}


def cross_fitted(
    logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], seed: int, folds: int = 5
) -> npt.NDArray[np.float64]:
    """Probabilities (n, classes) of patches, each scaled by a temperature that was fitted on the other folds.

    Measuring calibration where the one temperature was fitted would flatter it.
    """
    fold = np.random.default_rng(seed).permutation(np.arange(len(labels)) % folds)
    scaled = np.empty(logits.shape)
    for part in range(folds):
        there = fold == part
        if there.any():
            rest = ~there if (~there).any() else there
            scaled[there] = softmax(logits[there] / fit_temperature(logits[rest], labels[rest]))
    return scaled


def fit_abstention(
    network: StoredClassifier, training: LabelledPatches, seed: int
) -> tuple[Abstention, npt.NDArray[np.float32]]:
    """What counts as familiar, and the distances of training patches from it.

    Augmented and mixed patches belong to the familiar ones: on a grid most tiles are mixed, and the chosen chips of a
    data set alone made a quarter of ordinary scenes unfamiliar.
    """
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(training))[:8000]
    patches, labels = training.patches[some], training.labels[some]
    half = len(some) // 2
    single = varied(patches[:half], rng, training.bands)
    mixed, mixed_labels = side_by_side(patches[half:], labels[half:], rng)
    plain = network.outputs(patches)[1]
    features = np.concatenate([plain, network.outputs(single)[1], network.outputs(mixed)[1]])
    fitted = Abstention.fit(features, np.concatenate([labels, labels[:half], mixed_labels]))
    return fitted, fitted.score(plain)


def fast_twins(card: ModelCard, order: Shipment, progress: Callable[[str], None] = log.info) -> dict[str, Any]:
    """Twins of low precision that this machine can measure, fastest first, with the margin of their second opinion."""
    twins: dict[str, Any] = {}
    if not quantize.available():
        progress("no int8 twin is made: pip install nncf to have one")
    elif available("openvino-int8"):
        quantize.quantize(
            order.folder / EXACT["openvino-f32"]["file"], order.folder / quantize.FILE, order.training, order.seed
        )
        twins["openvino-int8"] = {"file": quantize.FILE}
    if available("openvino-bf16"):
        twins["openvino-bf16"] = dict(EXACT["openvino-f32"])
    count = max(quantize.MARGIN * 64**2 // order.taken.size**2, quantize.MARGIN // 12)  # large patches take long
    patches = quantize.ordinary_patches(order.training, count, np.random.default_rng([order.seed, 1]))
    exact = StoredClassifier(card, order.folder, "openvino-f32").outputs(patches)
    for engine, told in twins.items():
        plain = replace(card, engines={engine: told})  # no margin yet, so no second opinion
        found = StoredClassifier(plain, order.folder, engine).outputs(patches)
        told |= second_opinion(found, exact, Abstention.read(order.folder / FILE))
        progress(
            f"{engine}: asked again below a lead of {told['margin']:.3f}, "
            f"{(lead(found.probabilities) < told['margin']).mean():.1%} of training patches, and within "
            f"{told['reach']:.1%} of the threshold of the unfamiliar"
        )
    return twins


def second_opinion(found: Outputs, exact: Outputs, abstention: Abstention) -> dict[str, float]:
    """When a fast twin's answers are asked again: what its entry in the card tells besides its file."""
    distances = abstention.score(found.features), abstention.score(exact.features)
    return {
        "margin": quantize.fit_margin(found.probabilities, exact.probabilities),
        "reach": quantize.fit_reach(*distances),
    }


def pass_gate(
    card: ModelCard,
    folder: Path,
    fitting: LabelledPatches,
    elsewhere: npt.NDArray[Any],
    progress: Callable[[str], None] = log.info,
) -> tuple[dict[str, Any], dict[str, Any], npt.NDArray[np.float32]]:
    """The engines that answer as the Keras model does, the figures of each, and the Keras model's own answers."""
    keras_model = StoredClassifier(card, folder, "keras")
    reference, reference_elsewhere = keras_model.judge(fitting.patches), keras_model.judge(elsewhere)
    engines: dict[str, Any] = {}
    gates: dict[str, Any] = {}
    for engine, told in card.engines.items():
        if engine != keras_model.engine:
            twin = StoredClassifier(card, folder, engine)
            gate: Gate = compare(
                reference, twin.judge(fitting.patches), fitting.labels, reference_elsewhere, twin.judge(elsewhere)
            )
            gates[engine] = gate.as_json()
            progress(f"{engine}: {gate}, {'passed' if gate.passed else 'failed'}")
            if not gate.passed:
                continue
        engines[engine] = dict(told)
    return engines, gates, reference.probabilities
