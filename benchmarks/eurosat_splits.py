"""How far each way of splitting EuroSAT flatters: a linear head on frozen ImageNet features under all of them.

    python benchmarks/eurosat_splits.py EuroSAT_RGB.zip train.txt val.txt WEIGHTS.npz FEATURES.npz

The features (third and fourth stage of ResNet50 with its ImageNet WEIGHTS.npz, pooled) are computed once and kept in
FEATURES.npz. Folds by look are those of `train --split look:5/J` (one cluster of a class a fold), milder ones (three)
and ones by the features.
"""

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

from pipeline.datasets.folds import description, look_folds
from pipeline.datasets.labelled import LabelledPatches, read_labelled, read_names
from pipeline.models import networks
from pipeline.models.calibration import fit_temperature
from pipeline.models.networks import Plan

SEED, FOLDS, DIRECTIONS, STAGES = 0, 5, 256, ("conv3_block4_out", "conv4_block6_out")


class Head(NamedTuple):
    accuracy: float
    temperature: float


def features(data: LabelledPatches, weights: Path, kept: Path) -> np.ndarray:
    """Pooled features (n, 1536) of two stages."""
    if kept.is_file():
        return np.load(kept)["features"].astype(np.float32)
    import keras
    import openvino

    network = networks.find("resnet50")
    model = network.build(Plan(len(data.classes), 64))
    network.load(model, str(weights))
    pooled = [keras.layers.GlobalAveragePooling2D()(model.get_layer(stage).output) for stage in STAGES]
    with tempfile.TemporaryDirectory() as folder:
        keras.Model(model.input, keras.layers.Concatenate()(pooled)).export(folder, verbose=False)
        graph = openvino.Core().compile_model(openvino.convert_model(folder), "CPU")
    blocks = (data.patches[i : i + 64].astype(np.float32) for i in range(0, len(data), 64))
    found = np.concatenate([graph(block)[0].copy() for block in blocks])
    np.savez(kept, features=found.astype(np.float16))
    return found


def head(described: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> Head:
    fitted = LogisticRegression(C=0.01, max_iter=200).fit(described[train], labels[train])
    logits = fitted.decision_function(described[test])
    return Head((logits.argmax(axis=1) == labels[test]).mean(), fit_temperature(logits, labels[test]))


def folded(name: str, described: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> None:
    found = [head(described, labels, folds != number, folds == number) for number in range(FOLDS)]
    row(name, found, np.bincount(folds))


def row(name: str, found: list[Head], sizes: np.ndarray) -> None:
    accuracy = [100 * one.accuracy for one in found]
    mean = np.average(accuracy, weights=sizes)
    temperature = np.mean([one.temperature for one in found])
    print(f"| {name} | {mean:.1f} | {min(accuracy):.1f} to {max(accuracy):.1f} | {temperature:.2f} |", flush=True)


def main(data: Path, lists: list[Path], weights: Path, kept: Path) -> None:
    whole = read_labelled(data)
    labels, listed = whole.labels, set(read_names(lists[0]))
    west = np.array(
        [name in listed or f"{whole.classes[k]}/{name}" in listed for k, name in zip(labels, whole.names, strict=True)]
    )
    plain = features(whole, weights, kept)
    plain = (plain - plain.mean(axis=0)) / (plain.std(axis=0) + 1e-3)
    _, directions = np.linalg.eigh(np.cov(plain.T))
    described = (plain @ directions[:, ::-1][:, :DIRECTIONS]).astype(np.float32)
    print("| split | accuracy, % | folds | temperature |\n|---|---|---|---|")
    row("west to middle", [head(described, labels, west, ~west)], np.ones(1))
    row("middle to west", [head(described, labels, ~west, west)], np.ones(1))
    here, told = described[west], labels[west]
    drawn = np.random.default_rng(SEED).permutation(np.arange(len(told)) % FOLDS)
    folded("random folds of the west", here, told, drawn)
    looks = {"radiometry and texture": description(whole.patches[west]), "features": here[:, :48]}
    for name, seen in looks.items():
        for clusters in (1, 3):
            folds = look_folds(seen, told, FOLDS, SEED, clusters)
            folded(f"by look, {name}, {clusters} a fold", here, told, folds)


if __name__ == "__main__":
    paths = [Path(text) for text in sys.argv[1:6]]
    main(paths[0], paths[1:3], paths[3], paths[4])
