"""Put a merged library where it can be looked up: build its serving store, switch readers to it, record that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from schemas.points import reached
from schemas.standard import Standard
from warehouse import crosswalk, serving_build, serving_care, survivors
from warehouse.clock import now_text
from warehouse.errors import WarehouseError
from warehouse.lock import exclusive
from warehouse.merge import base_table
from warehouse.serving import Generation, current
from warehouse.sql import quote
from warehouse.state import Publication, Release, State
from warehouse.tables import Tables

NAMES = (
    "ent_name",
    "name",
    "full_name",
)  # fields people look up by that identify nobody; identifiers come by themselves
_FORMAT = 2  # of serving files; another number publishes every library anew


class NotMergedError(WarehouseError):
    """The library has no released base table; the same call works once it has been merged."""

    retryable: ClassVar[bool] = True

    def __init__(self, library: str) -> None:
        super().__init__(
            "WH-NOT-MERGED",
            zh=f"基础库 {library} 尚无已发布的归并结果",
            en=f"library {library} has not been merged yet",
            fix_zh="先接入该库的资源，归并后再发布",
            fix_en="Ingest the library's resources and merge them, then publish",
        )


def publish(state: State, tables: Tables, folder: Path, library: str, standard: Standard,
            *, indexed: Sequence[str] | None = None) -> Publication:  # fmt: skip
    """Serve the released base table of a library from `folder`; nothing happens when it is served already.

    `indexed` are the fields it can be looked up by besides its key; by default the standard's identifiers and names.
    A publish killed half way is completed, or dropped and done anew, by the next one. Raises NotMergedError.
    """
    names = tuple(standard.identifiers) + NAMES if indexed is None else tuple(indexed)
    indexed = tuple(dict.fromkeys(one.name for one in standard.fields if one.name in names))
    with exclusive(folder / f"{library}.lock"):
        release = state.release()
        pin = release.tables.get(base_table(library)) if release else None
        if release is None or pin is None:
            raise NotMergedError(library)
        contents = f"{pin.snapshot}-{_shape(standard, indexed)}"
        serving = serving_care.published(folder, library)
        if serving is None or serving.snapshot != contents:
            plan = serving_build.Plan(
                library=library,
                key=crosswalk.key_of(standard),
                generation=_next(state, folder, library),
                indexed=indexed,
                embedded=(survivors.SOURCES,),
                release=release.id,
                snapshot=contents,
                published_at=now_text(),
            )
            serving = _build(tables, folder, release, standard, plan)
            reached("publish.built")
            serving_care.switch(folder, library, serving.id)
        else:
            serving_care.sweep(folder, library)
        reached("publish.switched")
        publication = state.commit_publication(library, serving.id, serving.release, serving.rows)
        reached("publish.recorded")
        return publication


def _build(tables: Tables, folder: Path, release: Release, standard: Standard,
           plan: serving_build.Plan) -> Generation:  # fmt: skip
    base, said = base_table(plan.library), base_table(plan.library) + "_attr"
    served = [one.name for one in standard.fields] + [survivors.SOURCES, survivors.DEPARTMENTS]
    with tables.connect() as connection:
        # Read through the snapshot: the table may have gained columns since it was released.
        rows = tables.relation(base, release.tables[base].snapshot)
        there = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()}
        wanted = ", ".join(quote(name) for name in served if name in there)
        connection.execute(f"CREATE TEMP VIEW served AS SELECT {wanted} FROM {rows}")
        statements = tables.relation(said, release.tables[said].snapshot, ["department", "observed_at"])
        newest = connection.execute(
            f"SELECT department, max(observed_at) FROM {statements} WHERE observed_at IS NOT NULL"
            " GROUP BY department ORDER BY department"
        ).fetchall()
        return serving_build.build(folder, connection, "served", replace(plan, freshness=dict(newest)))


def _next(state: State, folder: Path, library: str) -> int:
    """A number above every generation the library ever had, should the folder or the state database be new."""
    recorded = state.publication(library)
    return max(current(folder / library), recorded.generation if recorded else 0) + 1


def _shape(standard: Standard, indexed: Sequence[str]) -> str:
    told = [_FORMAT, standard.key, [(one.name, one.type) for one in standard.fields], indexed]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:12]
