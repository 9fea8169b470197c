"""Run the sharing API under Granian: worker processes that each build the service from one factory."""

from __future__ import annotations

import importlib
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from fastapi import FastAPI
from granian import Granian
from granian.constants import Interfaces
from granian.http import HTTP1Settings

from sharing.app import create_app
from sharing.catalog import SharingConfig
from sharing.drain import LONGEST, REPLACED, move
from sharing.metrics import room

# How the parent tells its workers, which import this module afresh, what to build; not settings for people.
_FACTORY, _ROOM = "SHUTONG_SHARING_FACTORY", "SHUTONG_SHARING_ROOM"
CONNECTIONS: Final = 4096  # to one worker; those beyond wait to be taken
HEADER_MILLIS: Final = 20_000  # that the head of a request has to arrive, and a connection may idle
HEADER_BYTES: Final = 128 << 10
FILES: Final = 65_536
_log = logging.getLogger("_granian")


def serve(factory: str, host: str = "127.0.0.1", port: int = 8300, workers: int = 1, drain_seconds: int = 0) -> None:
    """Serve until SIGINT or SIGTERM. `factory` names a function without arguments, `package.module:function`,
    that returns the SharingConfig; it runs once in each worker, after the fork.

    SIGHUP has workers replaced one after the other by new ones, which read everything anew; where the factory fails
    they stay. URLs are not logged: they hold the keys asked for, and the ledger has them already.
    """
    _more_files()
    with room() as folder:
        os.environ[_FACTORY], os.environ[_ROOM] = factory, str(folder)
        server = Granian(
            "sharing.serve:application",
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            workers=workers,
            factory=True,
            websockets=False,
            log_access=False,
            respawn_failed_workers=True,
            respawn_interval=0.1,  # a worker that is replaced waits by itself for the one in its place
            backlog=CONNECTIONS,
            backpressure=CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLIS, max_buffer_size=HEADER_BYTES),
            workers_kill_timeout=int(drain_seconds + LONGEST + REPLACED + 10),
        )
        server.on_startup(lambda: _reload_when_told(server))
        server.on_reload(lambda: move(folder, [one.inner.pid or 0 for one in server.wrks]))  # type: ignore[union-attr]
        server.serve()


def application() -> FastAPI:
    """The service of one worker process."""
    config = configured()
    return create_app(replace(config, operating=replace(config.operating, room=Path(os.environ[_ROOM]))))


def configured() -> SharingConfig:
    """What the factory says; raises whatever it raises."""
    module, _, name = os.environ[_FACTORY].partition(":")
    factory = cast("Callable[[], SharingConfig]", getattr(importlib.import_module(module), name))
    return factory()


def _reload_when_told(server: Any) -> None:  # noqa: ANN401 Granian is one of three classes, by platform
    """On SIGHUP the factory is tried in a process of its own first: a slip in a file must not end the service."""

    def tried() -> None:
        ran = subprocess.run(
            [sys.executable, "-c", "from sharing.serve import configured; configured()"],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        if ran.returncode == 0:
            server.signal_handler_reload()
        else:
            _log.error("not reloaded: the configuration cannot be read; the workers stay as they are")

    def asked(_number: int, _frame: object) -> None:
        threading.Thread(target=tried, name="reload", daemon=True).start()

    signal.signal(signal.SIGHUP, asked)


def _more_files() -> None:
    """As many open files as the system allows: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
