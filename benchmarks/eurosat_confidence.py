"""How sure the shipped EuroSAT model may be: fits its confidence, measures it on pictures that it never saw, stores it.

    python benchmarks/eurosat_confidence.py EuroSAT_RGB.zip train.txt val.txt [--store]

The shipped weights saw the training part and all but 540 pictures of the validation part of the spatial split. The
confidence is fitted on those 4,860 and measured on the 540, as they are, strangely lit, and in mosaics. `--store`
writes it and the figures into saved_models/eurosat-resnet50.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.models import store
from pipeline.models.abstention import Abstention
from pipeline.models.confidence import FILE
from pipeline.models.stored import StoredClassifier
from pipeline.training import export, sureness
from pipeline.training.run import read_split

NAME, SEED, HELD = "eurosat-resnet50", 20, 540


def main(data: Path, lists: tuple[Path, Path], keep: bool) -> None:
    folder = store.locate(NAME)
    card = store.card(NAME)
    network = StoredClassifier(replace(card, confidence={}), folder, "openvino-bf16")
    abstention = Abstention.read(folder / card.unfamiliar["file"])
    _, validation = read_split(data, lists, SEED)
    order = np.random.default_rng(SEED).permutation(len(validation))
    held, known = (validation.take(np.sort(part)) for part in (order[:HELD], order[HELD:]))
    fitted = sureness.fit_confidence(sureness.samples(network.outputs, abstention, known, SEED))
    test = sureness.samples(network.outputs, abstention, held, SEED + 1)
    figures = {"network alone": sureness.measured(test, None), "with confidence": sureness.measured(test, fitted)}
    print("| | pictures | right | said | ECE | of those called .85 to .95 | said | right |")
    print("|---|---|---|---|---|---|---|---|")
    for way, kinds in figures.items():
        for kind, found in kinds.items():
            share = "accuracy", "confidence", "ece", "near_90_said", "near_90_right"
            right, said, ece, near_said, near_right = (f"{found[name]:.3f}" for name in share)
            print(
                f"| {way}, {kind} | {found['n']} | {right} | {said} | {ece} | {found['near_90']} | {near_said} | "
                f"{near_right} |"
            )
    if keep:
        fitted.write(folder / FILE)
        metrics = {**card.metrics, "confidence": {**figures, "fitted_on": len(known)}}
        export.write_card(folder, replace(card, confidence={"score": "network", "file": FILE}, metrics=metrics))


if __name__ == "__main__":
    paths = [Path(text) for text in sys.argv[1:4]]
    main(paths[0], (paths[1], paths[2]), "--store" in sys.argv)
