"""The page's scripts without a DOM, run in QuickJS against pyproj and numpy."""

import itertools
import json
from importlib import resources

import numpy as np
import pytest
import shapely
import shapely.affinity
from pyproj import Transformer

quickjs = pytest.importorskip("quickjs", reason="the JavaScript core needs the quickjs package")

PLANES = [
    {"epsg": 32632, "ulx": 640 * 1020, "uly": 640 * 8230, "rows": 40, "cols": 70},
    {"epsg": 32633, "ulx": 640 * 380, "uly": 640 * 8235, "rows": 50, "cols": 60},
    {"epsg": 32719, "ulx": 640 * 700, "uly": 640 * 9000, "rows": 30, "cols": 20},
]

CHANGE = (
    "(({percent, state, measured, estimated}) => ({percent: Array.from(percent), state: Array.from(state), "
    "measured, estimated}))(data.change(0, 1))"
)


class Engine:
    def __init__(self) -> None:
        self.context = quickjs.Context()
        for name in ("projection", "grid", "data", "change", "coverage"):
            self.context.eval(resources.files("pipeline.atlas").joinpath("static", "core", f"{name}.js").read_text())

    def __call__(self, expression: str):
        return json.loads(self.context.eval(f"JSON.stringify({expression})"))

    def run(self, code: str) -> None:
        self.context.eval(code)


@pytest.fixture(scope="module")
def engine() -> Engine:
    js = Engine()
    js.run(f"var grid = new Atlas.Grid({json.dumps(PLANES)}, 640);")
    return js


@pytest.mark.parametrize("epsg", [32601, 32632, 32660, 32701, 32733, 32760])
def test_the_projection_agrees_with_proj(engine, epsg):
    generator = np.random.default_rng(epsg)
    meridian = epsg % 100 * 6 - 183
    lat = generator.uniform(0, 83, 100) if epsg < 32700 else generator.uniform(-79, 0, 100)
    lon = meridian + generator.uniform(-4.5, 4.5, 100)
    there = np.array(
        engine(
            f"{json.dumps(np.c_[lat, lon].tolist())}.map(([a, b]) => "
            f"Atlas.projection.forward(Atlas.projection.zone({epsg}), a, b, [0, 0]))"
        )
    )
    expected = np.c_[Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)]
    assert np.abs(there - expected).max() < 1e-5
    back = np.array(
        engine(
            f"{json.dumps(expected.tolist())}.map(([a, b]) => "
            f"Atlas.projection.inverse(Atlas.projection.zone({epsg}), a, b, [0, 0]))"
        )
    )
    assert np.abs(back[:, 0] - lat).max() < 1e-9
    assert np.abs((back[:, 1] - lon + 180) % 360 - 180).max() < 1e-9


def expected_index(view: dict) -> np.ndarray:
    """The tile under every pixel, pixel by pixel with pyproj; earlier planes first."""
    y, x = np.indices((view["height"], view["width"]))
    lon = (view["x"] + x + 0.5) / view["world"] * 360 - 180
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (view["y"] + y + 0.5) / view["world"]))))
    out, offset = np.full(x.shape, -1), 0
    for plane in PLANES:
        east, north = Transformer.from_crs(4326, plane["epsg"], always_xy=True).transform(lon, lat)
        with np.errstate(invalid="ignore"):
            col, row = np.floor((east - plane["ulx"]) / 640), np.floor((plane["uly"] - north) / 640)
            inside = (
                np.isfinite(east) & (col >= 0) & (row >= 0) & (col < plane["cols"]) & (row < plane["rows"]) & (out < 0)
            )
        out[inside] = (offset + row * plane["cols"] + col)[inside].astype(int)
        offset += plane["rows"] * plane["cols"]
    return out


@pytest.mark.parametrize(
    ("zoom", "limit"), [(5, 0.004), (7, 0.003), (9, 0.002), (10.25, 0.001), (12, 0.0002), (14, 0.0)]
)
@pytest.mark.parametrize("place", [(47.4, 11.95), (-38.4, -69.55)])
def test_the_index_image_agrees_with_proj(engine, zoom, limit, place):
    world, width, height = 256 * 2**zoom, 192, 128
    lat, lon = np.radians(place[0]), place[1]
    x = round((lon + 180) / 360 * world - width / 2)
    y = round((0.5 - np.arcsinh(np.tan(lat)) / (2 * np.pi)) * world - height / 2)
    view = {"x": x, "y": y, "width": width, "height": height, "world": world}
    found = np.array(
        engine(f"Array.from(grid.indexImage({json.dumps(view)}, new Int32Array({width * height}), null))")
    ).reshape(height, width)
    expected = expected_index(view)
    assert (expected >= 0).any()
    assert (found != expected).mean() <= limit


def test_the_index_image_repeats_with_the_world(engine):
    view = {"x": 8710, "y": 5700, "width": 64, "height": 96, "world": 16384}
    shifted = view | {"x": view["x"] + view["world"]}
    one, two = (
        engine(f"Array.from(grid.indexImage({json.dumps(v)}, new Int32Array({64 * 96}), null))")
        for v in (view, shifted)
    )
    assert one == two
    assert max(one) > 0


def test_looking_up_a_centre_gives_the_tile_and_its_id(engine):
    for tile in (0, 69, 70, 1234, 2799, 2800, 5799, 5800, 6399):
        lat, lon = engine(f"grid.centre({tile})")
        found = engine(f"grid.at({lat}, {lon}, (t) => t === {tile})")
        assert found == tile
    assert engine("grid.id(71)") == "32632_1021_8228"
    assert engine("grid.at(0, 0)") == -1
    assert engine(
        "[grid.neighbour(71, 1, 0), grid.neighbour(71, 0, -1), grid.neighbour(70, 0, -1), grid.neighbour(5, -1, 0)]"
    ) == [141, 70, -1, -1]


@pytest.fixture(scope="module")
def tiles(engine) -> dict:
    """Two dates on two planes with random answers, in Python and in the engine."""
    generator = np.random.default_rng(4)
    planes = [
        {"epsg": 32632, "ulx": 0, "uly": 640 * 13, "rows": 13, "cols": 7},
        {"epsg": 32633, "ulx": 0, "uly": 640 * 5, "rows": 5, "cols": 9},
    ]
    size = 13 * 7 + 5 * 9
    classes = generator.integers(0, 10, (2, size)).astype(np.uint8)
    classes[1] = np.where(generator.random(size) < 0.7, classes[0], classes[1])
    classes[0, ::11], classes[1, ::13], classes[1, 5::17] = 253, 255, 252
    confidence = generator.integers(30, 101, (2, size)).astype(np.uint8)
    confidence[1, 91:100] |= 0x80
    runner = ((classes + generator.integers(1, 10, (2, size))) % 10).astype(np.uint8)
    second = np.minimum(confidence & 127, 100 - np.minimum(confidence & 127, 100)) // 2
    owner, valid, cloud = np.zeros(91, np.uint8), np.full((2, size), 100, np.uint8), np.zeros((2, size), np.uint8)
    meta = {
        "dates": ["2020-01-01", "2021-01-01"],
        "expected": {"land": 0.05, "classShare": 0.2},
        "layers": [
            {"date": d, "plane": p, "scenes": [p, 2] if (d, p) == (0, 0) else [p]} for d in (0, 1) for p in (0, 1)
        ],
        "pairs": [{"before": 0, "after": 1, "plane": 1, "vector": True, "label": False}],
    }
    owner[3] = 1
    percent, state = generator.integers(0, 101, 45), generator.integers(0, 3, 45)
    state[7] = percent[7] = 255
    core = [*classes.ravel().tolist(), *confidence.ravel().tolist()]
    details = [
        *runner.ravel().tolist(),
        *second.ravel().tolist(),
        *valid.ravel().tolist(),
        *cloud.ravel().tolist(),
        *owner.tolist(),
    ]
    details += [*percent.tolist(), *state.tolist(), *percent.tolist()]
    engine.run(
        f"var two = new Atlas.Grid({json.dumps(planes)}, 640), data = new Atlas.TileData({json.dumps(meta)}, two, "
        f"10, new Uint8Array({core}));"
    )
    engine.run(f"data.addDetails(new Uint8Array({details}));")
    return {
        "classes": classes,
        "confidence": confidence,
        "runner": runner,
        "second": second,
        "percent": percent,
        "state": state,
        "size": size,
    }


def test_areas_count_each_place_once(engine, tiles):
    for date, threshold in ((0, 0), (1, 0), (1, 60)):
        found = np.array(engine(f"Array.from(data.areas({date}, {threshold}))"))
        classes, confidence = tiles["classes"][date], tiles["confidence"][date]
        counted = confidence < 128
        for code in range(10):
            assert found[code] == ((classes == code) & counted & ((confidence & 127) >= threshold)).sum()
        assert found[253] == ((classes == 253) & counted).sum()
        assert found[252] == ((classes == 252) & counted).sum()
        assert found[255] == 0


def test_areas_of_a_part_and_the_histogram(engine, tiles):
    inside = np.arange(tiles["size"]) % 3 == 0
    found = np.array(
        engine(
            f"Array.from(data.areas(0, 0, {{key: 'part', planes: two.planes, weight: "
            f"new Float32Array({(0.5 * inside).tolist()})}}))"
        )
    )
    assert found[:10].sum() == 0.5 * (inside & (tiles["classes"][0] < 10) & (tiles["confidence"][0] < 128)).sum()
    histogram = np.array(engine("Array.from(data.histogram(1))"))
    known = (tiles["classes"][1] < 10) & (tiles["confidence"][1] < 128)
    assert (histogram == np.bincount(tiles["confidence"][1][known], minlength=101)).all()


def test_the_owner_of_a_shared_tile_is_told(engine, tiles):
    assert engine("[data.sceneOf(0, 2), data.sceneOf(0, 3), data.sceneOf(1, 3), data.sceneOf(0, 100)]") == [0, 2, 0, 1]


def test_changes_come_from_the_table_where_it_speaks(engine, tiles):
    change = engine(CHANGE)
    classed = (tiles["classes"] < 10).all(axis=0)
    known = (tiles["state"] < 255) & classed[91:]
    assert (np.array(change["percent"])[91:][known] == tiles["percent"][known]).all()
    assert (np.array(change["state"])[91:][known] == tiles["state"][known]).all()
    assert change["measured"]
    assert change["estimated"]
    assert (np.array(change["state"])[~classed] == 255).all()
    assert (np.array(change["state"])[classed] < 3).all()


LINKED = """(function (percent, state, classes, dates) {
    const grid = new Atlas.Grid([{epsg: 32632, ulx: 0, uly: 640, rows: 1, cols: 6}], 640),
        made = new Atlas.TileData({dates, expected: {land: 0.05, classShare: 0.2},
            pairs: [[1, 2], [0, 1], [0, 2]].map(([before, after]) => ({before, after, plane: 0})),
            layers: [0, 1, 2].map((date) => ({date, plane: 0, scenes: [date]}))},
            grid, 10, new Uint8Array([...classes.flat(), ...Array(18).fill(90)]));
    made.addDetails(new Uint8Array([...Array(72).fill(0), ...percent.flatMap((p, k) => [...p, ...state[k]])]));
    const found = made.change(0, 2);
    return {percent: [...found.percent], state: [...found.state], measured: found.measured,
        estimated: found.estimated, expected: made.expectedChange(0, 2)};
})"""


def test_pairs_of_dates_between_are_joined(engine):
    """Tiles: claimed before, claimed later, quiet, doubtful twice, compared past a cloudy date, never compared."""
    no = 255
    later, before, past = [4, 97, 3, 30, no, no], [96, 2, 4, 40, no, no], [no, no, no, no, 70, no]
    states = [[0, 2, 0, 1, no, no], [2, 0, 0, 1, no, no], [no, no, no, no, 1, no]]
    classes = [[1, 1, 1, 1, 1, 1], [7, 1, 1, 1, 253, 1], [7, 7, 1, 1, 1, 1]]
    dates = ["2020-01-01", "2021-01-01", "2022-01-01"]
    found = engine(f"{LINKED}({[later, before, past]}, {states}, {classes}, {json.dumps(dates)})")
    assert found["percent"][:5] == [96, 97, 7, 58, 70]
    assert found["state"][:5] == [2, 2, 0, 1, 1]
    assert found["measured"] and found["estimated"]
    assert found["expected"] == pytest.approx(0.2 * (1 - 0.95 ** (731 / 365.25)))
    undated = engine(
        f"{LINKED}({[later, before, past]}, {states}, {classes}, {json.dumps(['1970-01-01', *dates[1:]])})"
    )
    assert set(undated["state"]) == set(undated["percent"]) == {no}
    assert not undated["measured"] and not undated["estimated"]


def test_transitions_sum_what_the_states_say(engine, tiles):
    engine.run(
        "var plainly = (sums) => Object.fromEntries(Object.entries(sums).map(([k, v]) => [k, v.length ? [...v] : v]));"
    )
    sums = engine("plainly(data.transitions(0, 1, 40))")
    change = engine(CHANGE)
    state, percent = np.array(change["state"]), np.array(change["percent"])
    before, after = tiles["classes"]
    counted = (tiles["confidence"] < 128).any(axis=0) & ((tiles["confidence"] & 127) >= 40).all(axis=0) & (state < 255)
    for value, name in enumerate(("stable", "undecided", "changed")):
        assert sums[name] == pytest.approx(40.96 * (counted & (state == value)).sum())
    changed = counted & (state == 2)
    matrix = np.zeros((10, 10))
    np.add.at(
        matrix, (before[changed & (before < 10) & (after < 10)], after[changed & (before < 10) & (after < 10)]), 40.96
    )
    assert np.allclose(np.array(sums["matrix"]).reshape(10, 10), matrix)
    moved = matrix * (1 - np.eye(10))
    assert np.allclose(sums["lost"], moved.sum(axis=1))
    assert np.allclose(sums["gained"], moved.sum(axis=0))
    assert np.allclose(sums["net"], moved.sum(axis=0) - moved.sum(axis=1))
    doubt = np.zeros((10, 10))
    np.add.at(doubt, (before[changed], after[changed]), 40.96 * (1 - percent[changed] / 100))
    assert np.allclose(np.array(sums["doubt"]).reshape(10, 10), doubt)
    assert sums["falseChanges"] == pytest.approx(40.96 * (1 - percent[changed] / 100).sum())


def test_the_estimate_never_calls_doubt_change(engine, tiles):
    """Two answers of 95 % that differ are no change with 2 % expected, two of 99.9 % are."""
    rate = """(function (sure, second) {
        const s = Atlas.largestAgreement(1, sure, 2, second, 3, sure, 4, second);
        return 0.02 * (1 - s) / 9 / (0.02 * (1 - s) / 9 + 0.98 * s);
    })"""
    assert engine(f"{rate}(0.95, 0.03)") < 0.2
    assert engine(f"{rate}(0.999, 0.0005)") > 0.5


def test_the_largest_agreement_bounds_every_pair_of_distributions(engine):
    generator = np.random.default_rng(8)
    shares = generator.dirichlet(np.full(6, 0.4), (400, 2))
    order = np.argsort(-shares, axis=2)[:, :, :2]
    best = [
        [[[int(c), float(pair[side][c])] for c in order[k, side]] for side in (0, 1)] for k, pair in enumerate(shares)
    ]
    bounds = np.array(engine(f"{json.dumps(best)}.map((both) => Atlas.largestAgreement(...both.flat(2)))"))
    agreement = (shares[:, 0] * shares[:, 1]).sum(axis=1)
    assert (bounds >= agreement - 1e-12).all()
    assert (bounds <= 1).all()
    assert np.median(bounds - agreement) < 0.2


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_coarser_level_keeps_every_class_and_its_share(engine, factor):
    generator = np.random.default_rng(factor)
    rows, cols = 66, 83
    codes = generator.choice(10, (rows, cols), p=[0.4, 0.25, 0.15, 0.01, 0.01, 0.08, 0.05, 0.03, 0.01, 0.01]).astype(
        int
    )
    codes[20:30, 20:50] = 4
    packed = (codes << 7 | 80).ravel().tolist()
    engine.run(
        f"var fine = new Atlas.Grid([{{epsg: 32632, ulx: 0, uly: {640 * rows}, rows: {rows}, cols: {cols}}}], 640), "
        f"coarse = fine.coarser({factor});"
    )
    found = (
        np.array(
            engine(f"Array.from(Atlas.downsample(fine, coarse, {factor}, new Uint16Array({packed}), 7, 255 << 7))")
        )
        >> 7
    )
    assert found.size == -(-rows // factor) * -(-cols // factor)
    for code, count in itertools.zip_longest(*np.unique(codes, return_counts=True)):
        share = count / codes.size
        if count >= 2 * factor**2:
            assert (found == code).any()
            assert abs((found == code).mean() - share) < 0.03 + 2 / found.size


def test_a_coarser_level_shows_what_is_there_beside_nothing(engine):
    engine.run("var strip = new Atlas.Grid([{epsg: 32632, ulx: 0, uly: 2560, rows: 4, cols: 4}], 640);")
    codes = [255 << 7] * 16
    codes[5] = 3 << 7 | 60
    found = engine(f"Array.from(Atlas.downsample(strip, strip.coarser(2), 2, new Uint16Array({codes}), 7, 255 << 7))")
    assert found == [3 << 7 | 60, 255 << 7, 255 << 7, 255 << 7]


def test_ids_lead_back_to_tiles(engine):
    for tile in (0, 71, 2799, 2800, 6399):
        assert engine(f"grid.byId(grid.id({tile}))") == tile
    assert engine("[grid.byId('32632_1_1'), grid.byId('nonsense')]") == [-1, -1]


def test_differences_count_only_tiles_classed_at_both_dates(engine, tiles):
    found = engine(
        "(({before, after}) => [Array.from(before), Array.from(after)])(data.compared(0, 1, 40, data.everywhere()))"
    )
    both = (tiles["classes"] < 10).all(axis=0) & ((tiles["confidence"] & 127) >= 40).all(axis=0)
    both &= (tiles["confidence"] < 128).any(axis=0)
    for date in (0, 1):
        assert found[date][:10] == np.bincount(tiles["classes"][date][both], minlength=10).tolist()
    assert sum(found[0]) == sum(found[1])


def test_dates_without_shared_ground_or_without_a_day_are_not_compared(engine):
    engine.run(
        """var apart = new Atlas.Grid([{epsg: 32632, ulx: 0, uly: 6400, rows: 1, cols: 2}], 640);
        function dated(dates, first, second) {
            const layers = [0, 1].map((date) => ({date, plane: 0, scenes: [date]})), meta = {dates, pairs: [], layers};
            return new Atlas.TileData(meta, apart, 10, new Uint8Array([...first, ...second, 90, 90, 90, 90]));
        }"""
    )
    days = "['2020-01-01', '2021-01-01']"
    assert not engine(f"dated({days}, [1, 255], [255, 1]).comparable(0, 1, apart.planes)")
    assert engine(f"dated({days}, [1, 255], [1, 1]).comparable(0, 1, apart.planes)")
    assert not engine("dated(['1970-01-01', '2021-01-01'], [1, 1], [1, 1]).comparable(0, 1, apart.planes)")


def test_patches_are_joined_tiles_the_surest_first(engine):
    engine.run(
        """var plot = new Atlas.Grid([{epsg: 32632, ulx: 0, uly: 6400, rows: 3, cols: 5}], 640);
        var was = [1,1,1,1,1, 1,1,1,1,1, 1,1,1,1,1], became = [7,1,1,1,0, 1,7,1,1,0, 1,1,1,1,1];
        var plotted = new Atlas.TileData({dates: ['2020-01-01', '2021-01-01'], expected: {land: 0.05, classShare: 0.2},
            pairs: [{before: 0, after: 1, plane: 0}],
            layers: [{date: 0, plane: 0, scenes: [0]}, {date: 1, plane: 0, scenes: [1]}]},
            plot, 10, new Uint8Array([...was, ...became, ...Array(30).fill(99)]));
        var states = became.map((c) => (c === 1 ? 0 : 2)), chances = became.map((c) => (c === 7 ? 60 : 99));
        plotted.addDetails(new Uint8Array([...Array(120).fill(0), ...chances, ...states]));"""
    )
    found = engine("plotted.patches(0, 1, () => true, plotted.everywhere())")
    assert [(patch["from"], patch["to"], sorted(patch["tiles"])) for patch in found] == [(1, 0, [4, 9]), (1, 7, [0, 6])]
    assert [patch["hectares"] for patch in found] == pytest.approx([2 * 40.96] * 2)
    assert [patch["sure"] for patch in found] == pytest.approx([2 * 40.96 * 0.99, 2 * 40.96 * 0.6])


@pytest.mark.parametrize("seed", range(6))
def test_the_part_of_a_tile_inside_an_outline_is_exact(engine, seed):
    """Against shapely, on rings that reach beyond the grid, with holes and several parts."""
    generator = np.random.default_rng(seed)
    turns = np.sort(generator.uniform(0, 2 * np.pi, 9))
    star = np.c_[3.4 + 4.1 * generator.uniform(0.4, 1, 9) * np.cos(turns), 2.6 + 3 * np.sin(turns)]
    hole = shapely.affinity.scale(shapely.Polygon(star), 0.3, 0.3)
    outer = shapely.Polygon(star, [hole.exterior.coords]).buffer(0)
    shape = outer.union(shapely.box(6.2, -1, 9, 0.7))
    parts = [
        [list(ring.coords)[:-1] for ring in (part.exterior, *part.interiors)]
        for part in getattr(shape, "geoms", [shape])
    ]
    found = np.array(engine(f"Array.from(Atlas.coverage({json.dumps(parts)}, 5, 7))")).reshape(5, 7)
    expected = [[shape.intersection(shapely.box(x, y, x + 1, y + 1)).area for x in range(7)] for y in range(5)]
    assert np.allclose(found, expected, atol=1e-6)


def test_outlines_are_read_from_geojson(engine):
    square = [[[0, 0], [0, 1], [1, 1], [0, 0]]]
    found = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": {"name": "A"}, "geometry": {"type": "Polygon", "coordinates": square}},
            {
                "type": "Feature",
                "properties": {"GEN": "B"},
                "geometry": {"type": "MultiPolygon", "coordinates": [square]},
            },
            {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [0, 0]}},
        ],
    }
    areas = engine(f"Atlas.fromGeoJson({json.dumps(found)})")
    assert [area["name"] for area in areas] == ["A", "B"]
    assert areas[0]["polygons"] == [square]
    assert engine("Atlas.fromGeoJson({type: 'FeatureCollection'})") == []
