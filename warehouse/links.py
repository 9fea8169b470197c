"""Lead rows without a key of their own to one through the identifiers they share with keyed rows; never through names.

What would fuse two firms is held instead: the row belongs to nobody until a human decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import duckdb

from schemas.standard import Standard
from warehouse.crosswalk import ENTITY, LOOSE, OWN, Contribution, identifier, weaker
from warehouse.sql import literal, quote

LINKS = "_links"  # temporary table: one row per resource and combination of identifiers, as base.<library>_xref
_ASKED, _POINTS = "_asked", "_points"
RENAMED = "_renamed"  # temporary table (old, new): keys that became others


def rename(connection: duckdb.DuckDBPyConnection, renamed: Mapping[str, str], name: str = RENAMED) -> str:
    """Make a table (old, new) of keys that became others; returns its name."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} (old VARCHAR, new VARCHAR)")
    if renamed:
        listed = ", ".join(f"({literal(old)}, {literal(new)})" for old, new in sorted(renamed.items()))
        connection.execute(f"INSERT INTO {name} VALUES {listed}")
    return name


def loose(standard: Standard, contribution: Contribution, relation: str) -> str:
    """SQL of the rows without a key by their identifiers: id, department, resource, identifiers, how many rows."""
    names = weaker(standard)
    said = "".join(f", {identifier(standard, name)} AS {quote(name)}" for name in names)
    return (
        f"SELECT {LOOSE} AS id, {literal(contribution.department)} AS department,"
        f" {literal(contribution.resource)} AS resource{said}, count(*) AS rows"
        f" FROM {relation} WHERE {OWN} IS NULL GROUP BY ALL"
    )


def link(connection: duckdb.DuckDBPyConnection, standard: Standard, asking: str, keyed: Sequence[str],
         decisions: Mapping[str, str]) -> None:  # fmt: skip
    """Make LINKS of the rows `asking` (`loose`), through the keyed relations (`crosswalk.typed`) and RENAMED.

    An identifier tells when keyed rows use its value under exactly one key. All that tell must tell the same key:
    otherwise the row is held as a contradiction, both keys beside it; where none tells, but one is used under several
    keys, it is held as shared; where nobody uses any, its reason is unknown.
    """
    names = weaker(standard)
    asked = _union(
        f"SELECT id, {strength} AS strength, {quote(name)} AS value FROM {asking} WHERE {quote(name)} IS NOT NULL"
        for strength, name in enumerate(names)
    )
    nothing = "SELECT NULL::VARCHAR AS id, 0 AS strength, NULL::VARCHAR AS value LIMIT 0"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_ASKED} AS {asked or nothing}")
    points(connection, standard, keyed)
    connection.execute("CREATE OR REPLACE TEMP TABLE _decided (id VARCHAR, key VARCHAR)")
    if decisions:
        connection.executemany("INSERT INTO _decided VALUES (?, ?)", [list(one) for one in decisions.items()])
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {LINKS} AS WITH told AS (SELECT id, strength, min(key) AS one,"
        f" list(DISTINCT key) AS every FROM {_ASKED} JOIN {_POINTS} USING (strength, value) GROUP BY id, strength),"
        " gathered AS (SELECT id, list_distinct(list(one) FILTER (len(every) = 1)) AS sure,"
        " list_sort(list_distinct(flatten(list(every)))) AS every FROM told GROUP BY id),"
        " known AS (SELECT a.*, coalesce(g.sure, []) AS sure, coalesce(g.every, []) AS every, d.key AS decided"
        f" FROM {asking} AS a LEFT JOIN gathered AS g USING (id) LEFT JOIN _decided AS d USING (id)),"
        " judged AS (SELECT *, CASE WHEN list_contains(every, decided) THEN decided WHEN decided = '' THEN NULL"
        " WHEN len(sure) = 1 THEN sure[1] END AS key FROM known)"
        " SELECT id, department, resource," + "".join(f" {quote(name)}," for name in names) + " key,"
        " CASE WHEN key IS NOT NULL THEN NULL WHEN decided = '' THEN 'apart' WHEN len(sure) > 1 THEN 'contradiction'"
        " WHEN len(every) > 0 THEN 'shared' ELSE 'unknown' END AS reason,"
        " CASE WHEN key IS NULL THEN every ELSE []::VARCHAR[] END AS candidates, rows::BIGINT AS rows FROM judged"
    )


def points(connection: duckdb.DuckDBPyConnection, standard: Standard, keyed: Sequence[str]) -> None:
    """Make _POINTS (strength, value, key) of the values in _ASKED that keyed rows use."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_POINTS} (strength INTEGER, value VARCHAR, key VARCHAR)")
    if not connection.execute(f"SELECT count(*) FROM {_ASKED}").fetchall()[0][0]:
        return
    names = weaker(standard)
    for relation in keyed:
        hit = " OR ".join(
            f"{identifier(standard, name)} IN (SELECT value FROM {_ASKED} WHERE strength = {strength})"
            for strength, name in enumerate(names)
        )
        said = ", ".join(f"{identifier(standard, name)} AS _v{strength}" for strength, name in enumerate(names))
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE _pointing AS SELECT DISTINCT coalesce(new, {OWN}) AS {ENTITY}, {said}"
            f" FROM (SELECT * FROM {relation} WHERE {OWN} IS NOT NULL AND ({hit})) LEFT JOIN {RENAMED} ON old = {OWN}"
        )
        told = _union(
            f"SELECT {strength} AS strength, _v{strength} AS value, {ENTITY} AS key FROM _pointing"
            for strength in range(len(names))
        )
        connection.execute(
            f"INSERT INTO {_POINTS} SELECT DISTINCT strength, value, key FROM ({told})"
            f" SEMI JOIN {_ASKED} USING (strength, value)"
        )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_POINTS} AS SELECT DISTINCT * FROM {_POINTS}")


def special(relation: str, table: str = LINKS, renamed: str = RENAMED) -> str:
    """SQL of the rows that come under another key than their own: linked ones, and those whose key became another."""
    return (
        f"SELECT r.*, l.key AS {ENTITY} FROM {relation} AS r JOIN {table} AS l ON r.{LOOSE} = l.id"
        f" WHERE l.key IS NOT NULL UNION ALL SELECT r.*, n.new AS {ENTITY} FROM {relation} AS r"
        f" JOIN {renamed} AS n ON n.old = r.{OWN}"
    )


def _union(queries: Iterable[str]) -> str:
    return " UNION ALL ".join(queries)
