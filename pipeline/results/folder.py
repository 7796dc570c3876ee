"""The results of one model, in a folder of this machine or at an address: one type for both."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.results.address import RemoteFolder
from pipeline.results.layout import DIGESTS, digests_file, scene_folder, scene_folders
from pipeline.results.record import SceneRecord, read_records


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """Where one model's results lie."""

    path: Path
    """The folder on this machine; with an address, the copy that is read here."""
    url: str | None = None
    """The address that they are shared at (any that fsspec reaches), None where the folder is all."""

    def __str__(self) -> str:
        """Where a person finds them: the address without passwords, or the folder's full path."""
        return str(self._store) if self._store else str(self.path.resolve())

    @property
    def _store(self) -> RemoteFolder | None:
        return RemoteFolder(self.url) if self.url else None

    @property
    def written(self) -> Path | None:
        """The folder of this machine that the address means, where it means one."""
        return self._store.local if self._store else self.path

    def scene(self, name: str) -> Path:
        """The folder of one scene.

        Raises:
            OutputError: the id is no plain name.
        """
        return scene_folder(self.path, name)

    def scenes(self) -> list[Path]:
        """The folders of all finished scenes, in order of name."""
        return scene_folders(self.path)

    def records(self) -> tuple[SceneRecord, ...]:
        """What the last run tells of its scenes.

        Raises:
            TileTableError: the report is damaged.
        """
        return read_records(self.path)

    def check(self) -> None:
        """Tries the address, so that a wrong one ends a run before its work and not after.

        Raises:
            OutputError: it cannot be written.
        """
        if self._store:
            self._store.check()

    @contextmanager
    def working(self, name: str, fresh: bool = False) -> Iterator["ResultsFolder"]:
        """Where a worker makes the scene `name`: the folder itself, or one of its own from where it is delivered.

        What lies at the address already is at hand there, but for a `fresh` start.

        Raises:
            OutputError: the address cannot be read.
        """
        store = self._store
        if store is None:
            yield self
            return
        with tempfile.TemporaryDirectory(prefix="landcover-") as place:
            here = ResultsFolder(Path(place))
            if not fresh and store.get_scene(name, here.path):
                (store / DIGESTS).get(digests_file(here.path, name))
            yield here

    def deliver(self, here: "ResultsFolder", name: str) -> None:
        """Sends the scene that a worker made `here` to the address, if there is one.

        Raises:
            OutputError: the address cannot be written.
        """
        if self._store:
            self._store.put_scene(here.scene(name))
            (self._store / DIGESTS).put(digests_file(here.path, name))

    def fetch_scene(self, name: str, expected: Mapping[str, str]) -> None:
        """Brings a scene from the address to this machine's copy; nothing where it has the `expected` digests.

        Raises:
            OutputError: it cannot be read, or has other bytes.
        """
        if self._store:
            self._store.get_scene(name, self.path, expected)

    def publish(self, name: str) -> None:
        """Sends a file of this machine's copy to the address; one that is gone here goes there, too.

        Raises:
            OutputError: it cannot be written.
        """
        if self._store:
            self._store.put(self.path / name)
