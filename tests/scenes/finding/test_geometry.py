"""Everything lands on the right place of the zone's grid, or is refused."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds
from scipy import ndimage
from shapely.geometry import MultiPolygon, Point

from pipeline.bands import RGB
from pipeline.errors import IncompleteScene
from pipeline.grid import TileGrid
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.scene import ReadOptions
from tests.builders import EPSG, NORTH, WEST, Safe, band_folder, stored, surface, write_jp2, write_safe, write_tif
from tests.scenes.helpers import BANDS, codes, refusal, scenes, truth


def bands_at(folder, pixels, **place):
    for band in RGB:
        write_tif(folder / f"{band}.tif", pixels, **place)
    return folder


def flat(rows=200, columns=330, value=700):
    return np.full((rows, columns), value, np.uint16)


def test_windows_beyond_the_data_are_filled(tmp_path):
    band_folder(tmp_path)
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as reader:
        pixels, valid = reader.read((WEST - 50, NORTH - 100, WEST + 100, NORTH + 30), BANDS)
        nothing, none = reader.read((WEST - 5000, NORTH - 100, WEST - 4000, NORTH), BANDS)
    assert pixels.shape == (3, 13, 15) and valid.shape == (13, 15)
    assert not valid[:3].any() and not valid[:, :5].any() and valid[3:, 5:].all()
    assert np.array_equal(pixels[:, 3:, 5:], np.stack([stored(surface()[band])[:10, :10] for band in BANDS]))
    assert not nothing.any() and not none.any()


@pytest.mark.parametrize(("rows", "columns"), [(63, 63), (64, 64), (65, 65), (64, 1098)])
def test_sizes_around_a_tile(tmp_path, rows, columns):
    bands_at(tmp_path, flat(rows, columns), west=601_600, north=5_100_160)
    (scene,) = scenes(tmp_path)
    across, down = TileGrid(scene.epsg).covering(scene.bounds)
    assert (len(across), len(down)) == (-(-columns // 64), -(-rows // 64))


def test_a_crop_reads_the_same_numbers(tmp_path):
    whole = {band: stored(value) for band, value in surface().items()}
    for band, pixels in whole.items():
        write_tif(tmp_path / "whole" / f"{band}.tif", pixels)
        write_tif(tmp_path / "crop" / f"{band}.tif", pixels[37:180, 53:300], west=WEST + 530, north=NORTH - 370)
    (first,), (second,) = scenes(tmp_path / "whole"), scenes(tmp_path / "crop")
    bounds = second.bounds
    with SceneReader(first) as one, SceneReader(second) as other:
        assert np.array_equal(one.read(bounds, BANDS)[0], other.read(bounds, BANDS)[0])


def test_no_reference_system(tmp_path):
    bands_at(tmp_path, flat(), epsg=None)
    refused = refusal(tmp_path)
    assert refused.error == "GeoreferenceError" and "--assume-crs" in refused.reason
    (scene,) = scenes(tmp_path, ReadOptions(assume_crs=EPSG))
    with SceneReader(scene) as reader:
        assert (reader.read(scene.bounds, BANDS)[0] == 700).all()


@pytest.mark.parametrize(
    "transform",
    [
        Affine.identity(),
        from_origin(WEST, NORTH, 10, 10) * Affine.rotation(20),
        Affine(10, 0, WEST, 0, 0, NORTH),
        Affine(float("nan"), 0, WEST, 0, -10, NORTH),
    ],
    ids=["identity", "rotated", "degenerate", "not a number"],
)
def test_unusable_transforms(tmp_path, transform):
    bands_at(tmp_path, flat(), transform=transform)
    assert refusal(tmp_path).error == "GeoreferenceError"


def test_south_up_is_flipped_exactly(tmp_path):
    reflectance = surface()
    for band, value in reflectance.items():
        write_tif(tmp_path / f"{band}.tif", stored(value)[::-1], transform=Affine(10, 0, WEST, 0, 10, NORTH - 2000))
    (scene,) = scenes(tmp_path)
    assert scene.bounds == (WEST, NORTH - 2000, WEST + 3300, NORTH)
    assert np.array_equal(codes(scene)[0], truth(reflectance))


ENGINEERING = 'ENGCRS["plant",EDATUM["x"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],UNIT["metre",1]]'


@pytest.mark.parametrize("crs", ['LOCAL_CS["a room",UNIT["metre",1]]', ENGINEERING])
def test_local_systems_are_no_place_on_earth(tmp_path, crs):
    bands_at(tmp_path, flat(), epsg=crs)
    assert refusal(tmp_path).error == "GeoreferenceError"


def gradient(crs, transform, rows, columns):
    """Numbers that tell the place: easting and northing in the zone, in units of 10 m, from a corner."""
    col, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    x, y = transform.a * col + transform.c, transform.e * row + transform.f
    east, north = Transformer.from_crs(crs, EPSG, always_xy=True).transform(x, y)
    return (np.asarray(east) - WEST) / 10 + 2000, (np.asarray(north) - NORTH) / 10 + 2000


@pytest.mark.parametrize("case", ["degrees", "web mercator", "feet", "9.9 m", "half a pixel", "12 m"])
def test_resampling_keeps_the_place(tmp_path, case):
    """A linear ramp in easting and northing must come back as that ramp: a shift of a pixel is 1 DN."""
    systems = {
        "degrees": "EPSG:4326",
        "web mercator": "EPSG:3857",
        "feet": "+proj=utm +zone=32 +datum=WGS84 +units=us-ft",
    }
    crs = systems.get(case, f"EPSG:{EPSG}")
    gsd = {"9.9 m": 9.9, "12 m": 12.0}.get(case, 10.0)
    left, bottom, right, top = transform_bounds(f"EPSG:{EPSG}", crs, WEST, NORTH - 2000, WEST + 3300, NORTH)
    rows, columns = 220, 340
    if case == "half a pixel":
        left, top = WEST + 5, NORTH - 5
    if case in ("9.9 m", "12 m", "half a pixel"):
        transform = from_origin(left, top, gsd, gsd)
    else:
        transform = from_origin(left, top, (right - left) / columns, (top - bottom) / rows)
    east, north = gradient(crs, transform, rows, columns)
    for band, value in zip(RGB, (east, north, east), strict=True):
        write_tif(tmp_path / f"{band}.tif", np.rint(value * 10).astype(np.uint16), epsg=crs, transform=transform)
    (scene,) = scenes(tmp_path)
    assert any("resampled" in text for text in scene.warnings)
    with SceneReader(scene) as reader:
        pixels, valid = reader.read(scene.bounds, ("B02", "B03"))
    left, _, _, top = scene.bounds
    y, x = np.mgrid[0 : valid.shape[0], 0 : valid.shape[1]]
    expected = np.stack([(left + 10 * (x + 0.5) - WEST) / 10 + 2000, (top - 10 * (y + 0.5) - NORTH) / 10 + 2000]) * 10
    inner = ndimage.binary_erosion(valid, iterations=4)
    assert inner.mean() > 0.5
    assert np.abs(pixels - expected)[:, inner].max() < 2.5, "a quarter of a pixel"


@pytest.mark.parametrize(
    ("gsd", "error"), [(20.0, "ResolutionError"), (60.0, "ResolutionError"), (2.5, "ResolutionError")]
)
def test_pixels_too_coarse_or_too_fine(tmp_path, gsd, error):
    bands_at(tmp_path, flat(), gsd=gsd)
    refused = refusal(tmp_path)
    assert refused.error == error and f"{gsd:.1f} m" in refused.reason


def test_degrees_of_eleven_metres(tmp_path):
    bands_at(tmp_path, flat(), epsg=4326, transform=from_origin(11.5, 46.0, 1e-4, 1e-4))
    (scene,) = scenes(tmp_path)
    assert scene.epsg == EPSG and any("9.3 m" in text for text in scene.warnings)


def test_almost_ten_metres_is_ten_where_it_makes_no_difference(tmp_path):
    bands_at(tmp_path, flat(), gsd=10.0001)
    (scene,) = scenes(tmp_path)
    assert not any("resampled" in text for text in scene.warnings)


def test_one_required_band_at_20_m_is_refused_never_stacked_by_shape(tmp_path):
    band_folder(tmp_path)
    write_tif(tmp_path / "B04.tif", flat(), gsd=20.0)
    assert refusal(tmp_path).error == "ResolutionError"


def test_coarse_bands_are_resampled_where_a_model_needs_them(tmp_path):
    band_folder(tmp_path)
    ramp = np.tile(np.arange(165, dtype=np.uint16) * 20 + 500, (100, 1))
    write_tif(tmp_path / "B11.tif", ramp, gsd=20.0)
    (scene,) = scenes(tmp_path, ReadOptions(required=(*RGB, "B11")))
    with SceneReader(scene) as reader:
        pixels, valid = reader.read(scene.bounds, ("B11", "B02"))
    assert valid.all() and np.array_equal(pixels[1], stored(surface()["B02"]))
    expected = 500 + 20 * (np.arange(330) / 2 - 0.25)
    assert np.abs(pixels[0, 50, 4:-4] - expected[4:-4]).max() <= 1


def test_bands_of_different_extent_meet_in_what_they_share(tmp_path):
    band_folder(tmp_path)
    write_tif(tmp_path / "B03.tif", flat(), west=WEST + 500)
    (scene,) = scenes(tmp_path)
    assert scene.bounds == (WEST + 500, NORTH - 2000, WEST + 3300, NORTH)
    write_tif(tmp_path / "B03.tif", flat(), west=WEST + 50_000)
    assert refusal(tmp_path).error == "GeoreferenceError"


def test_metadata_and_file_disagree_on_the_zone(tmp_path):
    tree = write_safe(tmp_path)
    write_jp2(tree / Safe().image("B03"), flat(), epsg=32633)
    refused = refusal(tmp_path)
    assert refused.error == "GeoreferenceError" and "32633" in refused.reason and "32632" in refused.reason


def area(geometry):
    from pyproj import Geod

    return abs(Geod(ellps="WGS84").geometry_area_perimeter(geometry)[0])


@pytest.mark.parametrize(
    ("epsg", "west", "north", "south_of_equator"),
    [
        (32701, 99_960, 7_700_020, True),
        (32660, 700_020, 5_000_040, False),
        (32633, 499_980, 9_000_000, False),
        (32631, 300_000, 100_020, False),
        (32732, 600_000, 9_900_040, True),
    ],
    ids=["antimeridian west", "antimeridian east", "80 north", "mgrs band N", "southern"],
)
def test_far_corners_of_the_earth(tmp_path, epsg, west, north, south_of_equator):
    bands_at(tmp_path, flat(1000, 1100), epsg=epsg, west=west, north=north, gsd=10.0, compress="deflate")
    (scene,) = scenes(tmp_path)
    assert scene.epsg == epsg and scene.footprint.is_valid
    assert area(scene.footprint) == pytest.approx(10_000 * 11_000, rel=0.005)
    left, _, right, top = scene.footprint.bounds
    assert left >= -180 and right <= 180 and (top < 0.0) is south_of_equator
    if isinstance(scene.footprint, MultiPolygon):
        assert (
            left == -180 and right == 180 and all(part.bounds[2] - part.bounds[0] < 2 for part in scene.footprint.geoms)
        )
    else:
        assert right - left < 2
    # A corner is where pyproj puts it, to the metre.
    longitude, latitude = Transformer.from_crs(epsg, 4326, always_xy=True).transform(west, north)
    longitude = (longitude + 180) % 360 - 180
    assert scene.footprint.distance(Point(longitude, latitude)) < 1e-5


def test_antimeridian_footprint_is_split(tmp_path):
    bands_at(tmp_path, flat(1000, 1100), epsg=32701, west=179_980, north=8_000_020)
    (scene,) = scenes(tmp_path)
    longitude, _ = Transformer.from_crs(32701, 4326, always_xy=True).transform(
        [179_980, 190_980], [8_000_020, 8_000_020]
    )
    assert longitude[0] > 0 > longitude[1], "the fixture spans longitude 180"
    assert isinstance(scene.footprint, MultiPolygon) and len(scene.footprint.geoms) == 2


def test_edges_are_densified(tmp_path):
    """At 60 north the straight line between a granule's corners misses the true edge by hundreds of metres."""
    for band in RGB:
        path = tmp_path / f"{band}.tif"
        size = {"width": 10980, "height": 10980, "count": 1, "dtype": "uint16"}
        place = {"crs": "EPSG:32632", "transform": from_origin(499_980, 6_700_020, 10, 10)}
        with rasterio.open(path, "w", driver="GTiff", sparse_ok=True, tiled=True, **size, **place):
            pass
    (scene,) = scenes(tmp_path)
    longitude, latitude = Transformer.from_crs(32632, 4326, always_xy=True).transform(499_980 + 54_900, 6_700_020)
    assert scene.footprint.boundary.distance(Point(longitude, latitude)) < 2e-5


def test_scene_of_degrees_belongs_to_the_zone_of_its_centre(tmp_path):
    bands_at(tmp_path, flat(), epsg=4326, transform=from_origin(11.99, 46.0, 1.2e-4, 1e-4))
    (scene,) = scenes(tmp_path)
    assert scene.epsg == 32633


def test_a_model_that_needs_absent_bands(tmp_path):
    band_folder(tmp_path)
    refused = refusal(tmp_path, ReadOptions(required=("B02", "B12")))
    assert refused.error == "IncompleteScene" and "B12" in refused.reason and "B02" not in refused.reason
    (scene,) = scenes(tmp_path)
    with SceneReader(scene) as reader, pytest.raises(IncompleteScene):
        reader.read(scene.bounds, ("B12",))


def test_optional_bands_that_do_not_read_are_left_out(tmp_path):
    band_folder(tmp_path)
    write_tif(tmp_path / "B08.tif", flat(), gsd=300.0)
    (tmp_path / "B11.tif").write_bytes(b"II*\0garbage")
    (scene,) = scenes(tmp_path)
    assert set(scene.assets) == set(RGB)
    assert sum("left out" in text for text in scene.warnings) == 2


def test_one_band_on_another_grid_is_told(tmp_path):
    band_folder(tmp_path)
    write_tif(tmp_path / "B02.tif", flat(), gsd=10.03)
    (scene,) = scenes(tmp_path)
    assert any(text.startswith("B02: pixels of 10.0 m in another grid") for text in scene.warnings)
    with SceneReader(scene) as reader:
        assert np.unique(reader.read(scene.bounds, ("B02",))[0]).tolist() == [700]


@pytest.mark.parametrize("corner", [(4e7, NORTH), (WEST, -3e8), (-2e7, 9.9e6), (1e300, NORTH)])
def test_coordinates_far_outside_their_system(tmp_path, corner):
    bands_at(tmp_path, flat(), transform=from_origin(*corner, 10, 10))
    assert refusal(tmp_path).error == "GeoreferenceError"
