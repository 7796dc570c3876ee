"""The cover network: what bears on a pixel lies within the halo it tells."""

import numpy as np
import pytest

from pipeline.models.networks import cover_unet


@pytest.mark.parametrize(("widths", "told"), [((1,), 1), ((1, 1), 8), ((1, 1, 1), 20), (cover_unet.WIDTHS, 48)])
def test_the_halo_of_each_depth(widths, told):
    assert cover_unet.halo(widths) == told
    assert cover_unet.halo(widths) % cover_unet.step(widths) == 0


def test_a_pixel_is_seen_up_to_the_halo_and_no_farther():
    widths = (2, 3, 4)
    network = cover_unet.unet(3, bands=2, widths=widths)
    rng = np.random.default_rng(5)
    network.set_weights(
        [np.abs(rng.normal(0.3, 0.1, array.shape)).astype(np.float32) for array in network.get_weights()]
    )
    pixels = rng.uniform(0.1, 0.3, (1, 64, 80, 2)).astype(np.float32)
    before = np.asarray(network(pixels))
    reach, halo = 0, cover_unet.halo(widths)
    for y, x in ((31, 40), (32, 39), (33, 43)):
        changed = pixels.copy()
        changed[0, y, x] = 0.9
        touched = np.argwhere(np.abs(np.asarray(network(changed)) - before).max(axis=-1)[0] > 0)
        reach = max(reach, int(np.abs(touched - [y, x]).max()))
    assert halo - cover_unet.step(widths) < reach <= halo


def test_an_unmeasured_band_is_told_from_a_dark_one():
    network = cover_unet.unet(2, bands=2, widths=(3, 4))
    dark, lacking = np.full((1, 8, 8, 2), 0.2, np.float32), np.full((1, 8, 8, 2), 0.2, np.float32)
    dark[..., 1], lacking[..., 1] = 0.0, cover_unet.UNMEASURED
    assert np.abs(np.asarray(network(dark)) - np.asarray(network(lacking))).max() > 1e-4
