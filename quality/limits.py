"""Stop what takes longer than a rule may: a query by an interrupt, Python in the middle of a value."""

from __future__ import annotations

import ctypes
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import duckdb
import pyarrow as pa

# Seconds for one rule over a whole batch. Rules about several rows take seconds on ten million; one that compares
# nearly all rows with each other, since nearly all have the same key, would not end today.
RULE = 900.0
PART = 60.0  # seconds for the SQL of one part, some ten thousand rows, which takes milliseconds
STOPPED = "interrupted: it took longer than it may"
# Places a regular expression may be at together: each byte of a text costs up to that many steps, and no query is
# interrupted before it is done with the rows that it holds in hand.
_MANY, _IN_HAND = 100, 1 << 12  # bytes of them
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d*,?\d*\}|.", re.DOTALL)
_TEXT = re.compile(r"'((?:[^']|'')*)'")
_AGAIN = 0.1  # seconds: what is tried again after an interrupt is interrupted again


class OverdueError(BaseException):
    """It took longer than it may. Not an Exception: whoever judges values one by one would take it for a bad value."""


@contextmanager
def query(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt every query of the connection once `seconds` have passed (duckdb.InterruptException there)."""
    done = threading.Event()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            connection.interrupt()
            wait = _AGAIN

    watcher = threading.Thread(target=watch, name="time limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def heavy(pattern: str) -> bool:
    """Whether a regular expression repeats so much that it may take long over a short text."""
    return _places(pattern) > _MANY


def heavy_sql(sql: str) -> bool:
    """Whether a text of a query is a regular expression that is heavy."""
    return "regexp" in sql and any(map(heavy, _TEXT.findall(sql)))


def cut(table: pa.Table) -> pa.Table:
    """The table in pieces so small that a query over them is soon interrupted."""
    each = table.nbytes // max(table.num_rows, 1)
    return pa.Table.from_batches(table.to_batches(max_chunksize=max(_IN_HAND // max(each, 1), 1)), table.schema)


def _places(pattern: str) -> int:
    """About how many places there are in a regular expression once what it repeats is written out."""
    open_, last = [0], 0  # places so far in each bracket that is open, and those of what stood last
    for sign in _TOKEN.findall(pattern):
        if sign == "(":
            open_.append(0)
            continue
        if sign == ")" and len(open_) > 1:
            last = open_.pop()
        elif len(sign) > 1 and sign[0] == "{" and (bounds := re.findall(r"\d+", sign)):
            open_[-1] += last * (int(bounds[-1]) - 1)
            continue
        else:
            last = 1
        open_[-1] += last
    return sum(open_)


@contextmanager
def python(seconds: float) -> Iterator[None]:
    """Raise OverdueError inside once `seconds` have passed: of processor time in the main thread, else of the clock.

    The main thread is stopped within a regular expression too, which hears of signals and of nothing else.
    """
    stop = _by_signal if threading.current_thread() is threading.main_thread() else _by_thread
    with stop(seconds):
        yield


@contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    def overdue(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signals call it
        raise OverdueError(STOPPED)

    # Processor time: the alarm of the clock belongs to whoever runs us, Airflow's time limit of a task among them.
    before = signal.signal(signal.SIGVTALRM, overdue)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _by_thread(seconds: float) -> Iterator[None]:
    here = ctypes.c_ulong(threading.get_ident())
    guard, done = threading.Lock(), threading.Event()

    def watch() -> None:
        if done.wait(seconds):
            return
        with guard:
            if not done.is_set():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(here, ctypes.py_object(OverdueError))

    threading.Thread(target=watch, name="time limit", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        with guard:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(here, None)  # one that was not heard of yet
