"""Tell who said what about one firm or person, from what departments landed as the library was merged from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from schemas.standard import Field, Standard
from schemas.values import Json
from warehouse import crosswalk, survivors, words
from warehouse.crosswalk import ENTITY, LOOSE, Contribution
from warehouse.library_job import BASE
from warehouse.library_state import Made, newest
from warehouse.sql import literal, quote
from warehouse.state import State
from warehouse.survivors import Part
from warehouse.tables import Tables


def explain(state: State, tables: Tables, library: str, key: str) -> list[dict[str, Json]]:
    """Who said what about one firm or person, as released: a row per field and statement, best statement first.

    Each has key, field, department, resource, value as text, rank (1 counts), chosen, observed_at. An old key is
    answered with what is said of the one it became. Empty where there is no such record.
    """
    made = newest(state, library)
    if made is None:
        return []
    standard, contributions = rules_of(made)
    renamed = words.resolve(made.words)[0]
    key = renamed.get(key, key)
    own = [key, *(old for old, new in renamed.items() if new == key)]
    xref = tables.relation(
        f"{BASE}.{library}_xref", state.released(f"{BASE}.{library}_xref"), ["id", "resource", "key"]
    )
    with tables.connect() as connection:
        led = connection.execute(f"SELECT resource, id FROM {xref} WHERE key = ?", [key]).fetchall()
        parts = []
        for number, one in enumerate(contributions):
            columns = crosswalk.wanted(standard, one, tables.columns(one.table))
            source = tables.relation(one.table, made.inputs[one.table], columns)
            ids = [id_ for resource, id_ in led if resource == one.resource]
            there = crosswalk.key_of(standard) in columns
            typed = crosswalk.typed(standard, one, f"{source} AS r" if there else source, columns)
            found = [f"SELECT * FROM ({typed}) WHERE {quote(crosswalk.key_of(standard))} IN ({_listed(own)})"]
            if ids:
                found.append(f"SELECT * FROM ({typed}) WHERE {LOOSE} IN ({_listed(ids)})")
            relation = f"_said_{number}"
            connection.execute(
                f"CREATE TEMP TABLE {relation} AS"
                f" SELECT *, {literal(key)} AS {ENTITY} FROM ({' UNION ALL '.join(found)})"
            )
            parts.append(Part(one, relation, crosswalk.delivered(standard, columns)))
        query = f"{survivors.statements(connection, standard, parts)} ORDER BY field, rank"
        return connection.execute(query).to_arrow_table().to_pylist()  # type: ignore[no-any-return]


def rules_of(made: Made) -> tuple[Standard, tuple[Contribution, ...]]:
    """The part of the standard that a merge went by, and its contributions."""
    said = cast("Mapping[str, list[str]]", made.rules)
    fields = cast("Sequence[tuple[str, str, list[str]]]", made.rules["fields"])
    standard = Standard(
        name=made.library, version=0, zh="", en="", rules=(), key=tuple(said["key"]), order=tuple(said["order"]),
        identifiers=tuple(said["identifiers"]),
        fields=tuple(Field(name, "", "", kind, authority=tuple(ruled)) for name, kind, ruled in fields),
    )  # fmt: skip
    given = cast("Sequence[Mapping[str, object]]", made.rules["contributions"])
    contributions = tuple(
        Contribution(
            str(one["resource"]),
            str(one["department"]),
            str(one["table"]),
            None if one["order"] is None else tuple(cast("list[str]", one["order"])),
        )
        for one in given
    )
    return standard, contributions


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(literal(one) for one in texts)
