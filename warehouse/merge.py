"""Merge what the departments of a library have landed into one record per firm or person, and release it as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from schemas.standard import Standard
from warehouse import crosswalk, survivors
from warehouse.crosswalk import Contribution

XREF = "_xref"  # temporary table of a merge, beside survivors.RECORD and survivors.ATTR


@dataclass(frozen=True, slots=True)
class Combined:
    """What combining counted: disagreements, and per resource the rows that no identifier links to a key."""

    conflicts: tuple[survivors.Conflict, ...]
    unlinked: Mapping[str, int]


def combine(connection: duckdb.DuckDBPyConnection, standard: Standard, contributions: Sequence[Contribution],
            relations: Sequence[str]) -> Combined:  # fmt: skip
    """Combine relations known to the connection into the temporary tables `_record`, `_attr` and `_xref`.

    The outcome depends on the rows and on the order of contributions, not on the order of rows.
    """
    delivered = [
        crosswalk.stage(connection, standard, one, relation, number)
        for number, (one, relation) in enumerate(zip(contributions, relations, strict=True))
    ]
    left = crosswalk.link(connection, standard, len(contributions))
    survivors.gather(connection, standard, contributions)
    survivors.decide(connection, standard, contributions, delivered)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {XREF} AS {crosswalk.xref(standard, contributions)}")
    unlinked = {one.resource: rows for one, rows in zip(contributions, left, strict=True)}
    return Combined(survivors.conflicts(connection), unlinked)
