"""A product is one more file: it sees every block once, adds columns and a file, and is listed."""

import json
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from pipeline.batch import products
from pipeline.batch.main_job import run
from pipeline.batch.products.protocol import Product, SceneFile
from pipeline.results.layout import SceneStatus
from pipeline.results.table import read_metadata
from tests.builders import scene_on_disk
from tests.runs import LEFT, TOP


class Brightness(Product):
    """The mean stored number of one band in every tile, as a column and as a file of its own."""

    bands = ("B03",)
    identity = "one"

    def __init__(self):
        self.calls = []

    def begin(self, job):
        self.calls.append("begin")
        self._job, self._means, self._ids, self.rows = job, [], [], []

    def add(self, seen):
        self.rows.append((seen.block.origin.row, seen.block.valid.shape[0] // 64))
        size, (plane,) = self._job.grid.tile_size, seen.stored.pixels
        assert plane.shape == seen.block.valid.shape and plane.dtype == np.uint16
        tiles = plane.reshape(plane.shape[0] // size, size, -1, size)
        self._means += tiles.mean(axis=(1, 3)).ravel().tolist()
        self._ids += self._job.grid.tile_ids(seen.answers.index.tolist())

    def columns(self):
        self.calls.append("columns")
        return pd.DataFrame({"green": self._means}, index=self._ids)

    def facts(self):
        return {"unit": "DN"}

    def finish(self, outcome):
        self.calls.append("finish")
        (self._job.folder / "green.txt").write_text(f"{outcome.table['green'].max()}")
        return (SceneFile("green.txt", "text/plain", ("data",), {"x:unit": "DN"}, ("https://example.com/x.json",)),)

    def close(self):
        self.calls.append("close")


@pytest.fixture
def brightness(monkeypatch):
    """The product, as if a module of that name lay among the others."""
    product, (find, load) = Brightness(), (products.iter_modules, products.import_module)
    extra = SimpleNamespace(planned=lambda task, card: product)
    monkeypatch.setattr(products, "iter_modules", lambda path: [*find(path), SimpleNamespace(name="brightness")])
    monkeypatch.setattr(products, "import_module", lambda name: extra if name.endswith(".brightness") else load(name))
    return product


@pytest.fixture
def scene(tmp_path):
    pixels = np.random.default_rng(8).integers(200, 2700, (3, 530, 210), dtype=np.uint16)
    return scene_on_disk(tmp_path, pixels, LEFT, TOP, "scene")


def test_a_new_product_is_one_more_module(options, scene, brightness):
    run([scene], options)
    folder = options.tiles / "fake" / "scene"
    table = gpd.read_parquet(folder / "tiles.parquet")
    assert brightness.calls == ["begin", "columns", "finish", "close"]
    seen = [row - at for row, count in brightness.rows for at in range(count)]
    assert seen == sorted(table["row"].unique(), reverse=True)
    assert table["green"].notna().all() and table.columns[-1] == "geometry"
    assert read_metadata(folder / "tiles.parquet")["brightness"] == {"unit": "DN"}
    asset = json.loads((folder / "scene.json").read_text())["assets"]["green"]
    assert asset["x:unit"] == "DN" and asset["file:checksum"].startswith("1220")
    assert (folder / "green.txt").read_text() == str(table["green"].max())


def test_its_column_is_the_grounds(options, scene, brightness):
    """The stored numbers that it is shown are those of its own tile and band."""
    import rasterio

    run([scene], options)
    table = gpd.read_parquet(options.tiles / "fake" / "scene" / "tiles.parquet")
    whole = table[table["valid_fraction"] == 1]
    assert len(whole) > 4
    with rasterio.open(scene.files[0]) as raster:
        for row in whole.itertuples():
            window = raster.window(*row.geometry.bounds).round_offsets().round_lengths()
            assert row.green == pytest.approx(raster.read(2, window=window).mean())


def test_the_tiles_are_the_same_with_it_and_without(options, scene, brightness, monkeypatch, tmp_path):
    from dataclasses import replace

    run([scene], options)
    monkeypatch.undo()
    without = replace(options, tiles=tmp_path / "without", maps=tmp_path / "without-maps")
    from tests.fakes import FakeClassifier

    for module in ("main_job", "work"):
        monkeypatch.setattr(f"pipeline.batch.{module}.classifier", lambda choice: FakeClassifier())
    run([scene], without)
    one, other = (gpd.read_parquet(place.tiles / "fake" / "scene" / "tiles.parquet") for place in (options, without))
    assert one.drop(columns="green").equals(other)


def test_another_identity_makes_results_anew(options, scene, brightness):
    run([scene], options)
    assert [record.status for record in run([scene], options).records] == [SceneStatus.CACHED]
    brightness.identity = "two"
    assert [record.status for record in run([scene], options).records] == [SceneStatus.DONE]


def test_a_product_that_fails_refuses_the_scene_and_is_closed(options, scene, brightness, monkeypatch):
    def fails(seen):
        raise ValueError("no such picture")

    monkeypatch.setattr(brightness, "add", fails)
    (record,) = run([scene], options).records
    assert not record.mapped and "no such picture" in record.reason
    assert brightness.calls == ["begin", "close"]
    assert not (options.tiles / "fake" / "scene").exists()
