"""Do work in a forked process, so that it can be killed and nothing of it stays in this one."""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable


def started(work: Callable[[], None]) -> int:
    """Fork a process that does the work; its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - told on stderr, and by the status
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


def done(work: Callable[[], None]) -> int:
    """Do the work in a process of its own; its exit status."""
    return os.waitpid(started(work), 0)[1]


def struck(work: Callable[[], None], after: float) -> tuple[bool, float]:
    """Do the work in a process of its own, and kill that after some seconds; whether it was alive, and how long it was.

    Work that ends before its time is not waited for, so that times measured on a busy machine make nothing slow.
    """
    began = time.monotonic()
    child = started(work)
    ending = os.pidfd_open(child)
    try:
        select.select([ending], [], [], after)
    finally:
        os.close(ending)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert status in {0, signal.SIGKILL}, status
    return status == signal.SIGKILL, time.monotonic() - began


def warmed(work: Callable[[], None]) -> None:
    """Do the work here, once: what it read, compiled and imported need not be done again in each process forked later.

    The threads it leaves belong to pools (of Arrow and pyiceberg) that begin anew after a fork; a thread that only draws
    progress bars does not, and is not started.
    """
    from tqdm import tqdm

    tqdm.monitor_interval = 0
    work()
    gc.collect()
    gc.freeze()  # nobody looks through what is here for garbage again, and its pages stay shared
