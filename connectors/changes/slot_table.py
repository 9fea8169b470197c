"""How PostgreSQL names the records of a table in its log, and how to ask for the records of some keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.changes.pgoutput import Key
from connectors.changes.slot_errors import unknown_key

if TYPE_CHECKING:
    import psycopg

# Types a reader writes otherwise than the log does.
_OTHERWISE = ("boolean", "inet", "bytea")
_IDENTITY = """
SELECT n.nspname, c.relname, c.relreplident::text, c.relkind::text,
  array_agg(a.attname::text ORDER BY k.place) FILTER (WHERE a.attnum IS NOT NULL),
  array_agg(pg_catalog.format_type(a.atttypid, -1) ORDER BY k.place) FILTER (WHERE a.attnum IS NOT NULL)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
  AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END
LEFT JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place) ON k.place <= i.indnkeyatts
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
WHERE c.oid = %s::regclass GROUP BY 1, 2, 3, 4
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """A table and the columns that name its records in the log, with their types as SQL."""

    schema: str
    table: str
    replica: str  # d: primary key, i: an index, f: the whole row, n: nothing
    partitioned: bool
    key: tuple[str, ...]
    types: tuple[str, ...]

    def usable(self) -> Identity:
        """Itself; SRC-LOG-KEY where its records cannot be followed."""
        odd = [name for name, kind in zip(self.key, self.types, strict=True) if kind in _OTHERWISE]
        if odd or not self.key or self.replica == "n":
            raise unknown_key(f"{self.schema}.{self.table}", ", ".join(odd) or "—")
        return self

    def among(self, keys: Sequence[Key]) -> str:
        """SQL that is true of the records with one of `keys`, found by the index of the key."""
        columns = [_array([key[at] for key in keys], kind) for at, kind in enumerate(self.types)]
        if len(columns) == 1:
            return f"{_name(self.key[0])} = ANY({columns[0]})"
        names = ", ".join(map(_name, self.key))
        return f"({names}) IN (SELECT * FROM unnest({', '.join(columns)}))"


def identity(connection: psycopg.Connection[Any], quoted: str) -> Identity:
    """Look up how the records of the table, quoted as SQL, are named in the log."""
    found = connection.execute(_IDENTITY, [quoted]).fetchone()
    if found is None:
        raise LookupError(quoted)
    schema, table, replica, kind, key, types = found
    return Identity(schema, table, replica, kind == "p", tuple(key or ()), tuple(types or ()))


def _array(values: Sequence[str], kind: str) -> str:
    return f"ARRAY[{', '.join(map(_literal, values))}]::{kind}[]"


def _literal(value: str) -> str:
    # E'' means the same whatever standard_conforming_strings says.
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def _name(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
