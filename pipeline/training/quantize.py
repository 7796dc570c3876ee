"""The int8 twin: NNCF's post-training quantization, and the margin below which float32 is asked again."""

import importlib.util
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.labelled import LabelledPatches
from pipeline.models.stored import lead
from pipeline.training.augment import side_by_side, varied

Floats = npt.NDArray[np.float32]

FILE = "openvino/model-int8.xml"
BATCH = 32
# Patches that set the ranges of the activations, and patches that set the margin.
CALIBRATION, MARGIN = 1024, 6000
# Share of training patches whose class may still differ from float32's after the second opinion. Patches of unseen
# scenes turn five to ten times as often (measured), and the gate allows those 0.5 %.
RESIDUE = 0.0002


def available() -> bool:
    """Whether NNCF is installed; only the one who trains needs it."""
    return importlib.util.find_spec("nncf") is not None


def quantize(source: Path, target: Path, training: LabelledPatches, seed: int) -> None:
    """Writes the int8 twin of a stored float twin, for processors whose int8 sums do not overflow (VNNI)."""
    import nncf
    import openvino

    patches = ordinary_patches(training, CALIBRATION, np.random.default_rng(seed))
    size = patches.shape[1:]
    graph = openvino.Core().read_model(source)
    graph.reshape([BATCH, *size])
    batches = [np.ascontiguousarray(patches[start : start + BATCH]) for start in range(0, CALIBRATION, BATCH)]
    nncf.set_log_level(logging.ERROR)
    exact_sums = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.DISABLE)
    # The first convolution makes more than half of the error of all, with 3 % of ResNet50's arithmetic.
    first = [op.get_friendly_name() for op in graph.get_ordered_ops() if op.get_type_name() == "Convolution"][:1]
    small = nncf.quantize(
        graph,
        nncf.Dataset(batches),
        subset_size=len(batches),
        ignored_scope=nncf.IgnoredScope(names=first),
        advanced_parameters=exact_sums,
    )
    small.reshape([-1, *size])
    openvino.save_model(small, target)


def fit_margin(found: Floats, exact: Floats) -> float:
    """The smallest lead of the best class from which at most `RESIDUE` of patches have another class than in float32.

    Both are probabilities (n, classes) of the same patches.
    """
    turned = np.sort(lead(found)[found.argmax(axis=1) != exact.argmax(axis=1)])
    spared = int(RESIDUE * len(found))
    return float(np.nextafter(turned[-1 - spared], np.float32(1))) if len(turned) > spared else 0.0


def fit_reach(found: Floats, exact: Floats) -> float:
    """How near the threshold of the unfamiliar a distance must lie to be measured again, as a share of the threshold.

    Nineteen of twenty patches have a distance within this share of float32's; both (n,) are of the same patches.
    """
    return float(np.quantile(np.abs(found / exact - 1), 0.95))


def ordinary_patches(training: LabelledPatches, count: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Patches (count, y, x, band) as scenes have them: as they are, varied, and mixed ones varied."""
    chosen = training.patches[rng.permutation(np.resize(rng.permutation(len(training)), count))]
    plain, single, mixed = np.array_split(chosen, (count // 6, count // 2))
    mixed, _ = side_by_side(mixed, np.zeros(len(mixed), np.int64), rng)
    return np.concatenate([plain, *(varied(part, rng, training.bands) for part in (single, mixed))])
