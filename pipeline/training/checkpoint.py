"""Checkpoints that survive a kill: one npz, written beside and renamed, so an earlier one is never lost."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.files import whole_file

Arrays = list[npt.NDArray[Any]]


def store(path: Path, state: dict[str, Any], **groups: Arrays) -> None:
    """Writes lists of arrays by name and a JSON state.

    Raises:
        OutputError: the file cannot be written (disk full); an earlier file stays as it was.
    """
    arrays: Any = {
        f"{group}/{position:04d}": array for group, listed in groups.items() for position, array in enumerate(listed)
    }
    with (
        whole_file(path, "free some space and start again, the earlier checkpoint is kept") as part,
        part.open("wb") as stream,
    ):
        np.savez(stream, state=np.array(json.dumps(state)), **arrays)


def load_state(path: Path) -> dict[str, Any]:
    """The state of a checkpoint, without its arrays.

    Raises:
        ModelError: the file is damaged or no checkpoint.
    """
    return _read(path, arrays=False)[0]


def load(path: Path) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """The state and the groups of arrays of a checkpoint.

    Raises:
        ModelError: the file is damaged or no checkpoint.
    """
    return _read(path, arrays=True)


def _read(path: Path, arrays: bool) -> tuple[dict[str, Any], dict[str, Arrays]]:
    try:
        with path.open("rb") as stream, np.load(stream) as stored:
            groups: dict[str, Arrays] = {}
            for key in sorted(name for name in stored.files if "/" in name and arrays):
                groups.setdefault(key.split("/")[0], []).append(stored[key])
            return json.loads(str(stored["state"])), groups
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: no usable checkpoint ({error}); delete it to start again") from error
