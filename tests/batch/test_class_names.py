"""Rasters of classes open elsewhere with the names and colours of their classes: GDAL itself is asked."""

import json
import shutil
import subprocess
from dataclasses import replace
from xml.etree import ElementTree

import pystac
import pytest
from rasterio.shutil import copy as copy_raster

from pipeline.batch.main_job import run
from pipeline.legend import COVER_STATE_LABELS, EUROSAT

NAMES = {"landcover": EUROSAT.labels, "cover": ("water", "trees", "grass")}


@pytest.fixture
def folder(options, scenes, cover):
    return run(scenes[:1], replace(options, cover=cover)).folder / "scene-0"


@pytest.mark.parametrize("raster", NAMES)
def test_rasterios_gdal_reads_the_names_of_classes(folder, raster, tmp_path):
    """What it knows of a raster it writes into a virtual one."""
    copy_raster(folder / f"{raster}.tif", tmp_path / "seen.vrt", driver="VRT")
    band = ElementTree.parse(tmp_path / "seen.vrt").find("VRTRasterBand[@band='1']")
    told = [entry.text or "" for entry in band.find("CategoryNames")]
    assert tuple(told[: len(NAMES[raster])]) == NAMES[raster]
    if raster == "cover":
        assert {code: told[code] for code in COVER_STATE_LABELS} == COVER_STATE_LABELS
    assert len(band.find("ColorTable")) == 256


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="gdalinfo (Debian's gdal-bin) is not installed")
@pytest.mark.parametrize("raster", NAMES)
def test_gdalinfo_tells_names_and_colours(folder, raster):
    done = subprocess.run(
        ["gdalinfo", "-json", folder / f"{raster}.tif"], capture_output=True, text=True, check=True, timeout=60
    )
    band = json.loads(done.stdout)["bands"][0]
    text = subprocess.run(["gdalinfo", folder / f"{raster}.tif"], capture_output=True, text=True, check=True).stdout
    assert band["colorInterpretation"] == "Palette"
    for code, name in enumerate(NAMES[raster]):
        assert f"{code}: {name}\n" in text
    assert tuple(band["colorTable"]["entries"][0])[:3] != (0, 0, 0)


def test_the_names_are_part_of_the_results(folder, options, scenes, cover):
    asked = replace(options, cover=cover)
    item = pystac.Item.from_file(folder / "scene.json")
    assert {item.assets[f"{raster}_names"].href for raster in NAMES} == {f"./{raster}.tif.aux.xml" for raster in NAMES}
    assert run(scenes[:1], asked).records[0].status == "cached"
    (folder / "cover.tif.aux.xml").unlink()
    assert run(scenes[:1], asked).records[0].status == "done"
    assert (folder / "cover.tif.aux.xml").is_file()
