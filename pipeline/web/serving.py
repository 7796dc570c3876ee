"""Runs a server: one for each folder of results, at an address that it says."""

import logging
import socket
import warnings
from collections.abc import Callable

import uvicorn
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from pipeline.errors import OutputError
from pipeline.web.app import build
from pipeline.web.connections import PromptProtocol
from pipeline.web.job_list import JobList
from pipeline.web.job_runner import JOBS
from pipeline.web.settings import Settings

# Seconds that open streams may keep a server that was told to end.
_FAREWELL = 3
_BACKLOG = 512


def serve(settings: Settings, ready: Callable[[str], object]) -> None:
    """Serves until it is told to end; `ready` hears the address as soon as it is open.

    Raises:
        OutputError: another server has the folder, the address is taken, or anybody could use it.
    """
    settings.check()
    lock = FileLock(settings.own / "lock", timeout=0)
    try:
        settings.own.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise OutputError(
            f"{settings.tiles}: another server is running here; stop it, or give another --tiles"
        ) from None
    except OSError as error:
        raise OutputError(
            f"{settings.tiles}: cannot be written ({error.strerror or error}); give another --tiles"
        ) from error
    try:
        JobList(settings.own / JOBS).close()  # a broken list is told before anybody can ask
        _quiet()
        # Threads of BLAS that wait spinning would take the cores from the engine, which has its own.
        with threadpool_limits(1, user_api="blas"):
            _serve(settings, ready)
    finally:
        lock.release()


def _quiet() -> None:
    """Keeps what libraries remark on strangers' requests and files out of the log, which these could flood."""
    warnings.filterwarnings("ignore")
    for name in ("uvicorn.error", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _serve(settings: Settings, ready: Callable[[str], object]) -> None:
    config = uvicorn.Config(
        build(settings),
        http=PromptProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_FAREWELL,
    )
    with _listen(settings.host, settings.port) as listening:
        host, port = listening.getsockname()[:2]
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Without the protocol's number asyncio leaves Nagle's algorithm on, and each answer waits for 40 ms.
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        raise OutputError(
            f"{host}:{port}: cannot listen there ({error.strerror or error}); choose another --host or --port"
        ) from error
    return listening
