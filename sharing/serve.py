"""Run the sharing API under Granian: worker processes that each build the service from one factory."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import cast

from fastapi import FastAPI
from granian import Granian
from granian.constants import Interfaces

from sharing.app import create_app
from sharing.catalog import SharingConfig

# How the parent tells its workers, which import this module afresh, what to build; not a setting for people.
_FACTORY = "SHUTONG_SHARING_FACTORY"


def serve(factory: str, host: str = "127.0.0.1", port: int = 8300, workers: int = 1) -> None:
    """Serve until SIGINT or SIGTERM. `factory` names a function without arguments, `package.module:function`,
    that returns the SharingConfig; it runs once in each worker, after the fork.

    URLs are not logged: they hold the keys asked for, and the ledger has them already.
    """
    os.environ[_FACTORY] = factory
    Granian(
        "sharing.serve:application",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=workers,
        factory=True,
        websockets=False,
        log_access=False,
        respawn_failed_workers=True,
    ).serve()


def application() -> FastAPI:
    """The service of one worker process."""
    module, _, name = os.environ[_FACTORY].partition(":")
    factory = cast("Callable[[], SharingConfig]", getattr(importlib.import_module(module), name))
    return create_app(factory())
