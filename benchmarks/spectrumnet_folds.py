"""SpectrumNet on the ten bands of a small 13-band data set, in five folds: mean accuracy and its spread.

python benchmarks/spectrumnet_folds.py EuroSAT_MS_sample.zip --out build/spectrumnet
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold

from pipeline.bands import TEN_BANDS
from pipeline.datasets.labelled import Asked, read_labelled
from pipeline.evaluation.metrics import figures
from pipeline.models.calibration import softmax
from pipeline.training import recipes
from pipeline.training.fit import predict_logits, train
from pipeline.training.options import TrainOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    told = {name: value for name, value in recipes.find("spectrumnet").options.items() if name not in ("arch", "bands")}
    data = read_labelled(given.data, Asked(bands=TEN_BANDS))
    reached = []
    for fold, (train_at, test_at) in enumerate(
        StratifiedKFold(5, shuffle=True, random_state=20).split(data.labels, data.labels)
    ):
        options = TrainOptions(given.out / f"fold{fold}", architecture="spectrumnet", tensorboard=False, **told)
        model = train(options, data.take(train_at), progress=lambda _: None)
        test = data.take(test_at)
        found = figures(softmax(predict_logits(model, test.patches)), test.labels, test.classes)
        reached.append(found.accuracy)
        print(fold, f"{found.accuracy:.3f}", found.n, flush=True)
    mean, spread = float(np.mean(reached)), float(np.std(reached, ddof=1))
    print(json.dumps({"accuracy": mean, "standard_deviation": spread, "folds": reached, "n": len(data)}))


if __name__ == "__main__":
    main()
