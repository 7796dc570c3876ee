"""Training pixels and scene pixels are the same thing."""

import io
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from rasterio.io import MemoryFile

from pipeline.bands import EUROSAT_TIF, RGB
from pipeline.scenes.radiometry import Stretch


def test_eurosat_formula_gives_its_test_vector() -> None:
    dn = [0, 1, 5, 6, 10, 100, 945, 1041, 1116, 1375, 2749, 2750, 3000]
    codes = Stretch().codes(np.array(dn) * 1e-4)
    assert codes.tolist() == [1, 1, 1, 2, 2, 10, 88, 97, 104, 128, 255, 255, 255]


def test_codes_of_eurosats_tifs_are_its_jpegs(shared_data: Path) -> None:
    tifs, jpegs = (
        zipfile.ZipFile(shared_data / "eurosat" / name)
        for name in ("EuroSAT_MS_sample.zip", "EuroSAT_RGB_trainval.zip")
    )
    with tifs, jpegs:
        by_stem = {PurePosixPath(name).stem: name for name in jpegs.namelist()}
        names = [name for name in tifs.namelist() if name.endswith(".tif")]
        assert len(names) >= 60
        errors, swapped = [], []
        for name in names:
            with MemoryFile(tifs.read(name)) as memory, memory.open() as image:
                dn = image.read([EUROSAT_TIF.index(band) + 1 for band in RGB]).transpose(1, 2, 0)
            codes = Stretch().codes(dn * 1e-4).astype(int)
            picture = np.asarray(Image.open(io.BytesIO(jpegs.read(by_stem[PurePosixPath(name).stem])))).astype(int)
            errors.append(np.median(np.abs(codes - picture)))
            swapped.append(np.median(np.abs(codes[..., ::-1] - picture)))
    assert np.median(errors) < 2
    assert np.median(swapped) > 8
