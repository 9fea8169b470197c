"""Leave out a test whose server program is not on this machine, except where everything must be tested."""

from __future__ import annotations

import os
from types import ModuleType

import pytest


def needs(server: ModuleType) -> None:
    """Skip unless the programs of `server`, a module of infra.testing with `binaries()`, are installed."""
    try:
        server.binaries()
    except FileNotFoundError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{server.__name__.rpartition('.')[2]} is not installed")
