"""rasterio_windows.py SCENES OUT MODEL: one window a tile, `model.predict` for each row of tiles, a GeoTIFF."""

import sys
from pathlib import Path

import keras
import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

SIZE = 64
# From surface reflectance to the top of the atmosphere, which the network was trained on.
SCALE, ADDED = np.array([[0.885, 0.814, 0.783], [260.0, 426.0, 698.0]]).reshape(2, 1, 1, 3)


def as_codes(dn: np.ndarray) -> np.ndarray:
    light = (dn.astype(np.float32) - 1000).clip(min=0) * SCALE + ADDED
    return np.floor(1.5 + 254 * light.clip(0, 2750) / 2750).astype(np.uint8)


def main() -> None:
    scenes, out, model = map(Path, sys.argv[1:])
    network = keras.models.load_model(model, compile=False)
    bands = [rasterio.open(next(scenes.rglob(f"*_{band}_10m.*"))) for band in ("B04", "B03", "B02")]
    rows, cols = bands[0].height // SIZE, bands[0].width // SIZE
    classes = np.empty((rows, cols), np.uint8)
    for row in range(rows):
        tiles = []
        for col in range(cols):
            window = Window(col * SIZE, row * SIZE, SIZE, SIZE)
            tiles.append(as_codes(np.stack([band.read(1, window=window) for band in bands], axis=-1)))
        classes[row] = network.predict(np.stack(tiles), verbose=0).argmax(axis=1)
    profile = {"driver": "GTiff", "width": cols, "height": rows, "count": 1, "dtype": "uint8", "crs": bands[0].crs}
    with rasterio.open(
        out / "classes.tif", "w", transform=bands[0].transform * Affine.scale(SIZE), **profile
    ) as target:
        target.write(classes, 1)
    print(classes.size, "tiles")


if __name__ == "__main__":
    main()
