"""torchgeo_grid.py SCENES OUT WEIGHTS: a grid of 64 px over Sentinel-2 files, ResNet50 in bfloat16, a table."""

import csv
import os
import sys
from pathlib import Path

import torch
from network import SameNetwork
from torch.utils.data import DataLoader
from torchgeo.datasets import Sentinel2, stack_samples
from torchgeo.samplers import GridGeoSampler

# From surface reflectance to the top of the atmosphere, which the network was trained on.
SCALE, ADDED = (torch.tensor(line).view(3, 1, 1) for line in ([0.885, 0.814, 0.783], [260.0, 426.0, 698.0]))


def as_codes(sample: dict) -> dict:
    light = (sample["image"] - 1000).clamp(min=0) * SCALE + ADDED
    sample["image"] = torch.floor(1.5 + 254 * light.clamp(0, 2750) / 2750)
    return sample


def main() -> None:
    scenes, out, weights = sys.argv[1:]
    dataset = Sentinel2(scenes, bands=("B04", "B03", "B02"), transforms=as_codes)
    sampler = GridGeoSampler(dataset, size=64)
    loader = DataLoader(
        dataset, batch_size=64, sampler=sampler, num_workers=os.cpu_count() or 1, collate_fn=stack_samples
    )
    network = SameNetwork(weights).to(memory_format=torch.channels_last)
    with (Path(out) / "classes.csv").open("w", newline="") as target:
        rows = csv.writer(target)
        rows.writerow(["left", "bottom", "class", "probability"])
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for batch in loader:
                images = batch["image"].to(memory_format=torch.channels_last)
                sure, classes = network(images).softmax(1).max(1)
                places = [(x.start, y.start) for x, y, _ in batch["bounds"]]
                rows.writerows((*place, int(k), float(p)) for place, k, p in zip(places, classes, sure, strict=True))
    print(len(sampler), "tiles")


if __name__ == "__main__":
    main()
