import numpy as np

from pipeline.datasets.mosaics import mosaics

# Every patch of one colour, its class: the shares can be counted.
COLOURS = np.array([10, 60, 110, 160, 210], np.uint8)
LABELS = np.array([0, 1, 2, 2, 1, 0, 3, 4, 4, 3])


def flat(rows: int = 12, columns: int = 20) -> np.ndarray:
    return np.broadcast_to(COLOURS[LABELS][:, None, None, None], (len(LABELS), rows, columns, 3)).copy()


def test_shares_are_what_the_pixels_show():
    for parts in (1, 2, 3):
        made = mosaics(flat(), LABELS, 5, parts, np.random.default_rng(parts))
        for patch, shares in zip(made.patches, made.shares, strict=True):
            counted = [(patch[..., 0] == colour).mean() for colour in COLOURS]
            np.testing.assert_allclose(shares, counted, atol=1e-6)
        np.testing.assert_allclose(made.shares.sum(axis=1), 1, atol=1e-6)


def test_one_part_is_the_patch_itself():
    made = mosaics(flat(), LABELS, 5, 1, np.random.default_rng(0))
    np.testing.assert_array_equal(made.patches, flat())
    np.testing.assert_array_equal(made.labels, LABELS)
    np.testing.assert_array_equal(made.purity, 1)


def test_mosaics_hold_as_many_patches_as_asked_and_name_the_largest():
    patches = np.repeat(np.arange(30, dtype=np.float32), 12 * 20 * 2).reshape(30, 12, 20, 2)
    made = mosaics(patches, np.arange(30), 30, 3, np.random.default_rng(1))
    held = [len(np.unique(patch)) for patch in made.patches]
    assert max(held) == 3
    assert made.patches.dtype == np.float32
    for patch, label, purity in zip(made.patches, made.labels, made.purity, strict=True):
        values, counts = np.unique(patch[..., 0], return_counts=True)
        assert values[counts.argmax()] == label
        assert abs(counts.max() / counts.sum() - purity) < 1e-6


def test_the_larger_part_is_not_always_the_patch_itself():
    made = mosaics(flat(), LABELS, 5, 2, np.random.default_rng(2))
    assert 0 < (made.labels != LABELS).mean() < 1
