"""Look records up by key: a library's published generation, in files that never change; readers follow a switch."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import lmdb

from warehouse.serving_ahead import bring_in
from warehouse.serving_errors import NotIndexedError, NotPublishedError, TornGenerationError
from warehouse.serving_file import (
    SUFFIX,
    DamagedFileError,
    Generation,
    OpenFile,
    Record,
    current,
    generation_file,
    index_key,
    open_once,
)
from warehouse.serving_view import Page, View

__all__ = [
    "Generation", "NotIndexedError", "NotPublishedError", "Page", "Record", "ServingStore", "TornGenerationError",
    "View", "current", "generation_file", "index_key", "open_view",
]  # fmt: skip
LOG = logging.getLogger(__name__)
_MISSED = 20  # times a publisher may replace CURRENT and drop the old file between our two steps
_UNREADABLE = (lmdb.Error, DamagedFileError)


class ServingStore:
    """Keyed look-ups in one library, safe for many threads.

    It follows the published generation: CURRENT is read again at most every `check_every` seconds. Each call is
    answered from one generation, whole; several calls are, on one `view`. A generation that cannot be read is passed
    over for the one before it. Raises NotPublishedError while nothing is published. `ahead` has each generation read
    into memory as it is opened, for a process that will be asked often.
    """

    def __init__(self, folder: Path, library: str, check_every: float = 0.2, *, ahead: bool = False) -> None:
        self.folder, self.library, self.check_every = Path(folder) / library, library, check_every
        self._ahead, self._brought = ahead, weakref.WeakSet[OpenFile]()
        self._held: View | None = None
        self._number = 0
        self._next_check = 0.0
        self._switching = threading.Lock()

    def get(self, key: str) -> Record | None:
        """The record with that key, or None. Dates are ISO text, decimals exact text, identifiers text."""
        return self.view().get(key)

    def get_many(self, keys: Iterable[str]) -> Mapping[str, Record]:
        """The records found, by key, all from one generation; keys that are not there are left out.

        A record is read anew each time it is asked for.
        """
        return self.view().get_many(keys)

    def find(self, name: str, value: str, limit: int = 20) -> list[Record]:
        """Up to `limit` records whose field `name` is exactly `value`, in the order of their keys."""
        return self.view().find(name, value, limit)

    def page(self, equal: Mapping[str, str], *, prefix: tuple[str, str] | None = None, limit: int = 100,
             after: str | None = None, keep: Callable[[Record], bool] | None = None) -> Page:  # fmt: skip
        """A page of records by several fields, or by the beginning of one: see View.page."""
        return self.view().page(equal, prefix=prefix, limit=limit, after=after, keep=keep)

    def info(self) -> Generation:
        """What the generation in force holds and how fresh it is."""
        return self.view().info

    def refresh(self) -> Generation:
        """Look at CURRENT now instead of when the next check is due."""
        self._next_check = 0.0
        return self.view().info

    def view(self) -> View:
        """The generation in force, for calls that are to be answered from one."""
        held = self._held
        if held is not None and time.monotonic() < self._next_check:
            return held
        with self._switching:
            if self._held is None or time.monotonic() >= self._next_check:
                self._held = self._followed()
                self._next_check = time.monotonic() + self.check_every
            return self._held

    def _followed(self) -> View:
        named = 0
        for _ in range(_MISSED):
            before, named = named, current(self.folder)
            if not named:
                raise NotPublishedError(self.library)
            if self._held is not None and named == self._number:
                return self._held
            try:
                view, self._number = self._opened(named), named
            except FileNotFoundError:
                time.sleep(0.01 if before == named else 0)
            except _UNREADABLE as error:
                return self._earlier(named, str(error) or type(error).__name__, error)
            else:
                return view
        return self._earlier(named, "missing", None)

    def _opened(self, number: int) -> View:
        view = open_view(self.folder, number)
        for file in view.files if self._ahead else ():
            if file not in self._brought:
                self._brought.add(file)
                bring_in(file)
        return view

    def _earlier(self, number: int, why: str, cause: Exception | None) -> View:
        """What is held, or the newest generation before that can be read; asked again at the next check."""
        LOG.warning(
            "library %s: generation %d cannot be read (%s); the one before it answers", self.library, number, why
        )
        if self._held is not None:
            return self._held
        older = sorted((int(one.stem) for one in self.folder.glob("*" + SUFFIX) if one.stem.isdigit()), reverse=True)
        for one in older:
            if one < number and (view := _readable(self.folder, one)) is not None:
                return view
        raise TornGenerationError(self.library, number, why) from cause


def open_view(folder: Path, number: int) -> View:
    """The generation of a library's folder. Raises OSError, lmdb.Error, DamagedFileError."""
    top = open_once(generation_file(folder, number))
    return View(top, _base(folder, top))


def _base(folder: Path, top: OpenFile) -> OpenFile | None:
    return open_once(generation_file(folder, top.info.base)) if top.info.base else None


def _readable(folder: Path, number: int) -> View | None:
    try:
        return open_view(folder, number)
    except (OSError, *_UNREADABLE):
        return None
