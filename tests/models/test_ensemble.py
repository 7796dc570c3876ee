"""Several classifiers as one, and one that looks from eight sides."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.files import digest
from pipeline.legend import EUROSAT, Legend
from pipeline.models import store
from pipeline.models.classifier import Prediction
from pipeline.models.ensemble import Eightfold, Ensemble, joined_card
from tests.fakes import CARD


class Fixed:
    """Answers `share` for class `code`; calls patches unfamiliar whose first code is at least `limit`."""

    card = CARD

    def __init__(self, code, share, limit=256):
        self.code, self.share, self.limit = code, share, limit

    def judge(self, patches):
        probabilities = np.full((len(patches), 10), (1 - self.share) / 9, np.float32)
        probabilities[:, self.code] = self.share
        return Prediction(probabilities, patches[:, 0, 0, 0] >= self.limit)


class Corner:
    """The share of class 0 is the code in the north-west corner, in percent."""

    card = CARD

    def judge(self, patches):
        share = patches[:, 0, 0, 0] / np.float32(100)
        probabilities = np.zeros((len(patches), 10), np.float32)
        probabilities[:, 0], probabilities[:, 1] = share, 1 - share
        return Prediction(probabilities, patches[:, 0, 0, 0] > 50)


def test_the_mean_of_probabilities_is_the_answer():
    patches = np.zeros((3, 64, 64, 3), np.uint8)
    patches[:, 0, 0, 0] = (10, 60, 120)
    both = Ensemble((Fixed(2, 0.55), Fixed(5, 0.91, limit=100)), CARD).judge(patches)
    assert both.probabilities[0, 5] == pytest.approx((0.05 + 0.91) / 2)
    assert both.probabilities[0, 2] == pytest.approx((0.55 + 0.01) / 2)
    np.testing.assert_allclose(both.probabilities.sum(axis=1), 1, rtol=1e-6)
    assert both.unfamiliar.tolist() == [False, False, True]  # one of two is half
    three = Ensemble((Fixed(2, 0.5), Fixed(5, 0.9, 100), Fixed(1, 0.5, 50)), CARD).judge(patches)
    assert three.unfamiliar.tolist() == [False, False, True]  # one of three is less
    alone = Ensemble((Fixed(2, 0.55),), CARD).judge(patches)
    np.testing.assert_array_equal(alone.probabilities, Fixed(2, 0.55).judge(patches).probabilities)


def test_all_eight_positions_are_asked_once_and_the_first_tells_the_unfamiliar():
    corners = (80, 40, 20, 60)
    patch = np.zeros((1, 64, 64, 3), np.uint8)
    patch[0, [0, 0, -1, -1], [0, -1, -1, 0], 0] = corners
    found = Eightfold(Corner()).judge(patch)
    assert found.probabilities[0, 0] == pytest.approx(np.mean(corners) / 100)  # each corner comes up twice
    assert found.unfamiliar.tolist() == [True]
    assert Eightfold(Corner()).card is CARD
    skew = patch.copy()
    skew[0, 0, 5, 0] = 100  # beside the corner: only a turn by another angle would bring it there
    np.testing.assert_array_equal(Eightfold(Corner()).judge(skew).probabilities, found.probabilities)


def test_the_common_card_names_its_members_and_their_files():
    one, two = (replace(CARD, name=name, sha256={"model.keras": name * 2}) for name in ("a", "b"))
    both = joined_card([one, two])
    assert (both.name, both.legend, both.input) == ("a+b", CARD.legend, CARD.input)
    assert both.sha256 == {"a/model.keras": "aa", "b/model.keras": "bb"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"legend": Legend("other", EUROSAT.classes[::-1])}, "differ in their classes"),
        ({"input": replace(CARD.input, size=32)}, "differ in their input"),
        ({"kind": "cover"}, "differ in their kind"),
        ({"name": "fake"}, "counts once"),
    ],
)
def test_models_that_make_no_ensemble_are_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        joined_card([CARD, replace(CARD, **{"name": "b", **changes})])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_an_ensemble_is_loaded_by_its_members_names(models, tmp_path):
    shutil.copytree(models / "tiny", tmp_path / "a")
    shutil.copytree(models / "tiny", tmp_path / "b")
    for name in ("a", "b"):
        replace(store.card(name, tmp_path), name=name).write(tmp_path / name / "card.json")
    patches = np.random.default_rng(3).integers(1, 256, (20, 64, 64, 3), dtype=np.uint8)
    both = store.load("a, b", "openvino", threads=1, folder=tmp_path)
    assert both.card == store.card("a,b", tmp_path, verified=True) and both.card.name == "a+b"
    assert both.engine == "openvino-f32, openvino-f32"
    one = store.load("a", "openvino", threads=1, folder=tmp_path).judge(patches)
    np.testing.assert_allclose(both.judge(patches).probabilities, one.probabilities, rtol=1e-6)
    np.testing.assert_array_equal(both.judge(patches).unfamiliar, one.unfamiliar)
    assert store.card_digest("a", tmp_path) == digest(tmp_path / "a" / "card.json")
    assert store.card_digest("a,b", tmp_path) not in {
        store.card_digest("b,a", tmp_path),
        store.card_digest("a", tmp_path),
    }
    (tmp_path / "b" / "model.keras").write_bytes(b"other")
    with pytest.raises(ModelError, match="SHA-256"):
        store.card("a,b", tmp_path, verified=True)
    with pytest.raises(ModelError, match="c: no such model"):
        store.load("a,c", folder=tmp_path)
