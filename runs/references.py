"""Find what the rules of a resource look at besides its own rows: code lists, reference tables, libraries, records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa

from runs.resources import Resource
from schemas.code_lists import load, relation
from schemas.reading import TYPES
from schemas.reference_tables import read_reference
from schemas.standard import Standard
from warehouse.merge import base_table
from warehouse.state import State
from warehouse.tables import Tables

Relation = Callable[[Iterable[str]], pa.Table]  # the named columns of all its rows


def known(
    resource: Resource, resources: Iterable[Resource], files: Mapping[str, Path], state: State, tables: Tables
) -> dict[str, Relation]:
    """The relations that can be looked at now, by the name rules call them.

    Code lists (`division@2026`) and the deployment's reference tables always; a library, or what has landed of another
    standard, where the resource file names it (`references: [population]`) and a release shows some of it.
    """
    found: dict[str, Relation] = {name: partial(read_reference, path) for name, path in files.items()}
    cited = {name for rule in (*resource.standard.rules, *resource.rules) for name in rule.relations}
    found |= {name: partial(_listed, name, resource.standard.folders) for name in cited if "@" in name}
    every = tuple(resources)
    for name in resource.references:
        there = {base_table(name): one.standard for one in every if one.standard.library == name}
        there = there or {one.table: one.standard for one in every if one.standard.name == name}
        shown = {table: of for table, of in there.items() if state.released(table) is not None}
        if shown:
            found[name] = partial(_landed, shown, state, tables)
    return found


def given(relations: Mapping[str, Relation], wanted: Mapping[str, Iterable[str]]) -> dict[str, pa.Table]:
    """Read the wanted columns of the relations; a name that is not there is left out."""
    return {name: relations[name](columns) for name, columns in wanted.items() if name in relations}


def _listed(name: str, folders: tuple[Path, ...], columns: Iterable[str]) -> pa.Table:
    return relation(load(name, folders)).select(sorted(columns))


def _landed(shown: Mapping[str, Standard], state: State, tables: Tables, columns: Iterable[str]) -> pa.Table:
    wanted = sorted(columns)
    parts = []
    for table, standard in shown.items():
        has = [name for name in wanted if name in tables.columns(table)]
        rows = tables.read(table, state.released(table), has or None)
        types = {one.name: TYPES[one.type] for one in standard.fields}
        for name in wanted:
            if name not in has and name in types:  # a field of the standard that nobody delivers: not known
                rows = rows.append_column(name, pa.nulls(rows.num_rows, types[name]))
        parts.append(rows.select([name for name in wanted if name in rows.column_names]))
    return pa.concat_tables(parts, promote_options="permissive")
