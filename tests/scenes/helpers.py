"""What tests of scenes ask again and again."""

from datetime import UTC, datetime

import numpy as np

from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.radiometry import Stretch, encode
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.scene import ReadOptions, Refusal, Scene
from tests.builders import Safe, stored, surface, write_safe

BANDS = ("B04", "B03", "B02")
# Pixels of a file that nothing may read.
SECRET = 31_337
# Shares of a file that are kept when it is cut off.
CUTS = (0.9999, 0.98, 0.5, 0.1, 0.002)


def scenes(folder, options=ReadOptions()):
    found = list(find_scenes(folder, options))
    assert all(isinstance(entry, Scene) for entry in found), found
    return found


def refusal(folder, options=ReadOptions()):
    (found,) = find_scenes(folder, options)
    assert isinstance(found, Refusal), found
    assert "\n" not in found.reason and len(found.reason) < 500
    return found


def codes(scene, bands=BANDS):
    scene = inspect_pixels(scene)
    with SceneReader(scene) as reader:
        pixels, valid = reader.read(scene.bounds, bands)
    return encode(pixels, [scene.assets[band] for band in bands], Stretch()), valid


def truth(reflectance, bands=BANDS):
    return Stretch().codes(np.stack([reflectance[band] for band in bands]))


def vrt(source, relative=0):
    return (
        '<VRTDataset rasterXSize="330" '
        'rasterYSize="200"><SRS>EPSG:32632</SRS><GeoTransform>600000,10,0,5100000,0,-10</GeoTransform>'
        f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename '
        f'relativeToVRT="{relative}">{source}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: min(int(len(data) * share), len(data) - 1)])


def halves(folder, **second):
    """One picture whose left part is in one product and its right part in the other, of two datastrips."""
    numbers = {band: stored(value, -1000) for band, value in surface().items()}
    column = np.arange(330)
    left = {band: np.where(column < 180, value, 0).astype(np.uint16) for band, value in numbers.items()}
    right = {band: np.where(column >= 150, value, 0).astype(np.uint16) for band, value in numbers.items()}
    scl = np.full((100, 165), 4, np.uint8)
    scl_left, scl_right = scl.copy(), np.full((100, 165), 6, np.uint8)
    scl_left[:, 90:], scl_right[:, :75] = 0, 0
    first = Safe(generated=datetime(2023, 6, 14, 12, 0, tzinfo=UTC), strip=datetime(2023, 6, 14, 10, 6, 12, tzinfo=UTC))
    other = Safe(
        **{
            "generated": datetime(2023, 6, 14, 13, 30, tzinfo=UTC),
            "strip": datetime(2023, 6, 14, 10, 9, 40, tzinfo=UTC),
        }
        | second
    )
    return write_safe(folder, first, dn=left, scl=scl_left), write_safe(folder, other, dn=right, scl=scl_right)
