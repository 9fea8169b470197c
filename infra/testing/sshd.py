"""Start an OpenSSH server of the tests' own on a free loopback port, and stop it again."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.testing.postgres import free_port

SERVER = "/usr/sbin/sshd"
STARTS_WITHIN = 20.0  # seconds
_UID = 54_321
_SETTINGS = """
HostKey {folder}/host_key
Port {port}
ListenAddress 127.0.0.1
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
PidFile none
LogLevel ERROR
Subsystem sftp internal-sftp
"""
# sshd looks up accounts in these two files: it sees the tests' own in their place, and nobody else does.
_AS_ROOT = """
mount -t tmpfs none /run && mkdir /run/sshd
mount --bind {folder}/passwd /etc/passwd
mount --bind {folder}/shadow /etc/shadow
exec {server} -D -e -f {folder}/config
"""


@dataclass(slots=True)
class Sshd:
    """A running server: where it listens, how to log in, and the folder a user sees.

    Passwords are taken only where `passwords` is true: a server not started by root cannot look at them.
    """

    port: int
    user: str
    password: str
    passwords: bool
    key: str  # the private key that is let in
    host_key: str  # type and key, as `known_host` takes it
    drops: Path
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def rotate(self, password: str) -> None:
        """Give the account another password."""
        self.password = password
        _shadow(self.folder, self.user, password)

    def kill(self) -> None:
        """End the server and every connection of it at once."""
        if self.process is not None:
            # Children hold the connections; the first process of a namespace ends when all in it have.
            begun = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            held = [os.pidfd_open(int(child)) for child in begun]
            self.process.kill()
            self.process.wait()
            for child in held:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(child, signal.SIGKILL)
                select.select([child], [], [], STARTS_WITHIN)
                os.close(child)
            self.process = None

    def start(self) -> None:
        """Start the server, again after `kill`."""
        as_root = _AS_ROOT.format(folder=self.folder, server=SERVER)
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec", as_root]
        if not self.passwords:
            command = [SERVER, "-D", "-e", "-f", str(self.folder / "config")]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as probe:
                if probe.recv(4) == b"SSH-":
                    return
            time.sleep(0.02)
        raise TimeoutError(f"sshd did not start on port {self.port}: {(self.folder / 'log').read_text()[-2000:]}")


@contextlib.contextmanager
def running(password: str = "a test's own") -> Iterator[Sshd]:  # noqa: S107 - a throw-away server on loopback
    """A fresh server for one user; its folder goes when it stops."""
    if not Path(SERVER).exists():
        raise FileNotFoundError("OpenSSH's server is not installed: run `make services`")
    folder = Path(tempfile.mkdtemp(prefix="shutong-sshd-"))
    folder.chmod(0o755)
    as_root = os.geteuid() == 0
    try:
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / name], check=True)
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        drops = folder / "drops"
        drops.mkdir()
        port, user = free_port(), "department" if as_root else os.environ.get("USER", "nobody")
        (folder / "config").write_text(_SETTINGS.format(folder=folder, port=port))
        if as_root:
            accounts = Path("/etc/passwd").read_text()
            (folder / "passwd").write_text(f"{accounts}{user}:x:{_UID}:{_UID}::{drops}:/bin/sh\n")
            _shadow(folder, user, password)
        host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
        key = (folder / "user_key").read_text()
        server = Sshd(port, user, password, as_root, key, host_key, drops, folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _shadow(folder: Path, user: str, password: str) -> None:
    command = ["openssl", "passwd", "-6", "-stdin"]
    hashed = subprocess.run(command, input=password.encode(), capture_output=True, check=True).stdout.decode().strip()
    with (folder / "shadow").open("r+" if (folder / "shadow").exists() else "w") as file:
        file.truncate()  # the same file: the server has it mounted
        file.write(f"root:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n{user}:{hashed}:19000:0:99999:7:::\n")
