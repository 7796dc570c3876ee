"""One pass over a granule is one scene: halves merge, duplicates and older makings step back by name."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.scene import UNMASKED, Level, Refusal, Scene
from tests.builders import Safe, band_folder, surface, write_item, write_safe, zipped
from tests.scenes.helpers import BANDS, codes, halves, scenes, truth


def parted(folder):
    found = list(find_scenes(folder))
    return [entry for entry in found if isinstance(entry, Scene)], [
        entry for entry in found if isinstance(entry, Refusal)
    ]


def test_date_is_that_of_sensing_not_of_the_datatake(tmp_path):
    write_safe(
        tmp_path,
        Safe(start=datetime(2023, 6, 14, 23, 55, 0, tzinfo=UTC), sensed=datetime(2023, 6, 15, 0, 8, 48, tzinfo=UTC)),
    )
    (scene,) = scenes(tmp_path)
    assert scene.acquired.date().isoformat() == "2023-06-15" and "20230614T235500" in scene.id


def test_complementary_halves_are_merged(tmp_path):
    first, second = halves(tmp_path)
    (scene,) = scenes(tmp_path)
    assert len(scene.overlays) == 1
    assert any(first.name in text or second.name in text for text in scene.warnings)
    parts = {part for path in (*scene.files, *scene.overlays[0].files) for part in path.parts}
    assert {first.name, second.name} <= parts, "both sources are inputs of the scene"
    found, valid = codes(scene)
    assert valid.all() and np.array_equal(found, truth(surface()))
    with SceneReader(scene) as reader:
        assert (reader.read_quality(scene.bounds) > 0).all()


@pytest.mark.parametrize("how", ["copied folder", "zip beside folder"])
def test_exact_duplicates(tmp_path, how):
    tree = write_safe(tmp_path / "in")
    if how == "copied folder":
        shutil.copytree(tree, tmp_path / "in" / "again" / tree.name)
    else:
        zipped(tree, tmp_path / "in" / f"{tree.name}.zip")
    kept, refused = parted(tmp_path / "in")
    assert len(kept) == 1 and len(refused) == 1
    assert refused[0].error == "SupersededScene" and "duplicate" in refused[0].reason and tree.name in refused[0].reason


def test_identical_but_for_the_second_of_making(tmp_path):
    write_safe(tmp_path, Safe(generated=datetime(2023, 6, 14, 13, 0, 0, tzinfo=UTC)))
    newer = write_safe(tmp_path, Safe(generated=datetime(2023, 6, 14, 13, 0, 1, tzinfo=UTC)))
    (kept,), (refused,) = parted(tmp_path)
    assert any(newer.name in str(path) for path in kept.files) and newer.name in refused.reason


@pytest.mark.parametrize(
    ("older", "newer"), [("02.14", "05.00"), ("02.09", "02.14"), ("03.01", "05.10"), ("05.09", "05.10")]
)
def test_newer_baseline_wins(tmp_path, older, newer):
    old = write_safe(tmp_path, Safe(baseline=older, offset=None if older < "04" else -1000))
    new = write_safe(
        tmp_path,
        Safe(
            baseline=newer, offset=None if newer < "04" else -1000, generated=datetime(2023, 6, 14, 12, 0, tzinfo=UTC)
        ),
    )
    (kept,), (refused,) = parted(tmp_path)
    assert kept.radiometry.baseline == newer
    assert refused.error == "SupersededScene" and old.name in refused.reason and new.name in refused.reason


def test_one_level_of_a_pass(tmp_path):
    write_safe(tmp_path, Safe(level="L1C"))
    write_safe(tmp_path, Safe(level="L2A"))
    (kept,), (refused,) = parted(tmp_path)
    assert kept.level is Level.L1C
    assert refused.error == "SupersededScene" and "one level" in refused.reason


@pytest.mark.parametrize(
    "other", [{"platform": "S2A"}, {"start": datetime(2023, 6, 14, 11, 46, 9, tzinfo=UTC)}, {"tile": "32TPS"}]
)
def test_other_passes_of_a_day_stay(tmp_path, other):
    write_safe(tmp_path)
    write_safe(tmp_path, Safe(**other))
    assert len({scene.id for scene in scenes(tmp_path)}) == 2


def test_items_of_one_pass(tmp_path):
    strip = "S2A_OPER_MSI_L2A_DS_X_20220612T130000_S20220612T103412_N04.00"
    facts = {
        "s2:datatake_id": "GS2A_20220612T103000_036413_N04.00",
        "grid:code": "MGRS-32TPR",
        "s2:datastrip_id": strip,
    }
    for number in (0, 1):
        home = band_folder(tmp_path / str(number))
        assets = {band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4, "raster:offset": 0}]) for band in BANDS}
        write_item(home / "item.json", assets, id=f"S2A_32TPR_20220612_{number}_L2A", **facts)
    (_,), (refused,) = parted(tmp_path)
    assert refused.error == "SupersededScene"


def test_ids_are_unique_and_safe_for_files(tmp_path):
    for name in ("a", "b"):
        band_folder(tmp_path / name / "scene 20210703 <b>ü</b>")
    write_item(
        tmp_path / "c" / "item.json",
        {band: (f"{band}.tif", [{"name": band}]) for band in BANDS},
        id="../../evil\n<script>" + "x" * 300,
    )
    band_folder(tmp_path / "c")
    ids = [scene.id for scene in scenes(tmp_path)]
    assert len(set(ids)) == 3
    for text in ids:
        assert (
            0 < len(text) <= 64
            and set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
            and text[0] not in ".-"
        )


def test_answer_does_not_depend_on_the_folder_name(tmp_path):
    for name in ("one", "zwei drei"):
        halves(tmp_path / name)
        band_folder(tmp_path / name / "loose")
        band_folder(tmp_path / name)
        band_folder(tmp_path / name / "B02 20200101", suffix="jp2")

    def answer(name):
        return [
            (entry.id, entry.acquired if isinstance(entry, Scene) else entry.error)
            for entry in find_scenes(tmp_path / name)
        ]

    assert answer("one") == answer("zwei drei") and len(answer("one")) == 4


def test_crops_of_one_granule_that_lie_apart_are_two_scenes(tmp_path):
    facts = {
        "s2:datatake_id": "GS2A_20220612T101559_036398_N04.00",
        "grid:code": "MGRS-32TPR",
        "s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_X_20220612T162700_S20220612T101602_N04.00",
    }
    for name, west in (("town", 600_000), ("lake", 634_000), ("again", 600_000)):
        band_folder(tmp_path / name, west=west)
        assets = {b: (f"{b}.tif", [{"name": b, "raster:scale": 1e-4, "raster:offset": 0}]) for b in BANDS}
        write_item(tmp_path / name / "item.json", assets, id=name, **facts)
    found = list(find_scenes(tmp_path))
    assert sorted(entry.bounds[0] for entry in found if isinstance(entry, Scene)) == [600_000, 634_000]
    assert [entry.error for entry in found if isinstance(entry, Refusal)] == ["SupersededScene"]


@pytest.mark.parametrize("masked", [True, False])
def test_l1c_beside_l2a_keeps_its_cloud_mask_or_says_that_there_is_none(tmp_path, masked):
    classes = np.full((100, 165), 9, np.uint8)
    write_safe(tmp_path, Safe(level="L1C"))
    write_safe(tmp_path, Safe(level="L2A"), scl=classes if masked else None)
    (scene,) = (entry for entry in find_scenes(tmp_path) if isinstance(entry, Scene))
    assert scene.level is Level.L1C
    with SceneReader(scene) as reader:
        quality = reader.read_quality(scene.bounds)
    if masked:
        assert (quality == 9).all() and any("cloud mask is that of the L2A" in text for text in scene.warnings)
        assert any("SCL" in path.name for path in scene.files)
    assert (quality is None) == (UNMASKED in scene.warnings) == (not masked)
