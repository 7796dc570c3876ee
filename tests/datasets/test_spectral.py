"""Bands by name, by EuroSAT's order, and never by chance."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.io import MemoryFile

from pipeline.bands import EUROSAT_TIF, NAMES, TEN_BANDS
from pipeline.datasets import spectral
from pipeline.datasets.labelled import Asked, read_labelled
from pipeline.errors import ModelError

# Every band's own number; B10 is the darkest, as on the ground.
NUMBER = {band: 12 if band == "B10" else 1000 + 100 * place for place, band in enumerate(NAMES)}


def _tif(order: tuple[str, ...], named: bool, size: int = 64) -> bytes:
    with MemoryFile() as memory:
        shape = {"width": size, "height": size, "count": len(order), "dtype": "uint16"}
        place = Affine(10, 0, 500_000, 0, -10, 5_300_000)
        with memory.open(driver="GTiff", **shape, crs="EPSG:32632", transform=place) as target:
            target.write(np.stack([np.full((size, size), NUMBER[band], np.uint16) for band in order]))
            if named:
                target.descriptions = order
        return memory.read()


def _npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _seen(data: bytes, name: str = "a.tif", bands: tuple[str, ...] = TEN_BANDS) -> list[int]:
    found = spectral.reflectance(spectral.planes(data, name), bands, name)
    assert found.dtype == np.float32
    assert np.ptp(found, axis=(0, 1)).max() == 0
    return np.round(found[0, 0] * 10_000).astype(int).tolist()


EXPECTED = [NUMBER[band] for band in TEN_BANDS]


def test_bands_come_in_the_order_asked_for_whatever_the_files() -> None:
    assert _seen(_tif(EUROSAT_TIF, named=False)) == EXPECTED
    assert _seen(_tif(NAMES, named=True)) == EXPECTED
    assert _seen(_tif(NAMES[::-1], named=True)) == EXPECTED
    planes = np.stack([np.full((6, 5), NUMBER[band], np.uint16) for band in EUROSAT_TIF])
    assert _seen(_npz(x=planes), "a.npz") == EXPECTED
    assert _seen(_npz(x=planes.transpose(1, 2, 0)), "a.npz") == EXPECTED
    assert _seen(_npz(**dict(zip(EUROSAT_TIF, planes, strict=True))), "a.npz") == EXPECTED


def test_an_order_that_physics_belies_is_refused() -> None:
    with pytest.raises(ModelError, match=r"not in EuroSAT's order .*number 11 is"):
        _seen(_tif(NAMES, named=False))


def test_missing_and_nameless_bands_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"a.tif: lacks B8A \(it has B02, B03"):
        _seen(_tif(("B02", "B03"), named=True), bands=("B02", "B8A"))
    with pytest.raises(ModelError, match="holds 4 bands without names"):
        _seen(_tif(("B02", "B03", "B04", "B08"), named=False))
    with pytest.raises(ModelError, match="no readable GeoTIFF"):
        _seen(b"II*\0 broken")
    with pytest.raises(ModelError, match="no readable npz"):
        _seen(b"broken", "a.npz")


def test_zip_and_folder_of_thirteen_bands_give_ten_in_order(tmp_path: Path) -> None:
    for label in ("Crop", "Lake"):
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "a.tif").write_bytes(_tif(EUROSAT_TIF, named=False))
    (tmp_path / "data" / "Lake" / "b.tif").write_bytes(_tif(EUROSAT_TIF, named=False, size=40))
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in (tmp_path / "data").rglob("*.tif"):
            archive.write(path, f"Top/{path.relative_to(tmp_path / 'data')}")
    for source in (tmp_path / "data", tmp_path / "data.zip"):
        found = read_labelled(source, Asked(bands=TEN_BANDS))
        assert found.bands == TEN_BANDS
        assert found.patches.shape == (3, 64, 64, 10)
        np.testing.assert_allclose(found.patches * 10_000, np.broadcast_to(EXPECTED, found.patches.shape), atol=0.2)


def test_eurosats_files_are_in_the_order_that_is_taken(shared_data: Path) -> None:
    with zipfile.ZipFile(shared_data / "eurosat" / "EuroSAT_MS_sample.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".tif")][::20]
        for name in names:
            found = spectral.planes(archive.read(name), name)
            spectral.check_order(found, name)
            assert found.numbers[found.bands.index("B10")].mean() < 60
