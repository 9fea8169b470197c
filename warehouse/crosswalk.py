"""Say in SQL how a contribution is read: fields typed, its own key, and the identifiers that may lead to another's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from schemas.standard import Standard
from warehouse.errors import WarehouseError
from warehouse.sql import literal, quote

ENTITY, OBSERVED = "_entity", "_observed"  # columns of a staged contribution: the key it came under, when it landed
OWN, LOOSE = "_own", "_loose"  # the row's own key, null where it has none; the digest of its identifiers then
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


def key_of(standard: Standard) -> str:
    """The one key field of a library; KeyShapeError when there is not exactly one."""
    if len(standard.key) != 1:
        raise KeyShapeError(standard)
    return standard.key[0]


def weaker(standard: Standard) -> list[str]:
    """The identifiers that lead rows without a key of their own to one, strongest first."""
    return [name for name in standard.identifiers if name not in standard.key]


def sql_type(standard: Standard, name: str) -> str:
    """The DuckDB type a field has in the base table."""
    return _SQL_TYPES.get(standard.field(name).type, "VARCHAR")


def delivered(standard: Standard, columns: Collection[str]) -> tuple[str, ...]:
    """The fields of the standard that a table with these columns delivers."""
    return tuple(one.name for one in standard.fields if one.name in columns)


def wanted(standard: Standard, contribution: Contribution, columns: Sequence[str]) -> list[str]:
    """The columns of a landed table that a merge reads."""
    order = standard.order if contribution.order is None else contribution.order
    names = {*delivered(standard, columns), *order, "_landed_at"}
    return [name for name in columns if name in names]


def typed(standard: Standard, contribution: Contribution, relation: str, columns: Sequence[str],
          more: Sequence[str] = ()) -> str:  # fmt: skip
    """SQL of a landed relation as it is merged: fields typed, `_order_0…` newest greatest, OWN, LOOSE and OBSERVED.

    Identifiers it does not deliver are null; other such fields are left out. `more` columns come along as they are.
    """
    there = delivered(standard, columns)
    key = key_of(standard)
    fields = [name for name in (one.name for one in standard.fields) if name in {*there, key, *standard.identifiers}]
    if USCC not in fields and any(one.name == USCC for one in standard.fields):
        fields.append(USCC)
    picked = [
        f"{quote(name) if name in there else 'NULL'}::{sql_type(standard, name)} AS {quote(name)}" for name in fields
    ]
    order = [name for name in (standard.order if contribution.order is None else contribution.order) if name in columns]
    picked += [f"{quote(name)} AS _order_{place}" for place, name in enumerate(order)]
    picked.append(f"{'_landed_at' if '_landed_at' in columns else 'NULL::VARCHAR'} AS {OBSERVED}")
    picked += [quote(name) for name in more]
    own = f"nullif({quote(key)}, '')"
    loose = f"CASE WHEN {own} IS NULL THEN {digest(standard, contribution)} END"
    return f"SELECT *, {own} AS {OWN}, {loose} AS {LOOSE} FROM (SELECT {', '.join(picked)} FROM {relation})"


def digest(standard: Standard, contribution: Contribution) -> str:
    """SQL of 20 digits that name a row without a key by its resource and its identifiers."""
    parts = ", ".join(
        f"coalesce(strlen({value}) || ':' || {value}, '-')"
        for value in (identifier(standard, name) for name in weaker(standard))
    )
    return f"md5(concat({literal(contribution.resource)}{', ' + parts if parts else ''}))[:20]"


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
