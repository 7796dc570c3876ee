import numpy as np

from pipeline.datasets.duplicates import fingerprint, groups, pairs

RNG = np.random.default_rng(3)


def _scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3))
    return np.kron(coarse, np.ones((10, 8, 1))).astype(np.uint8)


def test_the_same_and_nearly_the_same_are_told_from_others() -> None:
    first = _scene(1)
    noisy = np.clip(first.astype(int) + RNG.integers(-12, 13, first.shape) + 20, 0, 255).astype(np.uint8)
    found = pairs([fingerprint(picture) for picture in (first, _scene(2), first.copy(), noisy, _scene(4))])
    assert next((pair.first, pair.second, pair.same) for pair in found) == (0, 2, True)
    assert {(pair.first, pair.second) for pair in found} == {(0, 2), (0, 3), (2, 3)}
    assert groups(5, found).tolist() == [0, 1, 0, 0, 4]


def test_flat_pictures_are_alike_only_when_they_are_the_same() -> None:
    flat = [np.full((40, 30, 3), value, np.uint8) for value in (10, 10, 200)]
    assert [(pair.first, pair.second, pair.same) for pair in pairs([fingerprint(p) for p in flat])] == [(0, 1, True)]
    assert pairs([]) == []


def test_links_join_whole_groups() -> None:
    listed = pairs([fingerprint(_scene(seed)) for seed in (1, 5, 1, 5, 1)])
    assert groups(5, listed).tolist() == [0, 1, 0, 1, 0]
