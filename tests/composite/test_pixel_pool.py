import numpy as np
import pytest

from pipeline.composite.pixel_pool import PixelPool
from pipeline.legend import CoverState

CLOUD, STRANGE, NOTHING = (int(state) for state in (CoverState.CLOUD, CoverState.UNFAMILIAR, CoverState.NO_DATA))


def pool(*looks, dependence=0.5):
    """The answer of looks of one line of pixels, each a list of (class, percent)."""
    found = PixelPool((1, len(looks[0])), 4, dependence)
    for look in looks:
        classes, sure = np.array(look, np.uint8).T
        found.add(classes[None], sure[None])
    return found.answer()


def test_votes_weigh_by_their_confidence():
    answer = pool([(0, 50), (2, 90)], [(1, 95), (2, 90)], [(0, 55), (3, 40)])
    assert answer.classes.tolist() == [[1, 2]]
    assert answer.looks.tolist() == [[3, 3]]
    assert answer.disagreement.tolist() == [[67, 33]]


def test_looks_that_agree_are_surer_the_less_they_depend():
    alone = pool([(1, 80)]).confidence[0, 0]
    some, free = (pool([(1, 80)], [(1, 80)], dependence=value).confidence[0, 0] for value in (0.5, 0.0))
    same = pool([(1, 80)], [(1, 80)], dependence=1.0).confidence[0, 0]
    assert alone == same == 80
    assert 80 < some < free
    assert free == pytest.approx(100 * 0.8**2 / (0.8**2 + 3 * (0.2 / 3) ** 2), abs=0.6)


def test_cloud_and_the_unfamiliar_are_left_out_and_told_where_nothing_else_was_seen():
    cases = [[CLOUD, 3], [NOTHING, CLOUD], [CLOUD, STRANGE], [NOTHING, NOTHING], [STRANGE, 0]]
    looks = [[(case[at], 80 if case[at] < 4 else 255) for case in cases] for at in (0, 1)]
    answer = pool(*looks)
    assert answer.classes.tolist() == [[3, CLOUD, STRANGE, NOTHING, 0]]
    assert answer.confidence.tolist() == [[80, 255, 255, 255, 80]]
    assert answer.looks.tolist() == [[1, 255, 255, 255, 1]]
    assert answer.disagreement.tolist() == [[0, 255, 255, 255, 0]]


def test_many_looks_do_not_overflow():
    answer = pool(*[[(1, 60), (2, 60)]] * 300)
    assert answer.looks.tolist() == [[254, 254]]
    assert answer.disagreement.tolist() == [[0, 0]]
