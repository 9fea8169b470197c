"""Find what the rules of a resource look at besides its own rows: code lists, reference tables, libraries, records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import pyarrow as pa

from runs.resources import Resource
from schemas.code_lists import load, relation
from schemas.reading import TYPES
from schemas.reference_tables import read_reference
from schemas.standard import Standard
from warehouse.state import State

if TYPE_CHECKING:
    from warehouse.tables import Tables

Relation = Callable[[Iterable[str]], pa.Table]  # the named columns of all its rows


def known(
    resource: Resource, resources: Iterable[Resource], files: Mapping[str, Path], state: State, tables: Tables
) -> dict[str, Relation]:
    """The relations that can be looked at now, by the name rules call them.

    Code lists (`division@2026`) and the deployment's reference tables always; a library, or what has landed of another
    standard, where the resource file names it (`references: [population]`) and a release shows some of it.
    """
    from warehouse.merge import base_table

    found: dict[str, Relation] = {name: partial(read_reference, path) for name, path in files.items()}
    cited = {name for rule in (*resource.checked.rules, *resource.rules) for name in rule.relations}
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
    """The rows of the tables one after the other, mapped from a file: memory does not grow with them."""
    wanted, spill = sorted(columns), tables.folder / "spill"
    found = [
        (tables.stream(name, state.released(name), _there(tables, name, wanted)), of) for name, of in shown.items()
    ]
    schema = pa.unify_schemas([_schema(rows.schema, of, wanted) for rows, of in found], promote_options="permissive")
    spill.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(prefix="reference-", dir=spill) as file:
        with pa.ipc.new_file(file, schema) as kept:
            for rows, _ in found:
                for batch in rows:
                    kept.write_batch(_as(batch, schema))
        file.flush()
        return pa.ipc.open_file(pa.memory_map(file.name)).read_all()  # it is there until nobody looks at it


def _there(tables: Tables, name: str, wanted: Sequence[str]) -> list[str]:
    """The wanted columns that a table has; some column where it has none of them, since its rows count."""
    there = tables.columns(name)
    return [one for one in wanted if one in there] or list(there[:1])


def _schema(there: pa.Schema, standard: Standard, wanted: Sequence[str]) -> pa.Schema:
    """What a table has of the wanted columns, and of its standard's fields those that nobody delivers: not known."""
    types = {one.name: TYPES[one.type] for one in standard.fields}
    kinds = {name: there.field(name).type if name in there.names else types.get(name) for name in wanted}
    return pa.schema([(name, kind) for name, kind in kinds.items() if kind is not None])


def _as(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of a schema; what the batch has not is null."""
    there = set(batch.schema.names)
    columns = [
        batch.column(one.name).cast(one.type) if one.name in there else pa.nulls(batch.num_rows, one.type)
        for one in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
