import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.labelled import Asked, read_labelled, read_names
from pipeline.datasets.pictures import cut, decode, read_bytes
from pipeline.errors import ModelError

WANTED = Asked(("Wood", "Lake"))


def _fill(folder: Path, counts: dict[str, int]) -> Path:
    for code, (label, count) in enumerate(counts.items()):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (64, 64), (10 * code + 5, i, 7)).save(folder / label / f"{label}_{i}.png")
    return folder


def test_folder_and_zip_give_the_same_patches_with_labels_in_the_order_asked_for(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "data", {"Wood": 2, "Lake": 3})
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in folder.rglob("*.png"):
            archive.write(path, f"Top/{path.relative_to(folder)}")
    one, two = read_labelled(folder, WANTED), read_labelled(tmp_path / "data.zip", WANTED)
    assert one.counts.tolist() == [2, 3]
    assert one.names == two.names
    np.testing.assert_array_equal(one.patches, two.patches)
    assert (one.patches[one.labels == 0, 0, 0, 0] == 5).all()
    assert (one.patches[one.labels == 1, 0, 0, 0] == 15).all()
    assert read_labelled(folder).classes == ("Lake", "Wood")


def test_only_the_listed_pictures_are_read(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "data", {"Wood": 4, "Lake": 3})
    (tmp_path / "list.txt").write_text("Wood_1.png\nWood_3.png\n\nLake_0.png\nLake_2.png\n")
    assert read_labelled(folder, Asked(only=read_names(tmp_path / "list.txt"))).names == (
        "Lake_0.png",
        "Lake_2.png",
        "Wood_1.png",
        "Wood_3.png",
    )


@pytest.mark.parametrize("counts", [{"Wood": 1, "Lake": 3}, {"Lake": 3}])
def test_a_class_of_too_few_pictures_is_refused_by_name_where_it_matters(
    tmp_path: Path, counts: dict[str, int]
) -> None:
    folder = _fill(tmp_path / "data", counts)
    with pytest.raises(ModelError, match="class Wood has"):
        read_labelled(folder, Asked(WANTED.classes, least=2))
    assert read_labelled(folder, WANTED).counts.tolist() == [counts.get("Wood", 0), 3]


def test_folders_that_are_no_class_and_hidden_ones_are_left_out_aloud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = _fill(tmp_path / "data", {"Wood": 2, "Beach": 3, "__MACOSX": 1, ".thumbs": 2})
    assert read_labelled(folder).classes == ("Beach", "Wood")
    assert not caplog.records
    assert len(read_labelled(folder, WANTED)) == 2
    assert "3 pictures in folders that are no class asked for are left out (Beach)" in caplog.text
    with pytest.raises(ModelError, match="no pictures in class folders"):
        read_labelled(folder, Asked(("Lake", "River")))


def test_lists_may_name_the_folder_of_a_picture(tmp_path: Path) -> None:
    for label in ("Wood", "Lake"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (64, 64)).save(tmp_path / "data" / label / f"{i}.png")
    (tmp_path / "list.txt").write_text("data/Wood/1.png\nLake/2.png\n")
    chosen = read_labelled(tmp_path / "data", Asked(only=read_names(tmp_path / "list.txt")))
    assert list(zip(chosen.labels.tolist(), chosen.names, strict=True)) == [(0, "2.png"), (1, "1.png")]


def test_bad_sources_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    (tmp_path / "empty").mkdir()
    for name, message in (("broken.zip", "zip"), ("empty", "no pictures"), ("missing", "no such file")):
        with pytest.raises(ModelError, match=message):
            read_labelled(tmp_path / name)


def test_missing_listed_and_unreadable_pictures_are_refused(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "data", {"Wood": 2, "Lake": 3})
    with pytest.raises(ModelError, match=r"1 of 6 listed .*gone"):
        read_labelled(folder, Asked(only=[*read_labelled(folder).names, "gone.png"]))
    (folder / "Wood" / "Wood_1.png").write_bytes(b"")
    with pytest.raises(ModelError, match=r"Wood_1.png: the picture is empty"):
        read_labelled(folder)
    (folder / "Wood" / "Wood_1.png").write_bytes((folder / "Wood" / "Wood_0.png").read_bytes()[:60])
    with pytest.raises(ModelError, match=r"Wood_1.png: no readable picture"):
        read_labelled(folder)


def test_pictures_of_other_sizes_are_cut_square_and_resampled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = _fill(tmp_path / "data", {"Wood": 2, "Lake": 3})
    wide = np.zeros((40, 100, 3), np.uint8)
    wide[:, 30:70] = 200
    Image.fromarray(wide).save(folder / "Wood" / "Wood_1.png")
    found = read_labelled(folder, Asked(size=32))
    assert found.patches.shape == (5, 32, 32, 3)
    assert "5 of 5 pictures are not 32x32 pixels" in caplog.text
    assert (found.patches[found.names.index("Wood_1.png")] > 190).all()


def test_a_picture_is_cut_row_by_row_without_its_remainder() -> None:
    picture = np.zeros((130, 200, 3), np.uint8)
    picture[64:128, 128:192] = 9
    corners, patches = cut(picture)
    assert corners.tolist() == [[0, 0], [64, 0], [128, 0], [0, 64], [64, 64], [128, 64]]
    assert [int(patch.max()) for patch in patches] == [0, 0, 0, 0, 0, 9]
    with pytest.raises(ModelError, match="63x200"):
        cut(np.zeros((200, 63, 3), np.uint8))


def test_a_picture_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("hello")
    with pytest.raises(ModelError, match=r"x.jpg: no readable picture"):
        decode(read_bytes(tmp_path / "x.jpg"), "x.jpg")
    with pytest.raises(ModelError, match="cannot read"):
        read_bytes(tmp_path / "gone.jpg")


def test_sixteen_bits_of_grey_keep_their_upper_eight(tmp_path: Path) -> None:
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    Image.fromarray(grey).save(tmp_path / "grey.png")
    found = decode(read_bytes(tmp_path / "grey.png"), "grey.png")
    assert found.shape == (64, 64, 3)
    np.testing.assert_array_equal(found[..., 0], grey >> 8)
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ModelError, match=r"float.tif: holds numbers of 32 bits"):
        decode(read_bytes(tmp_path / "float.tif"), "float.tif")


def test_a_zip_whose_names_climb_out_is_refused(tmp_path: Path) -> None:
    for name in ("../Wood/a.png", "/Wood/a.png", "Wood/..\\..\\a.png"):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
            archive.writestr(name, b"")
        with pytest.raises(ModelError, match="climbs out"):
            read_labelled(tmp_path / "bad.zip")
