"""Keep every commit as cheap as the one before: few releases keep their snapshots, and tables keep few snapshots."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import ShutongError
from warehouse.bundle_state import BundleState
from warehouse.library_job import BASE
from warehouse.library_state import LibraryState
from warehouse.state import State
from warehouse.tables import Tables

LOG = logging.getLogger(__name__)
SNAPSHOTS = 50  # of a table; pyiceberg reads and copies them all at every commit
NEWEST = 3  # snapshots that stay whether a release names them or not
FEWER = 10  # snapshots that must be to spare, so that forgetting them is worth a commit


_LIBRARY = ("", "_attr", "_xref", "_history")  # what follows a library's name in the names of its tables


@dataclass(frozen=True, slots=True)
class Kept:
    """How far back releases can be read: the newest so many, and the last one of each of the newest so many days.

    Days count on which something was released. What libraries were merged from and publications answer from stays.
    `twins`: beside them, keyed twins of the data files that libraries are merged from.
    """

    releases: int = 20
    days: int = 7
    twins: bool = True


def library_tables(library: str) -> tuple[str, ...]:
    """The tables of a library, those it may not have yet among them."""
    return tuple(f"{BASE}.{library}{suffix}" for suffix in _LIBRARY)


def tidy(state: State, tables: Tables, names: Sequence[str], kept: Kept) -> int:
    """Expire the tables that have more than SNAPSHOTS snapshots; returns how many were forgotten.

    To be called after a release. What is released already does not fail for it: an error is logged, and the next
    call tries again.
    """
    try:
        full = [name for name in names if tables.snapshot_count(name) > SNAPSHOTS]
        if not full:
            return 0
        state.unpin_releases(kept.releases, kept.days)
        return sum(expire(state, tables, name, least=FEWER) for name in full)
    except ShutongError as error:
        LOG.warning("%s; the next landing tries again", error)
        return 0


def expire(state: State, tables: Tables, name: str, *, least: int = 1) -> int:
    """Forget the snapshots of a table that nobody needs, if they are at least so many; returns how many went."""
    return tables.expire(name, NEWEST, needed(state, name), least=least)


def needed(state: State, name: str) -> frozenset[int]:
    """The snapshots of a table that releases, publications, merges of libraries or bundles for partners stand on."""
    return state.pinned(name) | LibraryState(state.engine).pinned(name) | BundleState(state.engine).pinned(name)
