"""Notice that a service gives the same page again and again though something in its records changes every time."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from schemas.values import RAW_COLUMNS

PAGES = 100  # in a row, that say nothing new


class Standing:
    """Pages one after the other; `pages` is how many in a row bring nothing but the one before them.

    A page brings nothing new where most of its columns are those of the page before, row by row, one of them with a
    value of its own in every row. Columns that hold one value throughout do not count: they tell no page from another.
    A number that begins again on each page, and a time that is the same for all, are one column among several.
    """

    def __init__(self) -> None:
        self.pages = 0
        self._before: dict[str, bytes] = {}

    def add(self, page: pa.RecordBatch) -> None:
        """Look at the next page."""
        if page.num_rows < 2:  # noqa: PLR2004 - the fields of one record often say the same as the record before
            self.pages, self._before = 0, {}
            return
        now, own = {}, set()
        for name in page.schema.names:
            values = page[name]
            count = len(values.unique())
            if name in RAW_COLUMNS or (count == 1):
                continue
            now[name] = hashlib.sha256(pa.record_batch([values], names=["one"]).serialize()).digest()
            if count == page.num_rows:
                own.add(name)
        same = {name for name, mark in now.items() if self._before.get(name) == mark}
        stands = bool(same & own) and len(same) * 2 > len(now)
        self.pages = self.pages + 1 if stands else 0
        self._before = now
