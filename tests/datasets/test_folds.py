import numpy as np
import pytest

from pipeline.datasets.folds import Look, chains, description, fold_facts, look_folds
from pipeline.errors import ModelError


def _looks(count: int = 160) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patches (20 x 28) of two classes in four lights; which light, class."""
    rng = np.random.default_rng(1)
    light, labels = rng.integers(0, 4, count), rng.integers(0, 2, count)
    texture = rng.integers(0, 6, (count, 20, 28, 3)) * np.where(labels, 4, 1)[:, None, None, None]
    return (20 + 50 * light[:, None, None, None] + texture).astype(np.uint8), light, labels


def test_a_look_stays_together() -> None:
    patches, light, labels = _looks()
    folds = look_folds(description(patches), labels, 4, 0)
    for code in (0, 1):
        for number in range(4):
            assert len(set(folds[(labels == code) & (light == number)].tolist())) == 1
    assert set(folds.tolist()) == {0, 1, 2, 3}


def test_folds_by_look_lie_apart_where_drawn_ones_do_not() -> None:
    patches, _, labels = _looks()
    described = description(patches)
    apart = fold_facts(described, labels, look_folds(described, labels, 4, 0))
    drawn = fold_facts(described, labels, np.random.default_rng(0).integers(0, 4, len(labels)))
    assert min(fold.distance for fold in apart) > 2
    assert max(fold.distance for fold in drawn) < 1
    assert sum(fold.pictures for fold in apart) == len(labels)
    assert all(fold.classes == 2 for fold in apart)


def test_neighbours_of_neighbours_are_one_chain() -> None:
    places = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [9.0]], np.float32)
    group = chains(places, neighbours=2)
    assert group[0] == group[1] == group[2]
    assert group[3] == group[4] != group[0]
    assert chains(places[:1]).tolist() == [0]


def test_twins_never_part() -> None:
    rng = np.random.default_rng(5)
    places = np.repeat(rng.standard_normal((60, 3)), 2, axis=0) + rng.normal(0, 1e-3, (120, 3))
    folds = look_folds(places.astype(np.float32), np.zeros(120, np.int64), 3, 0, clusters=12)
    np.testing.assert_array_equal(folds[::2], folds[1::2])
    sizes = np.bincount(folds)
    assert sizes.min() > 0.6 * sizes.max()


def test_description_tells_light_and_texture_of_reflectance_too() -> None:
    rng = np.random.default_rng(2)
    smooth, rough = np.full((5, 16, 24, 4), 0.2), 0.2 + rng.normal(0, 0.05, (5, 16, 24, 4))
    described = description(np.concatenate([smooth, rough, smooth + 0.3]).clip(0).astype(np.float32))
    assert described.shape == (15, 24)
    groups = described[:5], described[5:10], described[10:]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(groups[one].mean(axis=0) - groups[other].mean(axis=0)) > 3


@pytest.mark.parametrize("text", ["look:5", "look:5/6", "look:5/0", "look:1/1", "look:a/b", "look:5/2,x"])
def test_what_names_no_fold_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="give look:K/J"):
        Look.parse(text)
    assert Look.parse("look:5/2") == Look(5, 2)
