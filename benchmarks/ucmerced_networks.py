"""Networks of the family on UC Merced's published pictures, shortly trained: accuracy on one fold that stays away.

    python benchmarks/ucmerced_networks.py UCMerced_train.zip resnet50 --weights FILE --size 64 --epochs 2 --out build/n

Pictures that are the same or nearly lie in one fold; the fold is the same for every network. Epochs and size are given
by hand and printed beside the accuracy: short trainings say what minutes reach, not what a network can do.
"""

import argparse
import json
import time
from pathlib import Path

from sklearn.model_selection import StratifiedGroupKFold

from pipeline.datasets.duplicates import fingerprint, groups, pairs
from pipeline.datasets.labelled import Asked, read_labelled
from pipeline.training.augment import Augmentation
from pipeline.training.fit import predict_logits, train
from pipeline.training.options import TrainOptions

SEED, FOLDS = 20, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("network")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frozen-epochs", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    whole = read_labelled(given.data, Asked(size=256))
    group = groups(len(whole), pairs([fingerprint(picture) for picture in whole.patches]))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    train_at, test_at = next(folds.split(whole.labels, whole.labels, group))
    data = read_labelled(given.data, Asked(size=given.size))
    options = TrainOptions(
        given.out / given.network,
        architecture=given.network,
        weights=given.weights,
        frozen_epochs=given.frozen_epochs,
        epochs=given.epochs,
        calm_epochs=0,
        rate=given.rate,
        batch=32,
        ema=0.0,
        augmentation=Augmentation(surface=0.0).without_mixing(),
        mixed_precision=False,
        tensorboard=False,
        seed=SEED,
    )
    started = time.monotonic()
    model = train(options, data.take(train_at), progress=print)
    test = data.take(test_at)
    accuracy = float((predict_logits(model, test.patches, 64).argmax(axis=1) == test.labels).mean())
    told = {"network": given.network, "weights": Path(given.weights).name, "size": given.size, "epochs": given.epochs}
    told |= {"frozen_epochs": given.frozen_epochs, "accuracy": accuracy, "train": len(train_at), "test": len(test_at)}
    print(json.dumps(told | {"minutes": round((time.monotonic() - started) / 60, 1)}), flush=True)


if __name__ == "__main__":
    main()
