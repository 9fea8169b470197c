"""Start a PostgreSQL server of the tests' own on a free loopback port, and stop it again."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

ACCOUNT = "postgres"  # initdb refuses to run as root; Debian's package brings this account


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server: where it listens and how to log in."""

    port: int
    user: str
    password: str

    def url(self, database: str = "postgres", driver: str = "postgresql+psycopg") -> str:
        """The SQLAlchemy URL of one of its databases."""
        return f"{driver}://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(
        self, database: str = "postgres", options: str = "", application_name: str = "", *, autocommit: bool = True
    ) -> psycopg.Connection[tuple[object, ...]]:
        """A connection to one of its databases."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=self.user, password=self.password, dbname=database,
            options=options, application_name=application_name, autocommit=autocommit,
        )  # fmt: skip


def binaries() -> Path:
    """The newest PostgreSQL's bin folder."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        raise FileNotFoundError("PostgreSQL is not installed: run `make services`")
    return found[-1]


def free_port() -> int:
    """A loopback port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    password: str = "a test's own",  # noqa: S107 - a throw-away server on loopback
    settings: Mapping[str, str] | None = None,
) -> Iterator[Postgres]:
    """A fresh server with password login over TCP and `settings` of its own; its folder goes when it stops."""
    folder, port, tools = _folder(), free_port(), binaries()
    data = folder / "data"
    try:
        _call(folder, "cp", "-a", str(_initialised(password)), str(data))
        options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_prepared_transactions=8"
        options += "".join(f" -c {name}={value}" for name, value in (settings or {}).items())
        start = ("-w", "-t", "60", "-l", str(folder / "log"), "-o", options, "start")
        _call(folder, f"{tools}/pg_ctl", "-D", str(data), *start)
        try:
            yield Postgres(port=port, user="shutong", password=password)
        finally:
            _call(folder, f"{tools}/pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _initialised(password: str) -> Path:
    """The files of a server that never ran, made once; they go when this process ends."""
    folder = _folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    secret = folder / "password"
    secret.write_text(password)
    if os.geteuid() == 0:
        shutil.chown(secret, ACCOUNT)
    who = ("-U", "shutong", "-A", "scram-sha-256", "--pwfile", str(secret))
    data = folder / "data"
    _call(folder, f"{binaries()}/initdb", "-D", str(data), *who, "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync")
    return data


def _folder() -> Path:
    """A new folder of the account that may run the server."""
    folder = Path(tempfile.mkdtemp(prefix="shutong-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, ACCOUNT)
    return folder


def _call(folder: Path, *command: str) -> None:
    as_account = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
    subprocess.run([*as_account, *command], check=True, capture_output=True, cwd=folder)
