from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError, OutputError
from pipeline.training import checkpoint


def test_what_is_stored_comes_back_in_order(tmp_path: Path) -> None:
    arrays = [np.full((2, i + 1), i, np.float32) for i in range(12)]
    checkpoint.store(tmp_path / "last.npz", {"epoch": 3}, model=arrays, averaged=arrays[:1])
    state, groups = checkpoint.load(tmp_path / "last.npz")
    assert state == {"epoch": 3}
    assert [array.shape for array in groups["model"]] == [array.shape for array in arrays]
    assert len(groups["averaged"]) == 1


def test_a_full_disk_keeps_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.npz"
    checkpoint.store(path, {"epoch": 1}, model=[np.ones(3)])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OutputError, match="No space left"):
        checkpoint.store(path, {"epoch": 2}, model=[np.ones(3)])
    monkeypatch.undo()
    assert checkpoint.load(path)[0] == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ModelError, match="no usable checkpoint"):
        checkpoint.load(tmp_path / "last.npz")
