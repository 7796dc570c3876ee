"""The command line: `python -m pipeline VERB`. Each verb's work is imported when it runs, so that --help is instant."""

from importlib import import_module
from typing import Final

import click

from pipeline import __version__

# Verb -> module of this package that defines a click command of the same name, with underscores.
_VERBS: Final = {
    "run": "run",
    "scenes": "scenes",
    "atlas": "tables",
    "export": "tables",
    "composite": "composite",
    "areas": "areas",
    "sample": "areas",
    "assess": "areas",
    "change": "change",
    "compare-raster": "compare_raster",
    "simulate": "scenes",
    "train": "train",
    "train-cover": "cover",
    "band-study": "band_study",
    "explore": "explore",
    "evaluate": "models",
    "evaluate-cover": "cover",
    "classify": "models",
    "models": "models",
    "bench": "bench",
    "search": "search",
    "report": "report",
    "mosaic": "mosaic",
    "serve": "serve",
}


class _LazyGroup(click.Group):
    """A group whose verbs are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _VERBS:
            return None
        module = import_module(f"pipeline.cli.{_VERBS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="landcover-atlas")
def main() -> None:
    """Land-cover atlases from folders of Sentinel-2 scenes."""
