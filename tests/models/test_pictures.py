import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ModelError
from pipeline.models.pictures import cut, folders, read_labelled, read_names, read_picture


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
    one, two = read_labelled(folder, ("Wood", "Lake")), read_labelled(tmp_path / "data.zip", ("Wood", "Lake"))
    assert one.counts.tolist() == [2, 3]
    assert one.names == two.names
    np.testing.assert_array_equal(one.patches, two.patches)
    assert (one.patches[one.labels == 0, 0, 0, 0] == 5).all()
    assert (one.patches[one.labels == 1, 0, 0, 0] == 15).all()
    assert folders(tmp_path / "data.zip") == {"Wood", "Lake"}
    assert read_labelled(folder).classes == ("Lake", "Wood")


def test_only_the_listed_pictures_are_read(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "data", {"Wood": 4, "Lake": 3})
    (tmp_path / "list.txt").write_text("Wood_1.png\nWood_3.png\n\nLake_0.png\nLake_2.png\n")
    assert read_labelled(folder, only=read_names(tmp_path / "list.txt")).names == ("Lake_0.png", "Lake_2.png", "Wood_1.png", "Wood_3.png")


@pytest.mark.parametrize("counts", [{"Wood": 1, "Lake": 3}, {"Lake": 3}])
def test_a_class_with_fewer_than_two_pictures_is_refused_by_name(tmp_path: Path, counts: dict[str, int]) -> None:
    with pytest.raises(ModelError, match="class Wood has"):
        read_labelled(_fill(tmp_path / "data", counts), ("Wood", "Lake"))


def test_bad_sources_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    (tmp_path / "empty").mkdir()
    for name, message in (("broken.zip", "zip"), ("empty", "no pictures"), ("missing", "no such file")):
        with pytest.raises(ModelError, match=message):
            read_labelled(tmp_path / name)


def test_missing_listed_unreadable_and_odd_sized_pictures_are_refused(tmp_path: Path) -> None:
    folder = _fill(tmp_path / "data", {"Wood": 2, "Lake": 3})
    with pytest.raises(ModelError, match=r"1 of 6 listed .*gone"):
        read_labelled(folder, only=[*read_labelled(folder).names, "gone.png"])
    (folder / "Wood" / "Wood_1.png").write_bytes(b"")
    with pytest.raises(ModelError, match=r"Wood_1.png: the picture is empty"):
        read_labelled(folder)
    Image.new("RGB", (63, 64)).save(folder / "Wood" / "Wood_1.png")
    with pytest.raises(ModelError, match="63x64"):
        read_labelled(folder)


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
        read_picture(tmp_path / "x.jpg")
    with pytest.raises(ModelError, match="cannot read"):
        read_picture(tmp_path / "gone.jpg")
