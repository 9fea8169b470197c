"""Care for tables beside the steps: how each table is sorted and locked, and joining the small files of some."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from runs.resources import Resource
from schemas.errors import ShutongError
from schemas.standard import Standard
from warehouse.bundle_parts import PLACE
from warehouse.compaction import Tended, fold
from warehouse.crosswalk import key_of
from warehouse.land import lock_name, quarantine_table
from warehouse.library_state import newest
from warehouse.state import State
from warehouse.store import ObjectStore
from warehouse.tables import Tables
from warehouse.upkeep import library_tables

LOG = logging.getLogger(__name__)
_BATCH_ROW = ("_batch", "_row")  # tell the rows in quarantine apart


def of_resource(store: ObjectStore, resource: Resource) -> tuple[Tended, ...]:
    """The tables a resource lands in."""
    alone = partial(store.lock, lock_name(resource.id))
    landed = Tended(resource.table, resource.standard.key, alone)
    return landed, Tended(quarantine_table(resource.id), _BATCH_ROW, alone)


def of_library(tables: Tables, library: str, standard: Standard) -> tuple[Tended, ...]:
    """The tables a library is merged into: its records, when whose rows landed, the cross-walk, and its history."""
    sorts = ((key_of(standard),), ("department", "resource"), ("id",), ("_key", "_at"))
    alone = partial(tables.lock, f"merge-{library}")
    return tuple(
        Tended(name, sort, alone, None if number else library)
        for number, (name, sort) in enumerate(zip(library_tables(library), sorts, strict=True))
    )


def of_bundle(state: State, tables: Tables, library: str, standard: Standard) -> tuple[Tended, ...]:
    """The rows that came with a library which was merged elsewhere: who said what."""
    made = newest(state, library)
    alone, sort = partial(tables.lock, f"merge-{library}"), (key_of(standard), *PLACE)
    return tuple(Tended(name, sort, alone) for name in (made.inputs if made else ()))


def join_small_files(state: State, tables: Tables, each: Iterable[Tended]) -> None:
    """Join the small files of tables that have many, so that reading and committing stay cheap.

    What comes after does not fail for it: an error is logged, and the next step tries again.
    """
    for one in each:
        try:
            fold(state, tables, one)
        except ShutongError as error:
            LOG.warning("%s; the next landing or merge tries again", error)
