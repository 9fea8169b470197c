"""Columns of formats whose records name their own fields: known names stay, further ones are added as they come."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.rows import check_names, damaged, visible

MOST = 10_000  # a file with more names than this says something else than fields with them


class Names:
    """The names of one file in the order they were first seen."""

    def __init__(self, where: str, most: int = MOST) -> None:
        self._where, self.most = where, most
        self._seen: dict[str, None] = {}

    @property
    def known(self) -> list[str]:
        """All names so far."""
        return list(self._seen)

    def add(self, names: Iterable[str]) -> bool:
        """Learn the names of one record; False, and nothing learnt, when there would be too many.

        SRC-HEADER for a name that Shutong needs for itself.
        """
        new = [name for name in names if name not in self._seen]
        if not new:
            return True
        if len(self._seen) + len(new) > self.most:
            return False
        check_names([visible(name) if damaged(name) else name for name in new], self._where)
        self._seen.update(dict.fromkeys(new))
        return True
