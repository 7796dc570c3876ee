"""What tests of scenes ask again and again."""

import numpy as np

from pipeline.scenes.find import find_scenes
from pipeline.scenes.inspect import inspect_pixels
from pipeline.scenes.radiometry import Stretch, encode
from pipeline.scenes.reader import SceneReader
from pipeline.scenes.scene import ReadOptions, Refusal, Scene

BANDS = ("B04", "B03", "B02")


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
