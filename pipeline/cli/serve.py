"""The verb that starts the app."""

from pathlib import Path

import click

from pipeline.cli.console import explain_errors, verbosity
from pipeline.cli.executing import scheduler_option, workers_option
from pipeline.cli.models import ENGINE, MODEL


@click.command()
@click.option(
    "--tiles",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tiles"),
    show_default=True,
    help="Folder of results to show; jobs keep theirs in it too.",
)
@click.option(
    "--maps",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("maps"),
    show_default=True,
    help="Folder of atlas.html.",
)
@click.option(
    "--scenes",
    "roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder below which jobs may read scenes; several times for several. [default: uploads only]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need --token.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--token", envvar="ATLAS_TOKEN", help="What clients must show as a bearer token; better told in ATLAS_TOKEN."
)
@click.option("--origin", "origins", multiple=True, metavar="URL", help="Origin of a web page elsewhere that may read.")
@MODEL
@ENGINE
@workers_option("As `run --workers`, for jobs.")
@scheduler_option("As `run --scheduler`, for jobs.")
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="Requests a second of one client. [default: any]")
@click.option(
    "--quota", type=click.FloatRange(0.001), default=20.0, show_default=True, help="GB on the disk for all jobs."
)
@verbosity
@explain_errors
def serve(rate: float, quota: float, **options: object) -> None:
    """Start the app: label pictures, look at atlases, map scenes, in a browser and by REST (described at /docs)."""
    from pipeline.web.serving import serve as run_server
    from pipeline.web.settings import Limits, Settings

    limits = Limits(rate=rate, quota=int(quota * 1e9))
    settings = Settings(limits=limits, **options)  # type: ignore[arg-type]  # click made each option's type
    run_server(settings, lambda address: click.echo(f"the app is at {address}   (Ctrl+C ends it)"))
