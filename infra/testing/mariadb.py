"""Start a MariaDB server of the tests' own on a free loopback port, with a row binlog, and stop it again."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from infra.testing.postgres import free_port

ACCOUNT = "mysql"  # Debian's package brings this account; the server refuses to run as root without being told
STARTS_WITHIN = 60.0  # seconds
_SETTINGS = """
[mariadbd]
skip-name-resolve
bind-address = 127.0.0.1
character-set-server = utf8mb4
innodb-flush-log-at-trx-commit = 0
innodb-buffer-pool-size = 128M
innodb-log-file-size = 16M
performance-schema = off
log-bin = binlog
server-id = 1
binlog-format = ROW
binlog-row-image = FULL
binlog-row-metadata = FULL
sync-binlog = 0
max-allowed-packet = 512M
sql-mode = NO_ENGINE_SUBSTITUTION
"""


@dataclass(frozen=True, slots=True)
class MariaDB:
    """A running server: where it listens, how to log in, and the process (to pause or kill it)."""

    port: int
    user: str
    password: str
    pid: int

    def url(self, database: str = "test", driver: str = "mysql+pymysql") -> str:
        """The SQLAlchemy URL of one of its databases."""
        return f"{driver}://{self.user}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"


def binaries() -> tuple[str, str]:
    """The server and the program that fills a new data folder."""
    found = shutil.which("mariadbd", path="/usr/sbin:/usr/bin"), shutil.which("mariadb-install-db", path="/usr/bin")
    if None in found:
        raise FileNotFoundError("MariaDB is not installed: run `make services`")
    return str(found[0]), str(found[1])


@contextlib.contextmanager
def running(password: str = "a test's own", settings: str = "") -> Iterator[MariaDB]:  # noqa: S107 - on loopback
    """A fresh server with password login over TCP and an empty database `test`; its folder goes when it stops.

    `settings` are lines added to the server's configuration.
    """
    server, install = binaries()
    folder = Path(tempfile.mkdtemp(prefix="shutong-mariadb-"))
    as_account = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
    port = free_port()
    try:
        data, log = folder / "data", folder / "log.err"
        (folder / "my.cnf").write_text(
            f"{_SETTINGS}{settings}\nport = {port}\ndatadir = {data}\ntmpdir = {folder}\n"
            f"socket = {folder}/s\nlog-error = {log}\n"
        )
        accounts = folder / "accounts.sql"
        accounts.write_text(_accounts(password), "utf-8")
        for path in (folder, accounts) if as_account else ():
            shutil.chown(path, ACCOUNT)
        config = f"--defaults-file={folder / 'my.cnf'}"
        subprocess.run(
            [*as_account, install, config, "--auth-root-authentication-method=socket", "--skip-test-db"],
            check=True,
            capture_output=True,
            cwd=folder,
        )
        command = [server, config, f"--init-file={accounts}", *([f"--user={ACCOUNT}"] if as_account else [])]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as process:
            try:
                _answers(port, process, log)
                yield MariaDB(port=port, user="shutong", password=password, pid=process.pid)
            finally:
                process.kill()  # a throw-away folder needs no clean shutdown
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _accounts(password: str) -> str:
    spelled = password.replace("\\", "\\\\").replace("'", "''")
    return (
        "CREATE DATABASE test CHARACTER SET utf8mb4;\n"
        f"CREATE USER shutong@'127.0.0.1' IDENTIFIED BY '{spelled}';\n"
        "GRANT ALL ON *.* TO shutong@'127.0.0.1' WITH GRANT OPTION;\n"
    )


def _answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server greets on its port, which it does only after its accounts exist."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            if probe.recv(1):
                return
        time.sleep(0.05)
    said = log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""
    raise TimeoutError(f"MariaDB did not start on port {port}: {said}")
