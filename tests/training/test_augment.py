import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.scenes.radiometry import Stretch
from pipeline.training.augment import (
    L2A_OFFSET,
    L2A_SCALE,
    NONE,
    Augmentation,
    augment,
    geometry,
    mix,
    radiometry,
    side_by_side,
    varied,
)

RNG = np.random.default_rng


def _patches(n: int = 6, seed: int = 7) -> np.ndarray:
    return RNG(seed).integers(1, 256, (n, 64, 64, 3), dtype=np.uint8)


def test_no_augmentation_leaves_the_pixels_alone() -> None:
    patches = _patches()
    np.testing.assert_array_equal(augment(patches, NONE, RNG(0)), patches)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_turns_and_flips_keep_every_pixel(seed: int) -> None:
    patches = _patches()
    turned = geometry(patches, Augmentation(shift=0, zoom=0), RNG(seed))
    for before, after in zip(patches, turned, strict=True):
        np.testing.assert_array_equal(np.sort(before.reshape(-1, 3), axis=0), np.sort(after.reshape(-1, 3), axis=0))


def test_all_eight_orientations_occur() -> None:
    patch = _patches(1)
    seen = {geometry(patch, Augmentation(shift=0, zoom=0), RNG(seed)).tobytes() for seed in range(100)}
    assert len(seen) == 8


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_augmented_codes_stay_codes(seed: int) -> None:
    found = augment(_patches(), Augmentation(), RNG(seed))
    assert found.shape == (6, 64, 64, 3)
    assert found.dtype == np.float32
    assert found.min() >= 1
    assert found.max() <= 255


def test_a_full_turn_to_the_surface_is_the_inverse_of_the_level_map() -> None:
    surface = np.full((1, 64, 64, 3), (0.06, 0.07, 0.05))
    top = surface * L2A_SCALE + L2A_OFFSET

    class Full:
        """A generator that always turns a patch, all the way."""

        def random(self, n: int) -> np.ndarray:
            return np.zeros(n)

        def uniform(self, low: float, high: float, size: int) -> np.ndarray:
            return np.ones(size)

    found = radiometry(Stretch().codes(top), Augmentation(jitter=0, gamma=0), Full())  # type: ignore[arg-type]
    np.testing.assert_allclose(found, Stretch().codes(surface), atol=1.1)


@pytest.mark.parametrize("plan", [Augmentation(mixup=1, cutmix=0), Augmentation(mixup=0, cutmix=1)])
def test_mixed_targets_say_how_much_of_each_picture_is_there(plan: Augmentation) -> None:
    codes = np.repeat(np.array([50.0, 150.0], np.float32), 4)
    patches = np.broadcast_to(codes[:, None, None, None], (8, 64, 64, 3)).copy()
    targets = np.eye(2, dtype=np.float32)[[0] * 4 + [1] * 4]
    mixed, soft = mix(patches, targets, plan, RNG(3))
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), 50 * soft[:, 0] + 150 * soft[:, 1], rtol=1e-4)
    assert plan.without_mixing().mixup == plan.without_mixing().cutmix == 0


def test_the_larger_part_labels_a_mixed_patch() -> None:
    labels = np.arange(200)
    patches = np.broadcast_to(labels.astype(np.uint8)[:, None, None, None], (200, 32, 32, 3)).copy()
    mixed, found = side_by_side(patches, labels, RNG(0))
    for patch, label in zip(mixed[..., 0], found, strict=True):
        assert (patch == label).mean() >= 0.5
    assert (found != labels).sum() > 20


def test_reflectance_is_varied_without_codes_floor_and_only_known_bands_turn() -> None:
    patches = RNG(1).uniform(0.02, 0.4, (40, 16, 16, 2)).astype(np.float32)
    plan = Augmentation(shift=0, zoom=0, jitter=0, surface=1.0)
    turned = augment(patches, plan, RNG(2), ("B02", "B11"))
    assert np.sort(turned[..., 1].ravel()) == pytest.approx(np.sort(patches[..., 1].ravel()))
    assert turned[..., 0].mean() < patches[..., 0].mean() - 0.01
    found = varied(patches, RNG(3), ("B02", "B11"))
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() < 1
