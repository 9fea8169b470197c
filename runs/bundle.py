"""Take a library from a partner's bundle, or hand one over, with a record of the run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from runs import reach
from runs.batch import Parts
from schemas.errors import ShutongError
from schemas.standard import Standard
from warehouse.bundle_errors import own_library
from warehouse.bundle_export import Order, export
from warehouse.bundle_file import Bundle, Reading
from warehouse.bundle_import import Taken, take
from warehouse.bundle_keys import Keys
from warehouse.bundle_state import BundleState, run_of
from warehouse.clock import now
from warehouse.faults import room
from warehouse.upkeep import library_tables, tidy

TRIGGER = "bundle"


def hand_over(parts: Parts, order: Order, keys: Keys, file: Path, told: Callable[[int], None]) -> Bundle:
    """Write the bundle; see warehouse.bundle_export."""
    with _room(parts):
        return export(parts.state, parts.tables, order, keys, file, told=told)


def take_over(parts: Parts, got: Reading, library: str, keys: Keys, told: Callable[[int], None]) -> Taken:
    """Import the bundle as the library of that name, release it, and forget snapshots nobody needs."""
    standard: Standard = parts.received[library]
    if any(one.standard.library == library for one in parts.resources.values()):
        raise own_library(library)
    run, state = run_of(got.bundle.id), parts.state
    again = BundleState(state.engine).taken(got.bundle.id)
    if not again:
        state.start_run(run, library, trigger=TRIGGER)
    try:
        with _room(parts):
            taken = take(state, parts.tables, got, library, standard, keys, told=told)
    except ShutongError as error:
        if not again:
            state.fail_run(run, error.as_dict())
        raise
    if taken.changed or state.run(run).status != "done":  # killed once it was released, it still says it works
        state.step(run, "merge", counts={"landed": taken.records})
        state.finish_run(run)
        reach.note(parts, library, now())
        tidy(state, parts.tables, library_tables(library), parts.kept)
    return taken


def _room(parts: Parts) -> AbstractContextManager[None]:
    return room(str(parts.tables.folder))
