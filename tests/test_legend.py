"""Legends: names that cannot be mistaken, colours apart, roles that travel with the card."""

import json
from dataclasses import asdict, replace
from itertools import combinations

import pytest

from pipeline.errors import ModelError
from pipeline.legend import (
    COVER,
    COVER_STATE_LABELS,
    EUROSAT,
    STATE_LABELS,
    UC_MERCED,
    LandCoverClass,
    Legend,
    Role,
    known_legend,
    make_legend,
)
from pipeline.models.card import ModelCard
from tests.atlas import vision
from tests.fakes import CARD

SHIPPED = (EUROSAT, COVER, UC_MERCED)


@pytest.mark.parametrize("legend", SHIPPED, ids=lambda legend: legend.name)
def test_shipped_classes_can_be_told_apart(legend):
    for one, two in combinations(legend.classes, 2):
        seen = [vision.lab(vision.rgb(entry.colour), "normal") for entry in (one, two)]
        assert vision.ciede2000(*seen) > 18
    for entry in legend.classes:
        assert vision.contrast(entry.colour, entry.ink) >= 4.5 or entry.label == "Industrial"  # 4.2, large letters
    assert len({entry.letters for entry in legend.classes}) == len(legend.classes)
    assert all(len(entry.short) <= 12 for entry in legend.classes)


@pytest.mark.parametrize("sight", ["protan", "deutan", "tritan"])
def test_ten_and_nine_classes_are_apart_for_dichromats(sight):
    for legend in (EUROSAT, COVER):
        seen = [vision.lab(vision.rgb(entry.colour), sight) for entry in legend.classes]
        assert min(vision.ciede2000(*two) for two in combinations(seen, 2)) > 9.5


@pytest.mark.parametrize("label", [*STATE_LABELS.values(), *COVER_STATE_LABELS.values(), "Cloud", " NO DATA"])
def test_a_class_named_as_a_state_is_refused(label):
    with pytest.raises(ModelError, match="without a class; rename"):
        make_legend("mine", ["Forest", label])


def test_classes_without_a_name_of_their_own_are_refused():
    for labels in (["a", "a"], ["a", " "]):
        with pytest.raises(ModelError, match="more than one class or none"):
            make_legend("mine", labels)


def test_roles_of_strange_classes_are_refused():
    with pytest.raises(ModelError, match="no class Sea"):
        make_legend("mine", ["Forest"], {"Sea": [Role.WATER]})
    with pytest.raises(ValueError, match="marsh"):
        replace(EUROSAT.classes[0], roles=("marsh",))


def test_a_made_legend_has_titles_letters_and_colours_of_its_own():
    labels = ["SaltMarsh", "salt_meadow", "Salt", "saline", "X", "x2", "USDAForest", "Σ"] + [f"c{i}" for i in range(30)]
    legend = make_legend("mine", labels, {"Salt": [Role.BARE]}, {"X": "Something else entirely"})
    told = {entry.label: entry for entry in legend.classes}
    assert (told["SaltMarsh"].title, told["salt_meadow"].title) == ("Salt marsh", "Salt meadow")
    assert (told["X"].title, told["X"].short) == ("Something else entirely", "Something el")
    assert told["Salt"].roles == (Role.BARE,) and told["saline"].roles == ()
    assert len({entry.letters for entry in legend.classes}) == len(labels)
    assert len({entry.colour for entry in legend.classes}) == len(labels)


def test_only_exactly_known_labels_get_a_known_legend():
    assert [known_legend(legend.labels) for legend in SHIPPED] == list(SHIPPED)
    assert known_legend(EUROSAT.labels[::-1]) is None
    assert known_legend(EUROSAT.labels[:9]) is None


def test_roles_travel_with_the_card(tmp_path):
    CARD.write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json").legend == EUROSAT
    stored = json.loads((tmp_path / "card.json").read_text())
    for entry in stored["legend"]["classes"]:
        del entry["roles"]
    (tmp_path / "card.json").write_text(json.dumps(stored))
    assert all(entry.roles == () for entry in ModelCard.read(tmp_path / "card.json").legend.classes)


def test_a_class_of_a_card_is_a_class_again():
    for entry in COVER.classes:
        assert LandCoverClass(**json.loads(json.dumps(asdict(entry)))) == entry
    assert Legend("a", (EUROSAT.classes[1],)).having(Role.WOODY) == {"Forest"}
