"""keras_chips.py SCENES OUT MODEL: every 64 px as a PNG, then Keras over the folder of pictures, a table."""

import csv
import sys
from pathlib import Path

import keras
import numpy as np
import rasterio
from PIL import Image
from rasterio.windows import Window

SIZE = 64
# From surface reflectance to the top of the atmosphere, which the network was trained on.
SCALE, ADDED = np.array([[0.885, 0.814, 0.783], [260.0, 426.0, 698.0]]).reshape(2, 1, 1, 3)


def as_codes(dn: np.ndarray) -> np.ndarray:
    light = (dn.astype(np.float32) - 1000).clip(min=0) * SCALE + ADDED
    return np.floor(1.5 + 254 * light.clip(0, 2750) / 2750).astype(np.uint8)


def export(scenes: Path, chips: Path) -> None:
    bands = [rasterio.open(next(scenes.rglob(f"*_{band}_10m.*"))) for band in ("B04", "B03", "B02")]
    for row in range(bands[0].height // SIZE):
        strip = as_codes(
            np.stack([band.read(1, window=Window(0, row * SIZE, band.width, SIZE)) for band in bands], axis=-1)
        )
        for col in range(bands[0].width // SIZE):
            Image.fromarray(strip[:, col * SIZE : (col + 1) * SIZE]).save(chips / f"{row:03}_{col:03}.png")


def main() -> None:
    scenes, out, model = map(Path, sys.argv[1:])
    chips = out / "chips"
    chips.mkdir()
    export(scenes, chips)
    pictures = keras.utils.image_dataset_from_directory(
        chips, labels=None, shuffle=False, image_size=(SIZE, SIZE), batch_size=64
    )
    answers = keras.models.load_model(model, compile=False).predict(pictures, verbose=0)
    with (out / "classes.csv").open("w", newline="") as target:
        rows = zip(pictures.file_paths, answers, strict=True)
        csv.writer(target).writerows((Path(path).name, p.argmax(), p.max()) for path, p in rows)
    print(len(answers), "tiles")


if __name__ == "__main__":
    main()
