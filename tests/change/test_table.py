"""From tile tables to claims."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import change
from pipeline.change import ChangeOptions, from_to, scene_pairs, totals
from pipeline.errors import TileTableError
from pipeline.legend import EUROSAT, Legend, Role, make_legend
from tests.change.tables import COUNT, EPSG, INDEX, table, tile_id

changes, transitions = (partial(made, legend=EUROSAT) for made in (change.changes, change.transitions))

CONTRACT = {"tile_id", "before", "after", "from_label", "to_label", "p_change", "state"}
SURE = 0.9999
CHANGED = 11


def pair(sure=SURE, **other):
    after = np.zeros(COUNT, int)
    after[CHANGED] = 7
    return table("a", 0, sure=sure), table("b", after, days=366, sure=sure, **other)


def evidence(magnitude=0.5, difference=0.7, at=CHANGED, strong=(4.0, 4.0)):
    found = pd.DataFrame(
        {"magnitude": magnitude, "surprise": 2 * magnitude, "difference": difference, "compared": 1.0},
        index=[tile_id(n) for n in range(COUNT)],
    )
    for name, value in zip(("magnitude", "surprise", "difference"), (strong[0], *strong), strict=True):
        found.loc[[tile_id(one) for one in np.atleast_1d(at)], name] = value
    return found.astype(np.float32)


def test_a_sure_change_is_claimed_and_the_rest_is_stable():
    found = transitions(*pair(), evidence())
    assert set(found.columns) >= CONTRACT
    assert len(found) == COUNT
    assert found.crs == EPSG
    changed = found[found["state"] == "changed"]
    assert changed["tile_id"].tolist() == [tile_id(CHANGED)]
    assert changed[["before", "after", "from_label", "to_label"]].astype(str).to_numpy().tolist() == [
        ["a", "b", "AnnualCrop", "Residential"]
    ]
    assert (found.loc[found["state"] != "changed", "state"] == "stable").all()
    assert found["p_change"].between(0, 1).all()
    bounds = found.geometry[changed.index[0]].bounds
    assert bounds == tuple(value * 640.0 for value in (*INDEX[CHANGED], *(INDEX[CHANGED] + 1)))


def test_a_scene_compared_with_itself_shows_no_change():
    """Sure or doubtful, of any class, with pixels or without: the same answer twice is no change."""
    rng = np.random.default_rng(2)
    one = table("a", np.arange(COUNT) % 10, sure=rng.dirichlet(np.full(10, 0.4), COUNT).astype(np.float32))
    again = one.assign(scene="b", acquired=one["acquired"] + pd.Timedelta(days=30))
    blind, seen = transitions(one, again), transitions(one, again, evidence(0.0, 0.0, strong=(0.0, 0.0)))
    assert (seen["state"] == "stable").all()
    assert seen["p_change"].max() < blind["p_change"].min()
    assert blind["p_change"].max() < 0.1 and (blind["state"] == "stable").all()
    differing = transitions(one, again, evidence(4.0, 4.0, strong=(4.0, 4.0)))
    assert differing["p_change"].min() > seen["p_change"].max()
    assert (differing["state"] == "stable").sum() < (seen["state"] == "stable").sum()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=COUNT, max_size=COUNT), st.floats(0.3, 0.99))
def test_swapping_the_dates_mirrors_the_table(classes, sure):
    first, second = table("a", 0, sure=sure), table("b", np.array(classes), days=40, sure=sure)
    there, back = transitions(first, second), transitions(second, first)
    mirror = {"before": "after", "before_acquired": "after_acquired", "from_label": "to_label"}
    turned = back.rename(columns=mirror | {new: old for old, new in mirror.items()})
    pd.testing.assert_frame_equal(pd.DataFrame(there), pd.DataFrame(turned)[list(there.columns)])


def test_differing_labels_alone_are_no_change():
    found = transitions(*pair(sure=0.8))
    row = found.set_index("tile_id").loc[tile_id(CHANGED)]
    assert row["from_label"] != row["to_label"]
    assert row["p_change"] < 0.5
    assert row["state"] != "changed"


def fused_blind(by_class, prior=0.01, land=0.05):
    """The probability of a change of a tile whose pixels nobody compared: a part of it, or its class."""
    whole = (1 - prior) * by_class / (1 - by_class)
    return (land - prior + whole) / (1 - land + land - prior + whole)


def test_evidence_speaks_through_its_own_columns():
    seen = transitions(*pair(), evidence()).set_index("tile_id").loc[tile_id(CHANGED)]
    blind = transitions(*pair()).set_index("tile_id").loc[tile_id(CHANGED)]
    quiet = transitions(*pair(), evidence(strong=(0.3, 0.4))).set_index("tile_id").loc[tile_id(CHANGED)]
    assert seen["change_class"] == pytest.approx(blind["change_class"])
    assert np.isnan(blind["change_vector"])
    assert blind["p_change"] == pytest.approx(fused_blind(blind["change_class"]), rel=1e-5)
    assert quiet["change_vector"] < 0.05 < seen["change_vector"]
    assert quiet["p_change"] < blind["p_change"] < seen["p_change"]


def test_land_that_looks_different_within_its_class_raises_the_probability():
    same = table("a", 7), table("b", 7, days=366)
    row = transitions(*same, evidence()).set_index("tile_id")["p_change"]
    assert row[tile_id(CHANGED)] > 0.3
    assert row.drop(tile_id(CHANGED)).max() < 0.05


def test_fields_look_different_every_month():
    built, field = (
        transitions(table("a", code), table("b", code, days=90), evidence()).set_index("tile_id")["p_change"]
        for code in (7, 0)
    )
    assert field[tile_id(CHANGED)] < 0.5 * built[tile_id(CHANGED)]


def test_only_tiles_valid_at_both_dates_are_claimed():
    states = {3: -1, 4: -2, CHANGED: -3}
    found = transitions(*pair(states=states), evidence()).set_index("tile_id")
    assert tile_id(3) not in found.index
    assert tile_id(4) not in found.index
    row = found.loc[tile_id(CHANGED)]
    assert row["state"] == "undecided"
    assert np.isnan(row["change_class"])
    assert 0.3 < row["p_change"] < 0.9  # what the pixels say


def test_a_tile_nobody_knows_changes_as_often_as_land_does():
    """Neither class nor pixels at one of the dates: the prior is left, and a class told by names is not read."""
    options = ChangeOptions(prior=0.03, class_share=0.25)
    row = transitions(*pair(states={CHANGED: -3}), options=options).set_index("tile_id").loc[tile_id(CHANGED)]
    assert row["p_change"] == pytest.approx(options.between(np.array([366 / 365.25])).land_prior[0])
    assert row["state"] == "undecided" and np.isnan(row["change_vector"])


def test_an_unfamiliar_tiles_probabilities_are_not_used():
    """A date that is sure of another class but unfamiliar says nothing about the pairs after it."""
    after = np.zeros(COUNT, int)
    after[CHANGED] = 7
    strange = table("m", after, days=100, sure=SURE, states={CHANGED: -3})
    known = table("m", after, days=100, sure=SURE)
    unknown = strange.copy()
    columns = [name for name in unknown if name.startswith("p_")]
    unknown.loc[unknown["tile_id"] == tile_id(CHANGED), columns] = 0.1

    def later(middle):
        others = [table(name, 0, days=days, sure=0.7) for name, days in (("a", 0), ("b", 366), ("c", 700))]
        found = changes([others[0], middle, *others[1:]])
        of_tile = found[(found["tile_id"] == tile_id(CHANGED)) & (found["before"].astype(str) == "b")]
        return of_tile["change_class"].item()

    assert later(strange) == later(unknown)
    assert later(known) > 1.5 * later(strange)  # it would say much


def test_the_bound_holds_for_every_pair_of_dates_by_itself():
    """A hundred sure changes between two dates do not pay for doubtful ones between two others."""
    index = np.array([(col, row) for row in range(10) for col in range(20)])
    first, second, third = (np.zeros(len(index), int) for _ in range(3))
    second[:100] = third[:100] = 7
    third[100:130] = 7
    sure = [np.full(len(index), SURE) for _ in range(3)]
    sure[2][100:130] = 0.993

    def rows(classes, chance):
        rest = ((1 - chance) / 9)[:, None].repeat(10, axis=1)
        rest[np.arange(len(classes)), classes] = chance
        return rest.astype(np.float32)

    tables = [
        table(name, classes, days=days, index=index, sure=rows(classes, chance))
        for name, days, classes, chance in zip("abc", (0, 730, 1460), (first, second, third), sure, strict=True)
    ]
    found = changes(tables)
    later = found[(found["before"].astype(str) == "b") & (found["p_change"] > 0.5)]
    assert len(later) == 30 and later["p_change"].max() < 0.9
    assert not (later["state"] == "changed").any()
    assert (found.loc[found["before"].astype(str) == "a", "state"] == "changed").sum() == 100
    together = found.loc[found["p_change"] > 0.5, "p_change"]
    assert (1 - together).mean() < 0.05  # over both pairs they would pass


def renamed(one, legend):
    """A table whose classes have other names."""
    names = dict(zip(EUROSAT.labels, legend.labels, strict=True))
    told = one.rename(columns={f"p_{old}": f"p_{new}" for old, new in names.items()})
    return told.assign(label=told["label"].astype(str).replace(names))


def test_other_names_with_the_same_roles_get_the_same_change(caplog):
    labels = [f"Klasse {letter}" for letter in "ABCDEFGHIJ"]
    roles = {new: entry.roles for new, entry in zip(labels, EUROSAT.classes, strict=True)}
    legend = make_legend("elsewhere", labels, roles)
    rng = np.random.default_rng(8)
    tables = [
        table(name, likely.argmax(axis=1), days=days, sure=likely.astype(np.float32))
        for name, days, likely in ((n, d, rng.dirichlet(np.full(10, 0.3), COUNT)) for n, d in (("a", 0), ("b", 90)))
    ]
    measured = evidence(2.0, 1.5)
    known = transitions(*tables, measured)
    others = [renamed(one, legend) for one in tables]
    same = change.transitions(*others, measured, legend=legend)
    pd.testing.assert_series_equal(same["p_change"], known["p_change"])
    pd.testing.assert_series_equal(same["state"], known["state"])
    assert not caplog.records
    bare = Legend("elsewhere", make_legend("elsewhere", labels).classes)
    for plain in (change.transitions(*others, measured, legend=bare), change.transitions(*others, measured)):
        assert (plain["p_change"] - known["p_change"]).abs().max() > 0.05
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "roles" in caplog.text and "Klasse A" in caplog.text
    some = make_legend("elsewhere", labels, {labels[0]: [Role.FIELD]})
    change.transitions(*others, measured, legend=some)
    assert "Klasse B" in caplog.records[-1].message and "Klasse A" not in caplog.records[-1].message


def test_a_legend_of_other_classes_is_refused():
    with pytest.raises(TileTableError, match="the legend few has AnnualCrop"):
        change.transitions(*pair(), legend=Legend("few", EUROSAT.classes[:4]))


def test_a_cloudy_date_is_spanned():
    first, last = pair()
    middle = table("cloudy", 0, days=100, sure=SURE, states={CHANGED: -2})
    found = changes([last, middle, first])
    row = found[found["tile_id"] == tile_id(CHANGED)]
    assert row[["before", "after"]].astype(str).to_numpy().tolist() == [["a", "b"]]
    assert len(found) == 2 * (COUNT - 1) + 1
    assert scene_pairs([last, middle, first]).sort_values("tiles")["tiles"].tolist() == [1, COUNT - 1, COUNT - 1]


def test_neighbouring_scenes_of_one_pass_are_one_date():
    west, east = INDEX[INDEX[:, 0] < 704], INDEX[INDEX[:, 0] >= 702]
    parts = [table("west", 0, index=west), table("east", 1, days=0.002, index=east, valid=0.7)]
    found = changes([*parts, table("later", 0, days=366)])
    assert len(found) == COUNT
    owner = found.set_index("tile_id")["before"].astype(str)
    assert owner[tile_id(3)] == "west"  # column 703 lies in both, fuller in the west
    assert owner[tile_id(6)] == "east"
    assert changes(parts).empty


def test_tables_of_different_models_are_refused():
    with pytest.raises(TileTableError, match="different classes"):
        transitions(table("a", 0), table("b", 0).drop(columns="p_Forest"))
    with pytest.raises(TileTableError, match="no tile table"):
        changes([])


def test_pairs_across_levels_are_marked_and_not_claimed():
    found = changes(list(pair()), {("a", "b"): evidence()}, levels={"a": "L1C", "b": "L2A"})
    assert found["cross_level"].all()
    assert "changed" not in set(found["state"])
    bold = changes(
        list(pair()), {("a", "b"): evidence()}, {"a": "L1C", "b": "L2A"}, ChangeOptions(claim_cross_level=True)
    )
    assert (bold["state"] == "changed").sum() == 1
    assert not changes(list(pair()), levels={"a": "L2A", "b": "L2A"})["cross_level"].any()


def test_season_is_told():
    assert set(transitions(table("a", 0), table("b", 0, days=366 + 90))["season_days"]) == {90}
    assert set(transitions(table("a", 0, days=210), table("b", 0, days=220))["season_days"]) == {10}


def test_claims_keep_to_the_expected_share_of_false_ones():
    rng = np.random.default_rng(0)
    index = np.array([(col, row) for row in range(40) for col in range(60)])
    sure = rng.dirichlet(np.full(10, 0.08), len(index)).astype(np.float32)
    before = np.where(rng.random(len(index)) < 0.7, sure.argmax(axis=1), rng.integers(0, 10, len(index)))
    first = table("a", before, index=index, sure=SURE)
    second = table("b", sure.argmax(axis=1), days=366, index=index, sure=sure)
    for bound in (0.01, 0.04):
        options = ChangeOptions(prior=0.1, max_false_share=bound)
        found = transitions(first, second, options=options)
        p = found["p_change"].to_numpy(float)
        claimed = (found["state"] == "changed").to_numpy()
        assert 0 < claimed.sum() < (p >= 0.5).sum()
        assert (1 - p[claimed]).mean() <= bound
        assert p[claimed].min() >= p[~claimed].max()
        told = totals(found).iloc[0]
        assert told["expected_false"] == pytest.approx((1 - p[claimed]).sum())
        assert told["expected_missed"] == pytest.approx(p[~claimed].sum())


def test_a_minimum_mapping_unit_leaves_single_tiles_undecided():
    after = np.zeros(COUNT, int)
    after[[0, 1, 8, 20]] = 7  # three touch, one by its corner; one stands alone
    tables = table("a", 0, sure=SURE), table("b", after, days=366, sure=SURE)
    strong = evidence(strong=(4, 4))
    strong.iloc[[0, 1, 8, 20]] = [4, 4, 4, 1]
    states = {
        unit: transitions(*tables, strong, ChangeOptions(min_mapping_unit=unit)).set_index("tile_id")["state"]
        for unit in (1, 3, 4)
    }
    claimed = {unit: sorted(state.index[state == "changed"]) for unit, state in states.items()}
    assert claimed[1] == sorted(tile_id(at) for at in (0, 1, 8, 20))
    assert claimed[3] == sorted(tile_id(at) for at in (0, 1, 8))
    assert claimed[4] == []
    assert states[3][tile_id(20)] == "undecided"


def test_totals_and_matrix_count_hectares():
    found = changes(list(pair()), {("a", "b"): evidence()})
    told = totals(found)
    assert told[["tiles", "changed", "stable", "labels_differ"]].to_numpy().tolist() == [[COUNT, 1, COUNT - 1, 1]]
    assert told["changed_ha"].tolist() == pytest.approx([40.96])
    assert told[["without_class", "unseen"]].to_numpy().tolist() == [[0, 0]]
    blind = totals(changes([table("a", 0), table("b", 0, days=366, states={3: -3})]))
    assert blind[["without_class", "unseen"]].to_numpy().tolist() == [[1, COUNT]]
    matrix = from_to(found)
    assert matrix.loc["AnnualCrop", "Residential"] == pytest.approx(40.96)
    assert matrix.to_numpy().sum() == pytest.approx(40.96)
    assert from_to(found, ("changed", "stable")).to_numpy().sum() == pytest.approx(40.96 * COUNT)


def test_tiles_of_two_zones_come_in_degrees():
    tables = [table(f"{epsg}-{days}", 0, days=days, epsg=epsg) for epsg in (32632, 32633) for days in (0, 366)]
    found = changes(tables)
    assert found.crs == 4326
    assert len(found) == 2 * COUNT
    assert found.geometry.bounds["miny"].between(44, 46).all()


def test_nothing_but_cloud_gives_an_empty_table():
    cloudy = [table(name, 0, days=days, states=dict.fromkeys(range(COUNT), -2)) for name, days in (("a", 0), ("b", 9))]
    assert changes(cloudy).empty
    assert scene_pairs(cloudy).empty


def test_no_common_tile_gives_an_empty_table():
    found = transitions(table("a", 0), table("b", 0, days=9, index=INDEX + 50))
    assert found.empty
    assert set(found.columns) >= CONTRACT
    assert totals(found).empty
    assert from_to(found).empty


def test_a_pair_whose_classes_show_less_change_than_expected_claims_less():
    """A few sure answers among thousands of quiet ones: each is likelier to be a mistake than the prior says."""
    from pipeline.change.table import cautious

    quiet = np.full(5000, 1e-5)
    answers, prior = np.r_[0.97, quiet], np.full(5001, 0.02)
    assert cautious(answers, prior)[0] < 0.9
    np.testing.assert_allclose(cautious(np.r_[np.full(900, 0.97), quiet], np.full(5900, 0.02))[0], 0.97)
    assert np.isnan(cautious(np.array([np.nan, 0.5]), np.full(2, 0.02))[0])


def test_more_years_between_dates_let_more_change():
    near, far = (transitions(table("a", 7), table("b", 7, days=days)) for days in (30, 1500))
    assert 5 * near["p_change"].max() < far["p_change"].min()


def test_two_orbits_of_one_day_are_one_date():
    """A morning's two passes are never compared with each other, and the clearer look counts."""
    tables = [table("a", 0), table("b", 0, days=0.07, valid=0.6), table("c", 0, days=365)]
    found = changes(tables)
    assert len(found) == COUNT
    assert set(found["before"].astype(str)) == {"a"} and set(found["after"].astype(str)) == {"c"}


def test_a_small_group_pays_for_no_other_tile():
    """The bound holds among what the minimum mapping unit leaves: a sure single tile helps no doubtful pair."""
    from pipeline.change.table import states

    ids = np.array([tile_id(at) for at in (0, 1, 20)], dtype=object)
    rows = pd.DataFrame({"tile_id": ids, "p_change": [0.93, 0.93, 0.9999], "cross_level": False})
    one, two = (
        states(rows, np.zeros(3, np.int64), np.ones(3, bool), ChangeOptions(min_mapping_unit=unit)) for unit in (1, 2)
    )
    assert (one == "changed").all()
    assert not (two == "changed").any()


def test_sure_claims_pay_for_no_doubtful_one():
    """Twenty sure tiles would carry one of 0.7 below the bound; a looser bound lets it through."""
    from pipeline.change.table import within_bound

    p = np.r_[np.full(20, 0.999), 0.81, 0.79, 0.7]
    assert (1 - p).mean() < 0.05
    assert within_bound(p).tolist() == [True] * 21 + [False] * 2
    assert within_bound(p, ChangeOptions(max_false_share=0.25)).all()
    assert not within_bound(np.r_[p, 0.45], ChangeOptions(max_false_share=0.25))[-1]


def test_tiles_chained_in_small_groups_answer_as_all_at_once(monkeypatch):
    rng = np.random.default_rng(5)
    tables = [
        table(
            f"scene-{at}",
            rng.integers(0, 10, COUNT),
            days=200 * at,
            sure=rng.dirichlet(np.ones(10), COUNT).astype(np.float32),
            states={int(one): -2 for one in rng.integers(0, COUNT, 6)},
        )
        for at in range(4)
    ]
    whole = changes(tables)
    assert whole["change_class"].nunique() > 0
    monkeypatch.setattr("pipeline.change.table._TILES", 3)
    pd.testing.assert_frame_equal(changes(tables), whole)
