"""rastervision_chips.py SCENES OUT WEIGHTS: sliding windows of 64 px, the learner's predictor, a GeoJSON."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from network import SameNetwork
from rastervision.core.data import (
    ChipClassificationGeoJSONStore,
    ChipClassificationLabels,
    ClassConfig,
    MultiRasterSource,
    RasterioSource,
    RasterTransformer,
    Scene,
)
from rastervision.pytorch_learner import (
    ClassificationGeoDataConfig,
    ClassificationLearner,
    ClassificationLearnerConfig,
    ClassificationSlidingWindowGeoDataset,
    SolverConfig,
)

CLASSES = "AnnualCrop Forest HerbaceousVegetation Highway Industrial Pasture PermanentCrop Residential River SeaLake"
# From surface reflectance to the top of the atmosphere, which the network was trained on.
SCALE, ADDED = np.array([[0.885, 0.814, 0.783], [260.0, 426.0, 698.0]])


class Codes(RasterTransformer):
    def transform(self, chip: np.ndarray) -> np.ndarray:
        light = (chip.astype(np.float32) - 1000).clip(min=0) * SCALE + ADDED
        return np.floor(1.5 + 254 * light.clip(0, 2750) / 2750).astype(np.float32)


def main() -> None:
    scenes, out, weights = sys.argv[1:]
    bands = [RasterioSource(str(next(Path(scenes).rglob(f"*_{band}_10m.*")))) for band in ("B04", "B03", "B02")]
    source = MultiRasterSource(bands, primary_source_idx=0, raster_transformers=[Codes()])
    windows = ClassificationSlidingWindowGeoDataset(Scene("scene", source), size=64, stride=64, normalize=False)
    classes = ClassConfig(names=CLASSES.split())
    data = ClassificationGeoDataConfig(class_config=classes, num_workers=os.cpu_count() or 1)
    learner = ClassificationLearner(
        ClassificationLearnerConfig(data=data, solver=SolverConfig(batch_sz=64)),
        model=SameNetwork(weights),
        training=False,
        output_dir=out,
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = learner.predict_dataset(windows, raw_out=True, numpy_out=True, progress_bar=False)
        labels = ChipClassificationLabels.from_predictions(windows.windows, found)
    ChipClassificationGeoJSONStore(f"{out}/classes.json", classes, source.crs_transformer).save(labels)
    print(len(windows), "tiles")


if __name__ == "__main__":
    main()
