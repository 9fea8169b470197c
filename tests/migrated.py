"""Migrate once: what is then asked to migrate a state database that is not there yet gets a copy of that one."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path

import sqlalchemy as sa

from warehouse.state import database


@cache
def _content() -> bytes:
    """A state database in a file, as the migrations make it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.db"
        engine = database.open_engine(f"sqlite:///{file}")
        really(engine)
        engine.dispose()
        return file.read_bytes()


really = database.migrate


@wraps(really)
def _migrate(engine: sa.Engine) -> None:
    if engine.dialect.name == "sqlite" and engine.url.database and not engine.url.database.startswith((":", "file:")):
        _copied(Path(engine.url.database))
    really(engine)


def _copied(file: Path) -> None:
    """Put the file there whole, unless there is one, or none can be made: then migrating tells why."""
    if file.exists():
        return
    fresh = file.with_name(f".{file.name}-{os.getpid()}-{os.urandom(4).hex()}")
    with suppress(OSError):
        fresh.write_bytes(_content())
        os.link(fresh, file)
    fresh.unlink(missing_ok=True)


def install() -> None:
    """Let `State.migrate` in this process, and in those it forks, do so from now on."""
    _content()
    database.migrate = _migrate
