"""What an operator decides about a server, and the limits that keep it alive."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.models import store

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, one client and all of them together may ask for."""

    pictures: int = 50
    """Pictures in one request."""
    request_bytes: int = 100_000_000
    """Bytes of a request's body, told or counted."""
    patches: int = 4096
    """Patches in one request: 16.8 megapixels at 64 pixels a side."""
    queue: int = 8192
    """Patches that may wait for the engine, of all requests."""
    patience: float = 60.0
    """Seconds that a request may wait for the engine."""
    silence: float = 15.0
    """Seconds without a byte of a body that is under way."""
    least_rate: float = 10_000.0
    """Bytes a second below which a body is given up, after a minute."""
    rate: float = 0.0
    """Requests a second of one client address, twice as many at once; 0 sets no limit."""
    scene_bytes: int = 8_000_000_000
    """Bytes of the scenes in one job."""
    quota: int = 20_000_000_000
    """Bytes that jobs may keep on the disk, scenes and results."""
    jobs: int = 20
    """Jobs that may wait or run."""
    streams: int = 64
    """Streams of job events that may be open."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One server: the folders that it reads, where it listens, who may ask."""

    tiles: Path = Path("tiles")
    """Results that it shows; its own list of jobs lies in a hidden folder inside."""
    maps: Path = Path("maps")
    """Folder of the offline page."""
    roots: tuple[Path, ...] = ()
    """Folders below which a job may read scenes by name."""
    model: str = store.DEFAULT
    """The model that answers where a request names none."""
    engine: str = "auto"
    """The engine of the models, as `--engine` of the command line."""
    host: str = "127.0.0.1"
    """The address that it listens on."""
    port: int = 8000
    """The port that it listens on; 0 takes a free one."""
    token: str | None = None
    """What a client must show as a bearer token."""
    origins: tuple[str, ...] = ()
    """Origins of web pages elsewhere that may read it (CORS)."""
    workers: int = 1
    """Scenes of a job side by side, each in a process."""
    scheduler: str | None = None
    """The Dask scheduler that works for the jobs instead."""
    models: Path = store.FOLDER
    """Folder of the stored models."""
    limits: Limits = field(default_factory=Limits)
    """What requests may ask for."""

    @property
    def own(self) -> Path:
        """The server's own folder: its lock, its list of jobs, their scenes and results."""
        return self.tiles / ".app"

    def check(self) -> None:
        """Refuses a server that anybody could use.

        Raises:
            OutputError: it would listen beyond this machine without a token.
        """
        if self.host not in LOOPBACK and not self.token:
            raise OutputError(
                f"{self.host}: anybody who reaches this address could use the server; give a --token, or listen on "
                f"127.0.0.1"
            )
