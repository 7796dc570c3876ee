"""Who does the work: options that several verbs share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline.batch.executors import Executor

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def workers_option(text: str) -> Option:
    """--workers: processes side by side."""
    return click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help=text)


def scheduler_option(text: str) -> Option:
    """--scheduler: an existing cluster."""
    return click.option("--scheduler", metavar="ADDRESS", help=text)


def executor(workers: int, scheduler: str | None) -> "Executor | None":
    """What the two options ask for; None for this process alone."""
    from pipeline.batch.executors import Cluster, Processes

    if scheduler:
        return Cluster(scheduler)
    return Processes(workers) if workers > 1 else None
