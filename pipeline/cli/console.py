"""What a person sees while the pipeline works: log lines, progress, errors."""

import logging
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from pipeline.errors import PipelineError

ERRORS = Console(stderr=True, soft_wrap=True, highlight=False)
_log = logging.getLogger("pipeline")

PRIOR = click.option(
    "--prior",
    type=click.FloatRange(0.0001, 0.1),
    default=0.01,
    show_default=True,
    help="Share of tiles whose class really changes in a year.",
)
MAX_FALSE = click.option(
    "--max-false",
    type=click.FloatRange(0.001, 0.5),
    default=0.05,
    show_default=True,
    help="Share of the claimed changes that may be expected to be false; more claims more.",
)
CHIPS = click.option(
    "--chips",
    type=click.Choice(["auto", "none", "changed", "all"]),
    default="auto",
    show_default=True,
    help="Tile pictures in the page; auto: as many as fit in 8 MB.",
)


def _parse_bands(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(part.strip().upper() for part in value.split(",")) if value else ()


_READING = (
    click.option(
        "--bands",
        callback=_parse_bands,
        metavar="B04,B03,B02",
        help="Band names of rasters that do not name their bands, in file order.",
    ),
    click.option("--offset", type=float, help="Offset in DN (0 or -1000) for scenes whose metadata does not tell it."),
    click.option("--tci-max", type=float, help="DN that a true-colour picture's 255 stands for (L1C 3558, L2A 2500)."),
    click.option(
        "--assume-crs", type=int, metavar="EPSG", help="Coordinate reference system of rasters that have none."
    ),
)

Command = TypeVar("Command", bound=Callable[..., Any])


def _parse_periods(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[Any, ...]:
    if not values:
        return ()
    from pipeline.errors import BadPeriod
    from pipeline.results.period import Period, apart

    try:
        return apart(Period.parse(value) for value in values)
    except BadPeriod as error:
        raise click.BadParameter(str(error)) from error


def periods_option(name: str, **more: Any) -> Callable[[Command], Command]:  # noqa: ANN401 - options of click
    """The option that tells periods, given once or more; a wrong one is wrong usage."""
    return click.option(
        name,
        multiple=True,
        callback=_parse_periods,
        metavar="START/END",
        help="Make one answer of all clear looks of a period, such as 2018-05-01/2018-09-30; may be given repeatedly.",
        **more,
    )


def verbosity(command: Command) -> Command:
    """Adds -v and -q to a command and sets logging up before it runs."""

    @click.option("-v", "--verbose", is_flag=True, help="Tell more, with the reasons behind refusals.")
    @click.option("-q", "--quiet", is_flag=True, help="Tell only what went wrong.")
    @wraps(command)
    def wrapped(*args: Any, verbose: bool, quiet: bool, **options: Any) -> Any:  # noqa: ANN401 - a decorator passes anything through
        set_up_logging(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
        return command(*args, **options)

    return wrapped  # type: ignore[return-value]


def reading_options(command: Command) -> Command:
    """Adds what the user decides where a scene's files do not tell."""
    for option in reversed(_READING):
        command = option(command)
    return command


def set_up_logging(level: int) -> None:
    """Plain lines for files and pipes, coloured ones for a terminal.

    Only this package's own messages below warnings.
    """
    handler: logging.Handler
    if sys.stderr.isatty():
        handler = RichHandler(console=ERRORS, show_path=False, show_time=False, markup=False)
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    _log.setLevel(level)
    # GDAL repeats its remarks on a file at every opening; what matters comes as an exception.
    logging.getLogger("rasterio").setLevel(logging.ERROR)


def explain_errors(command: Command) -> Command:
    """Turns the pipeline's own errors into one line and exit code 1."""

    @wraps(command)
    def wrapped(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - a decorator passes anything through
        try:
            return command(*args, **options)
        except PipelineError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(1)

    return wrapped  # type: ignore[return-value]


class TileProgress:
    """A bar over all tiles with rate and remaining time on a terminal, a log line per scene elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._expected: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def begin(self, scenes: Sequence[Any], tiles: Sequence[int]) -> None:
        """The scenes that will be worked on, and their number of tiles."""
        self._expected = {scene.id: count for scene, count in zip(scenes, tiles, strict=True)}
        _log.info("%d scenes, %d tiles to look at", len(scenes), sum(tiles))
        if sys.stderr.isatty() and _log.isEnabledFor(logging.INFO) and scenes:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("tiles"),
            )
            rate = TextColumn("{task.fields[rate]}")
            self._bar = Progress(*columns, rate, TimeRemainingColumn(), console=ERRORS, transient=True)
            self._task = self._bar.add_task("classifying", total=sum(tiles), rate="")
            self._bar.start()

    def advance(self, scene: str, count: int) -> None:
        """More tiles of a scene are through."""
        self._seen[scene] = self._seen.get(scene, 0) + count
        self._move(scene, count)

    def end(self, scene: str, line: str, level: int) -> None:
        """A scene has ended: what remains of its tiles counts as done."""
        self._move(scene, self._expected.get(scene, 0) - self._seen.get(scene, 0))
        _log.log(level, "%s", line)

    def stage(self, name: str) -> None:
        """The work after the scenes."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=name)
        _log.debug("%s", name)

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _move(self, scene: str, count: int) -> None:
        if self._bar is None or self._task is None or not count:
            return
        speed = self._bar.tasks[0].speed
        self._bar.update(self._task, advance=count, description=scene[:40], rate=f"{speed:,.0f}/s" if speed else "")
