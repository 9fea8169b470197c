"""Bring contributions of several departments under one key, through the identifiers they share; never through names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

from schemas.standard import Standard
from warehouse.errors import WarehouseError
from warehouse.sql import literal, quote

ENTITY, OBSERVED = "_entity", "_observed"  # columns of a staged contribution: the key it came under, when it landed
USCC, ORG_CODE = "uscc", "org_code"
_SQL_TYPES = {
    "integer": "BIGINT",
    "decimal": "DECIMAL(24, 6)",
    "capital": "DECIMAL(24, 6)",
    "date": "DATE",
    "datetime": "TIMESTAMP WITH TIME ZONE",
    "boolean": "BOOLEAN",
}


class KeyShapeError(WarehouseError):
    """A library whose standard does not have exactly one key field."""

    def __init__(self, standard: Standard) -> None:
        super().__init__(
            "WH-MERGE-KEY",
            zh=f"标准 {standard.id} 的主键须为一个字段，现有：{'、'.join(standard.key) or '无'}",
            en=f"standard {standard.id} needs one key field to be merged; it has: {', '.join(standard.key) or 'none'}",
            fix_zh="在标准的 key 中只写一个字段，其余写入 identifiers",
            fix_en="Name one field in the standard's `key` and put the others into `identifiers`",
        )


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one resource brings to a library: its landed table, and the columns by which the later row wins.

    `order` overrides the standard's order; columns the table does not have are passed over.
    """

    resource: str
    department: str
    table: str
    order: tuple[str, ...] | None = None


def staged(number: int) -> str:
    """The temporary table that holds contribution `number` (from 0) of a merge."""
    return f"_staged_{number}"


def key_of(standard: Standard) -> str:
    """The one key field of a library; KeyShapeError when there is not exactly one."""
    if len(standard.key) != 1:
        raise KeyShapeError(standard)
    return standard.key[0]


def sql_type(standard: Standard, name: str) -> str:
    """The DuckDB type a field has in the base table."""
    return _SQL_TYPES.get(standard.field(name).type, "VARCHAR")


def stage(connection: duckdb.DuckDBPyConnection, standard: Standard, contribution: Contribution, relation: str,
          number: int) -> tuple[str, ...]:  # fmt: skip
    """Copy a relation into `staged(number)` with every field of the standard typed; returns the fields it delivers.

    `_entity` is the row's own key, null where it has none. `_order_0…` are its order columns, newest greatest.
    """
    columns = {name for name, *_ in connection.execute(f"DESCRIBE {quote(relation)}").fetchall()}
    key = quote(key_of(standard))
    order = standard.order if contribution.order is None else contribution.order
    picked = [
        f"{quote(one.name) if one.name in columns else 'NULL'}::{sql_type(standard, one.name)} AS {quote(one.name)}"
        for one in standard.fields
    ]
    picked += [f"{quote(name)} AS _order_{place}" for place, name in enumerate(n for n in order if n in columns)]
    picked.append(f"{'_landed_at' if '_landed_at' in columns else 'NULL::VARCHAR'} AS {OBSERVED}")
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {staged(number)} AS"
        f" SELECT *, nullif({key}, '') AS {ENTITY} FROM (SELECT {', '.join(picked)} FROM {quote(relation)})"
    )
    return tuple(one.name for one in standard.fields if one.name in columns)


def link(connection: duckdb.DuckDBPyConnection, standard: Standard, contributions: int) -> tuple[int, ...]:
    """Give staged rows without a key the key their strongest telling identifier points to.

    An identifier tells when the rows that have a key of their own use its value under exactly one key. Returns for each
    contribution how many rows are left without any.
    """
    weaker = [name for name in standard.identifiers if name not in standard.key]
    points = _union(
        f"SELECT {strength} AS strength, {identifier(standard, name)} AS value, {ENTITY} AS key"
        f" FROM {staged(number)} WHERE {ENTITY} IS NOT NULL"
        for number in range(contributions)
        for strength, name in enumerate(weaker)
    )
    left = []
    for number in range(contributions):
        if weaker:
            asked = _union(
                f"SELECT rowid AS row, {strength} AS strength, {identifier(standard, name)} AS value"
                f" FROM {staged(number)} WHERE {ENTITY} IS NULL"
                for strength, name in enumerate(weaker)
            )
            # Joined rows keep a null _entity in their own columns until all are found, so that keys come from rows
            # that have one and the outcome does not hang on the order of contributions.
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE _linked_{number} AS"
                f" WITH told AS (SELECT row, asked.strength, min(key) AS key FROM ({asked}) AS asked"
                f" JOIN ({points}) AS points ON points.strength = asked.strength AND points.value = asked.value"
                " GROUP BY row, asked.strength HAVING count(DISTINCT key) = 1)"
                " SELECT row, arg_min(key, strength) AS key FROM told GROUP BY row"
            )
    for number in range(contributions):
        if weaker:
            connection.execute(
                f"UPDATE {staged(number)} SET {ENTITY} = linked.key FROM _linked_{number} AS linked"
                f" WHERE {staged(number)}.rowid = linked.row"
            )
        told = connection.execute(f"SELECT count(*) FROM {staged(number)} WHERE {ENTITY} IS NULL").fetchone()
        left.append(int(told[0]) if told else 0)
    return tuple(left)


def xref(standard: Standard, contributions: Sequence[Contribution]) -> str:
    """SQL of the cross-walk as it stands: department, resource, identifier, value → key."""
    names = tuple(dict.fromkeys((*standard.key, *standard.identifiers)))
    said = _union(
        f"SELECT {literal(one.department)} AS department, {literal(one.resource)} AS resource,"
        f" {literal(name)} AS identifier, {identifier(standard, name)} AS value, {ENTITY} AS key"
        f" FROM {staged(number)} WHERE {ENTITY} IS NOT NULL"
        for number, one in enumerate(contributions)
        for name in names
    )
    return f"SELECT DISTINCT * FROM ({said}) WHERE value IS NOT NULL"


def identifier(standard: Standard, name: str) -> str:
    """SQL of an identifier's value as it is compared; null when there is none.

    An organisation code is written with or without its hyphen, and positions 9–17 of a USCC are one (GB 32100-2015).
    """
    if name != ORG_CODE:
        return f"nullif({quote(name)}::VARCHAR, '')"
    code = f"nullif(replace({quote(name)}, '-', ''), '')"
    if any(one.name == USCC for one in standard.fields):
        return f"coalesce({code}, CASE WHEN length({USCC}) = 18 THEN substr({USCC}, 9, 9) END)"
    return code


def _union(queries: Iterable[str]) -> str:
    return " UNION ALL ".join(queries)
