import io
from datetime import date
from html.parser import HTMLParser

import numpy as np
import pypdfium2
import pytest
import shapely
from click.testing import CliRunner
from PIL import Image

from pipeline.atlas.collect import collect
from pipeline.atlas.figures import area_weights, choose_dates, describe_area, describe_change
from pipeline.atlas.part import AtlasOptions, World
from pipeline.atlas.payload import build_payload
from pipeline.cli import main
from pipeline.errors import TileTableError
from pipeline.legend import EUROSAT
from pipeline.outlines import Outline, on_grid
from tests.atlas import worlds


@pytest.fixture(scope="module")
def made(collected) -> World:
    return World(collected, EUROSAT, build_payload(collected.scenes, collected.changes), AtlasOptions())


@pytest.fixture(scope="module")
def district(made) -> Outline:
    (south, west), (north, east) = made.payload.planes[0].bounds()
    return Outline("District <A>", shapely.Point((west + east) / 2, (south + north) / 2).buffer(0.04))


def test_an_area_counts_tiles_by_their_part_inside(made, district):
    weights = area_weights(made.payload, range(1), district)
    figures = describe_area("district", made, weights)
    placed = on_grid(district.shape, 32632)
    assert figures.hectares == pytest.approx(placed.area / 1e4, rel=1e-6)
    scene = made.collected.scenes[2]
    by_hand = sum(float(weights[0][scene.codes == k].sum()) for k in range(10)) * 40.96
    assert figures.dates[2].mapped.sum() == pytest.approx(by_hand)
    assert figures.dates[2].mapped[1] == pytest.approx(float(weights[0][scene.codes == 1].sum()) * 40.96)
    assert figures.dates[2].expected.sum() == pytest.approx(by_hand, rel=1e-6)
    assert (figures.dates[2].interval > 0).any()


def test_the_interval_of_a_class_grows_with_doubt(made):
    weights = {0: np.ones((30, 20))}
    found = describe_area("all", made, weights).dates[2]
    scene = made.collected.scenes[2]
    known = scene.codes >= 0
    p = np.where(known, scene.shares[1] / np.maximum(scene.shares.sum(axis=0), 1), 0.0)
    apart = 1.96 * 40.96 * np.sqrt((p * (1 - p)).sum())
    together = 1.96 * 40.96 * np.sqrt(p * (1 - p)).sum()
    assert apart < found.interval[1] < together


def test_change_of_an_area_is_the_table_of_changes(made, collected):
    weights = {0: np.full((30, 20), 0.5)}
    before, after = collected.scenes[1].day, collected.scenes[2].day
    found = describe_change(made, weights, before, after)
    (table,) = [one for one in collected.changes if one.after == after]
    changed = table.state == 2
    assert found.measured
    assert found.moves.sum() == pytest.approx(20.48 * changed.sum())
    assert found.doubt.sum() == pytest.approx(20.48 * (1 - table.p_change[changed] / 100).sum())
    assert found.sure + found.doubt.sum() == pytest.approx(found.moves.sum())


def test_dates_not_in_the_table_of_changes_are_called_no_change(made, collected):
    weights = {0: np.ones((30, 20))}
    found = describe_change(made, weights, collected.scenes[0].day, collected.scenes[2].day)
    assert not found.measured
    assert found.moves.sum() == 0
    assert found.differ > 0


def test_years_become_the_dates_nearest_in_season():
    days = [date(2018, 1, 5), date(2018, 7, 1), date(2024, 6, 20), date(2024, 12, 1), date(1970, 1, 1)]
    assert choose_dates(days, ("2018", "2024")) == (date(2018, 7, 1), date(2024, 6, 20))
    assert choose_dates(days, ("2018-01-05", "2024")) == (date(2018, 1, 5), date(2024, 12, 1))
    with pytest.raises(TileTableError, match="it was seen on 2018-01-05"):
        choose_dates(days, ("2018", "2030"))
    with pytest.raises(TileTableError, match="no two dates"):
        choose_dates(days, ("1970", "2018"))


def write_area(folder, outline):
    path = folder / "district.geojson"
    geometry = shapely.to_geojson(outline.shape)
    path.write_text(f'{{"type": "Feature", "properties": {{"gemeinde": "{outline.name}"}}, "geometry": {geometry}}}')
    return path


@pytest.mark.parametrize("kind", ["html", "pdf"])
def test_one_command_writes_a_report(world, district, tmp_path, kind):
    out = tmp_path / f"report.{kind}"
    area = write_area(tmp_path, district)
    wanted = ["--name-field", "gemeinde", "--between", "2019-07,2020", "-o", str(out)]
    answer = CliRunner().invoke(main, ["report", str(world), "--area", str(area), *wanted])
    assert answer.exit_code == 0, answer.output
    if kind == "html":
        text = out.read_text()
        assert "District &lt;A&gt;" in text
        assert "http" not in text.replace("http-equiv", "")
        reader = HTMLParser()
        reader.feed(text)
        assert text.count("<img") == 4
    else:
        document = pypdfium2.PdfDocument(out.read_bytes())
        text = "".join(page.get_textpage().get_text_range() for page in document)
        assert all(np.asarray(page.render(scale=0.5).to_pil().convert("L")).std() > 1 for page in document)
        document.close()
        assert "District <A>" in text
    for word in ("expected false", "Lost, gained, net", "Method", "Uncertainty", "98.2 %", "Copernicus", "5 Jul 2019"):
        assert word in text, word


def test_the_map_shows_the_classes(made, district):
    from pipeline.atlas.drawing import draw_map

    weights = area_weights(made.payload, range(1), district)
    png = draw_map(made, describe_area("district", made, weights), made.payload.dates[2], district)
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    for k in np.unique(made.collected.scenes[2].codes[10:20, 6:14]):
        if k >= 0:
            colour = [int(EUROSAT.classes[k].colour[at : at + 2], 16) for at in (1, 3, 5)]
            assert (np.abs(pixels - colour).max(axis=2) <= 1).sum() > 100


def test_of_several_places_one_must_be_told(tmp_path):
    shares = worlds.softmax(worlds.logits((6, 4)))
    for name, epsg, col in (("one", 32632, 900), ("two", 32629, 800)):
        worlds.write_scene(tmp_path / "tiles", name, worlds.days(1)[0], epsg, col, 8281, shares, pictures=False)
    (tmp_path / "tiles" / "run.json").write_text(
        '{"scenes": [{"id": "one", "status": "done"}, {"id": "two", "status": "done"}]}'
    )
    out = ["-o", str(tmp_path / "report.html")]
    answer = CliRunner().invoke(main, ["report", str(tmp_path / "tiles"), *out])
    assert answer.exit_code == 1
    assert "--place" in " ".join(answer.output.split())
    answer = CliRunner().invoke(main, ["report", str(tmp_path / "tiles"), "--place", "two", *out])
    assert answer.exit_code == 0, answer.output
    assert len(collect(tmp_path / "tiles").scenes) == 2
