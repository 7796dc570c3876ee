"""Tables of correspondences: the shipped ones are whole, a user's are read, and what is wrong in one is told."""

from itertools import combinations

import pytest

from pipeline.crosswalk.correspondence import find_crosswalk, read_codes, read_crosswalk, shipped
from pipeline.crosswalk.translation import refuse_strange, translation
from pipeline.errors import CrosswalkError
from pipeline.legend import COVER, EUROSAT, Role
from pipeline.palette import difference

HEAD = "from,label,title,colour,roles,code,note\n"


def written(tmp_path, text, name="mine.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_table_holds_every_class_with_its_source(name):
    found = find_crosswalk(name)
    assert len(found.source) > 40 and found.title != name
    for source in (EUROSAT, COVER):
        made = translation(found, source)
        assert made.target.labels == tuple(
            label
            for label in found.legend.labels
            if label in {row.label for row in found.rows if row.origin in source.labels}
        )
        assert all(entry.roles for entry in made.target.classes)
    refuse_strange(found, [EUROSAT, COVER])


@pytest.mark.parametrize("name", shipped())
def test_the_colours_of_a_shipped_legend_can_be_told_apart(name):
    colours = {entry.label: entry.colour for entry in find_crosswalk(name).legend.classes}
    assert min(difference(*pair) for pair in combinations(colours.values(), 2)) > 7


@pytest.mark.parametrize(
    ("name", "code", "label"),
    [
        ("worldcover", 10, "TreeCover"),
        ("worldcover", 95, "Mangroves"),
        ("worldcover", 0, ""),
        ("corine1", 111, "Artificial"),
        ("corine1", 11, "Artificial"),
        ("corine1", 231, "Agricultural"),
        ("corine1", 18, "Agricultural"),
        ("corine1", 312, "ForestSeminatural"),
        ("corine1", 26, "ForestSeminatural"),
        ("corine1", 412, "Wetlands"),
        ("corine1", 44, "Water"),
        ("corine1", 523, "Water"),
        ("corine1", 255, ""),
    ],
)
def test_codes_of_rasters_are_known(name, code, label):
    assert find_crosswalk(name).codes[code] == label


def test_what_cannot_be_told_apart_stays_a_class_of_its_own():
    corine = {row.origin: row.label for row in find_crosswalk("corine1").rows}
    assert corine["grass"] == "GrasslandAnyUse" and corine["Pasture"] == "Agricultural"
    assert corine["HerbaceousVegetation"] == "ForestSeminatural"
    assert any(
        "Pasture (2.3) and HerbaceousVegetation" in note for note in find_crosswalk("corine1").notes(["Pasture"])
    )
    assert {row.origin: row.label for row in find_crosswalk("worldcover").rows}["PermanentCrop"] == "WoodyCrops"


def test_a_users_table_with_semicolons_comments_and_few_columns(tmp_path):
    path = written(
        tmp_path,
        "# title: Our ministry\n# a remark\nlabel;from;code\nWald;Forest;1 3-4\nRest;River;2\nWald;SeaLake;\n",
        "unsere.csv",
    )
    found = find_crosswalk(str(path))
    assert (found.name, found.title, found.legend.labels) == ("unsere", "Our ministry", ("Wald", "Rest"))
    assert {row.origin: row.label for row in found.rows} == {"Forest": "Wald", "River": "Rest", "SeaLake": "Wald"}
    assert found.codes == {1: "Wald", 3: "Wald", 4: "Wald", 2: "Rest"}
    assert len({entry.colour for entry in found.legend.classes}) == 2


def test_stated_colours_titles_and_roles_are_kept(tmp_path):
    path = written(tmp_path, HEAD + "Forest,W,Our woods,#0B5410,woody,,\nRiver,A,,,water sealed,,\n")
    woods, water = read_crosswalk(path).legend.classes
    assert (woods.title, woods.colour, woods.ink) == ("Our woods", "#0b5410", "#ffffff")
    assert water.roles == (Role.WATER, Role.SEALED) and water.colour != woods.colour


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("Forest,W,,,,,\nForest,A,,,,,", "line 3: Forest stands twice, it becomes W already"),
        ("Forest,,,,,,\nRiver,A,,,,,", "line 2: Forest becomes nothing"),
        ("Forest,W,,green,,,\nRiver,A,,,,,", "'green' is no colour; write it like #e9d33f"),
        ("Forest,W,,#12345,,,\nRiver,A,,,,,", "'#12345' is no colour"),
        ("Forest,W,,#123456,,,\nRiver,A,,#123456,,,", "W and A have the same colour #123456"),
        ("Forest,W,,#123456,,,\nRiver,W,,#123457,,,", "line 3: W has the colour '#123456' already"),
        ("Forest,W,One,,,,\nRiver,W,Two,,,,", "line 3: W has the title 'One' already"),
        ("Forest,W,,,tree,,\nRiver,A,,,,,", "'tree' is not a valid Role; roles are field, grass, woody"),
        ("Forest,W,,,,1x,\nRiver,A,,,,,", "'1x' is no code"),
        ("Forest,W,,,,9-3,\nRiver,A,,,,,", "'9-3' is no range of codes"),
        ("Forest,W,,,,1,\nRiver,A,,,,1,", "line 3: the code 1 is W already"),
        ("Forest,W,a,b,c,d,e,f\nRiver,A,,,,,", "line 2: has more cells than columns"),
        (f"Forest,{'W' * 90},,,,,\nRiver,A,,,,,", "is no name"),
        ("Forest,W\x1b[31m,,,,,\nRiver,A,,,,,", "is no name"),
        ("Forest,cloud,,,,,\nRiver,A,,,,,", "is what tables call a tile without a class"),
        (",,,,,,", "no class becomes another"),
    ],
)
def test_what_is_wrong_in_a_table_is_told_with_its_line(tmp_path, lines, words):
    with pytest.raises(CrosswalkError) as told:
        read_crosswalk(written(tmp_path, HEAD + lines + "\n"))
    assert words in str(told.value) and "\x1b" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n", "lacks the column from, label"),
        (b"", "lacks the column"),
        (b"\xff\xfe\x00", "give a CSV in UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, words):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(CrosswalkError, match=words):
        read_crosswalk(path)


def test_an_unknown_legend_names_the_known_ones():
    with pytest.raises(
        CrosswalkError, match="nowhere: no legend of this name and no such file; give corine1, ipcc, lccs"
    ):
        find_crosswalk("nowhere")


def test_holes_and_strange_classes_are_refused(tmp_path):
    holes = read_crosswalk(written(tmp_path, HEAD + "Forest,W,,,,,\nRiver,A,,,,,\n"))
    with pytest.raises(CrosswalkError, match="no row for AnnualCrop, HerbaceousVegetation, Highway"):
        translation(holes, EUROSAT)
    assert translation(holes, COVER) is None
    rows = "".join(f"{label},X,,,,,\n" for label in EUROSAT.labels)
    with pytest.raises(CrosswalkError, match="all of eurosat becomes X; name two classes"):
        translation(read_crosswalk(written(tmp_path, HEAD + rows)), EUROSAT)
    strange = read_crosswalk(written(tmp_path, HEAD + rows + "Forrest,Y,,,,,\n"))
    with pytest.raises(CrosswalkError, match="Forrest in the column from is no class of these results"):
        refuse_strange(strange, [EUROSAT])


def test_codes_of_a_reference(tmp_path):
    path = written(tmp_path, "code,label\n1-3,Forest\n-1 0,\n7,River\n")
    assert read_codes(path) == {1: "Forest", 2: "Forest", 3: "Forest", -1: "", 0: "", 7: "River"}
    with pytest.raises(CrosswalkError, match="line 3: the code 2 is Forest already"):
        read_codes(written(tmp_path, "code,label\n1-3,Forest\n2,River\n"))
    with pytest.raises(CrosswalkError, match="no code has a label"):
        read_codes(written(tmp_path, "code,label\n1,\n"))
    with pytest.raises(CrosswalkError, match="lacks the column label"):
        read_codes(written(tmp_path, "code,name\n1,Forest\n"))
