"""The sharing API over a real deployment, which a test may have killed the instant a pushed batch is durable."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from sharing.catalog import SharingConfig
from shutong import api


def config() -> SharingConfig:
    """The deployment's configuration; while the file KILL_FILE names is there, the process dies at its point."""
    flag = Path(os.environ["KILL_FILE"])

    def listen(event: str, arguments: tuple[object, ...]) -> None:
        if event == "shutong.point" and flag.exists() and flag.read_text() == arguments[0]:
            flag.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(listen)
    return api.config()
