"""A product's files, in a folder or in a zip that is read in place."""

import os
import stat
import zipfile
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import CorruptScene, UnsafeInput
from pipeline.scenes.safety import guard
from pipeline.scenes.safety.address import Remote

MAX_MEMBERS = 20_000
MAX_UNPACKED = 64 << 30
MAX_RATIO = 200
# Below this size a high ratio cannot hurt: uniform masks and padded XML compress that well.
HARMLESS = 64 << 20
MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Files:
    """Files by their name below a folder or in an archive."""

    root: Path
    """The folder that names count from."""
    sizes: Mapping[str, int]
    """Bytes by name relative to `root` (with `/`)."""
    prefix: str = ""
    """What names begin with below `root`, where this is a part of a larger listing."""
    archive: Path | None = None
    """The zip they are in; None on the disk."""
    strays: tuple[str, ...] = ()
    """Links that lead out of `root`; they are not followed."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Where files lie that are read there instead of in `root`; they are among the `sizes`."""
    _ordered: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ordered", tuple(sorted(self.sizes)))

    def href(self, name: str) -> str:
        """What GDAL opens."""
        if name in self.addresses:
            return self.addresses[name]
        return guard.zip_href(self.archive, self.prefix + name) if self.archive else str(self.root / name)

    def read(self, name: str, limit: int = guard.MAX_TEXT_BYTES) -> bytes:
        """The bytes of a small file.

        Raises:
            UnsafeInput: it is larger than `limit`.
            CorruptScene: it does not read.
        """
        label = guard.printable(f"{self.root.name}/{name}")
        if self.sizes[name] > limit:
            raise UnsafeInput(
                f"{label}: {self.sizes[name]} bytes where metadata is expected; download the product again"
            )
        try:
            if self.archive is None:
                return (self.root / name).read_bytes()
            with zipfile.ZipFile(self.archive) as bundle, bundle.open(self.prefix + name) as stream:
                return stream.read(limit + 1)[:limit]
        except guard.READ_ERRORS as error:
            raise CorruptScene(f"{label}: does not read ({guard.one_line(error)}); download it again") from error

    def below(self, folder: str) -> "Files":
        """The part of the files that lies in a folder, by names relative to it."""
        start = folder.rstrip("/") + "/" if folder else ""
        inside = {name.removeprefix(start): self.sizes[name] for name in self.names_below(folder)}
        addresses = {name.removeprefix(start): href for name, href in self.addresses.items() if name.startswith(start)}
        return Files(self.root / folder, inside, self.prefix + start, self.archive, addresses=addresses)

    def names_below(self, folder: str) -> tuple[str, ...]:
        """The names in a folder and its folders, in order; found without a look at the others."""
        if not folder:
            return self._ordered
        start = folder.rstrip("/") + "/"
        # "0" follows "/" in every order of names.
        return self._ordered[bisect_left(self._ordered, start) : bisect_left(self._ordered, start[:-1] + "0")]

    def path(self, name: str) -> Path:
        """The file on the disk that holds `name`: itself, or the zip."""
        return self.archive or self.root / name


def folder_files(root: Path, remote: Mapping[Path, Remote] | None = None) -> Files:
    """All regular files below a folder, and those that are `remote` though their place is there.

    Links to folders inside are seen at their target, links that lead out are strays.
    """
    sizes: dict[str, int] = {}
    strays: list[str] = []
    real = root.resolve()
    for parent, folders, names in os.walk(root):
        folders.sort()
        if len(Path(parent).relative_to(root).parts) >= MAX_DEPTH:
            folders.clear()
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(parent, name)
            try:
                inside = not path.is_symlink() or path.resolve().is_relative_to(real)
                if inside and path.is_file():
                    sizes[path.relative_to(root).as_posix()] = path.stat().st_size
                elif not inside:
                    strays.append(path.relative_to(root).as_posix())
            except (OSError, RuntimeError):  # a loop of links, or no permission
                strays.append(path.relative_to(root).as_posix())
    addresses = {
        path.relative_to(root).as_posix(): entry for path, entry in (remote or {}).items() if path.is_relative_to(root)
    }
    sizes |= {name: entry.size for name, entry in addresses.items()}
    return Files(root, sizes, strays=tuple(strays), addresses={name: entry.href for name, entry in addresses.items()})


def archive_files(path: Path) -> Files:
    """All members of a zip, after a look at their number, sizes and names only.

    Raises:
        CorruptScene: it is no zip, or one without its end.
        UnsafeInput: names leave the archive, or it unpacks to far more than any product holds.
    """
    name = guard.printable(path.name)
    try:
        with zipfile.ZipFile(path) as bundle:
            members = [info for info in bundle.infolist() if not info.is_dir()]
    except guard.READ_ERRORS as error:
        raise CorruptScene(
            f"{name}: not a whole zip file ({guard.one_line(error)}); download the product again"
        ) from error
    if len(members) > MAX_MEMBERS:
        raise UnsafeInput(
            f"{name}: {len(members)} members, a product has fewer than {MAX_MEMBERS}; unpack and check it yourself"
        )
    if sum(info.compress_size for info in members) > path.stat().st_size:
        raise UnsafeInput(f"{name}: its members overlap, as in a zip bomb; unpack and check it yourself")
    total, packed = sum(info.file_size for info in members), sum(info.compress_size for info in members)
    if total > MAX_UNPACKED or (total > HARMLESS and total > MAX_RATIO * max(packed, 1)):
        raise UnsafeInput(
            f"{name}: unpacks from {packed} to {total} bytes, as a zip bomb does; unpack and check it yourself"
        )
    for info in members:
        parts = info.filename.split("/")
        odd = (
            info.filename.startswith("/")
            or ".." in parts
            or set("\\{}") & set(info.filename)
            or not info.filename.isprintable()
        )
        if odd or stat.S_ISLNK(info.external_attr >> 16):
            raise UnsafeInput(
                f"{name}: holds a member named {guard.printable(info.filename)[:80]!r}; unpack and check it yourself"
            )
        if info.flag_bits & 1:
            raise UnsafeInput(f"{name}: is encrypted; unpack it yourself")
    return Files(path, {info.filename: info.file_size for info in members}, "", path)
