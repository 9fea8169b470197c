"""Small work that tests send to other processes, which import nothing for it."""

from __future__ import annotations

import os
import signal


def twice(number: int) -> int:
    return 2 * number


def refuse(number: int) -> int:
    raise ValueError(number)


def die(_number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
