"""Merge only what changed: the firms or persons that rows which came or went speak of, combined anew from all sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import duckdb

from schemas.points import reached
from schemas.values import Json
from warehouse import crosswalk, keyed, keyed_rows, library_job, links, merge_pair, merge_whole, survivors, words
from warehouse.crosswalk import ENTITY, LOOSE, OWN
from warehouse.keyed import DamagedTwinError
from warehouse.keyed_rows import Pair
from warehouse.library_job import EVENT, EVENTS, Change, Job, Outcome
from warehouse.library_state import Made
from warehouse.moved import NEW, OLD, Between
from warehouse.sql import literal, quote
from warehouse.survivors import Compared, Part
from warehouse.tables import Staged, Tables

FEW = 100_000  # rows or keys; so many, or a fifth of all, and the whole is rebuilt
_SHARE = 5
_AFFECTED, _PROBE, _XREF, _LED = "_affected", "_probe", "_xref_old", "_led"
_WAS, _AFTER = "_renamed_old", "_after"


@dataclass(frozen=True, slots=True)
class _Side:
    """One contribution between the merge before and this one."""

    number: int
    pair: Pair
    fields: tuple[str, ...]


def build(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, last: Made) -> Outcome | None:
    """Stage what changes in the library since the merge `last`; None where rebuilding the whole costs less.

    A keyed twin found damaged is removed, and the merge begins again without it.
    """
    while True:
        try:
            return _build(connection, tables, job, last)
        except DamagedTwinError as damaged:
            damaged.twin.discard()
            for made in (EVENTS, _AFTER):  # what a merge of single rows registers is no table to be replaced
                connection.unregister(made)


def _build(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, last: Made) -> Outcome | None:
    sides = [_side(tables, job, last, number) for number in range(len(job.contributions))]
    rows = sum(tables.row_count(one.table, job.inputs[one.table]) for one in job.contributions)
    if sum(one.pair.between.rewritten for one in sides) > max(FEW, rows // _SHARE):
        return None
    renamed, was = words.resolve(job.words)[0], words.resolve(last.words)[0]
    links.rename(connection, renamed)
    links.rename(connection, was, _WAS)
    for one in sides:
        one.pair.read_moved(connection)
        typed = crosswalk.typed(
            job.standard, job.contributions[one.number], one.pair.moved, one.pair.columns, more=(OLD, NEW)
        )
        connection.execute(f"CREATE OR REPLACE TEMP VIEW _delta_{one.number} AS {typed}")
    moved = [one for one in sides if not one.pair.between.same]
    turned = sorted(
        {key for key in {*renamed, *was} if renamed.get(key) != was.get(key)}
        | {place[key] for place in (renamed, was) for key in place if renamed.get(key) != was.get(key)}
    )
    _affect(connection, moved, turned, (links.RENAMED, _WAS) if renamed != was else (links.RENAMED,))
    relinked = _relink(connection, tables, job, last, sides, turned)
    affected = connection.execute(f"SELECT count(*) FROM {_AFFECTED}").fetchall()[0][0]
    if affected > max(FEW, int(cast("int", last.told["records"])) // _SHARE):
        return None
    compared = _combine(connection, job, last, sides)
    return _outcome(connection, tables, job, last, moved, compared=compared, relinked=relinked)


def _side(tables: Tables, job: Job, last: Made, number: int) -> _Side:
    one = job.contributions[number]
    new = job.inputs[one.table]
    old = tables.alike(one.table, last.inputs[one.table], new)
    between = Between(tables.plan(one.table, old), tables.plan(one.table, new))
    lens = keyed_rows.lens_of(job.standard, one, between.schema)
    folder = keyed_rows.folder_of(tables.folder, job.library, one.table)
    there = keyed_rows.twins(folder, (*between.old.data, *between.new.data), lens)
    return _Side(number, Pair(number, between, lens.columns, there), crosswalk.delivered(job.standard, lens.columns))


def _affect(connection: duckdb.DuckDBPyConnection, moved: list[_Side], turned: list[str],
            renames: Sequence[str]) -> None:  # fmt: skip
    """Make _AFFECTED: the keys that rows which came or went have of their own, and those whose name changed.

    `renames` are the different tables of keys that became others.
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_AFFECTED} (key VARCHAR)")
    found = [f"SELECT DISTINCT {OWN} AS own FROM _delta_{one.number} WHERE {OWN} IS NOT NULL" for one in moved]
    for renamed in renames if found else ():
        connection.execute(
            f"INSERT INTO {_AFFECTED} SELECT coalesce(new, own) FROM ({' UNION ALL '.join(found)})"
            f" LEFT JOIN {renamed} ON old = own"
        )
    if turned:
        connection.executemany(f"INSERT INTO {_AFFECTED} VALUES (?)", [[key] for key in turned])
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_AFFECTED} AS SELECT DISTINCT key FROM {_AFFECTED}")


def _relink(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, last: Made, sides: list[_Side],  # noqa: PLR0917
            turned: list[str]) -> bool:  # fmt: skip
    """Make LINKS anew of the rows without a key whose link may have changed; whether there were any.

    _LED tells for each of those, and for all others that lead to an affected key, where they led and where they lead.
    """
    names = crosswalk.weaker(job.standard)
    said = "".join(f", {quote(name)}" for name in names)
    moved = [one for one in sides if not one.pair.between.same]
    old = tables.relation(job.xref, _stands(tables, job))
    parts = [
        f"SELECT * EXCLUDE (rows), {sign} * rows AS rows FROM ("
        + links.loose(job.standard, job.contributions[one.number], f"(SELECT * FROM _delta_{one.number} WHERE {flag})")
        + ")"
        for one in moved
        for flag, sign in ((OLD, -1), (NEW, 1))
    ]
    shape = f"SELECT id, department, resource{said}, rows FROM {old}"
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE _loosened AS SELECT * FROM"
        f" ({' UNION ALL '.join([f'{shape} LIMIT 0', *parts]) if not parts else ' UNION ALL '.join(parts)})"
    )
    _touch(connection, job, moved, tables.row_count(job.xref, _stands(tables, job)))
    decided = [id_ for id_ in {*last.words.decisions, *job.words.decisions}
               if last.words.decisions.get(id_) != job.words.decisions.get(id_)]  # fmt: skip
    hits = " OR ".join(
        f"{quote(name)} IN (SELECT value FROM _touched WHERE strength = {strength})"
        for strength, name in enumerate(names)
    )
    listed = f"{_texts(turned)}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_XREF} AS SELECT * FROM {old} WHERE {hits or 'false'}"
        f" OR id IN (SELECT id FROM _loosened) OR list_contains({_texts(decided)}, id) OR list_contains({listed}, key)"
        f" OR list_has_any({listed}, candidates)"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE _asking AS SELECT id, department, resource{said}, sum(rows)::BIGINT AS rows FROM"
        f" (SELECT id, department, resource{said}, rows FROM {_XREF} UNION ALL SELECT * FROM _loosened)"
        " GROUP BY ALL HAVING sum(rows) > 0"
    )
    some = bool(
        connection.execute(f"SELECT (SELECT count(*) FROM _asking) + (SELECT count(*) FROM {_XREF})").fetchall()[0][0]
    )
    pointing = [_pointing(connection, job, one) for one in sides] if some else []
    links.link(connection, job.standard, "_asking", pointing, job.words.decisions)
    connection.execute(
        f"INSERT INTO {_AFFECTED} SELECT DISTINCT key FROM (SELECT key FROM {_XREF} UNION ALL SELECT key FROM"
        f" {links.LINKS}) WHERE key IS NOT NULL AND key NOT IN (SELECT key FROM {_AFFECTED})"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_LED} AS SELECT id, coalesce(o.resource, n.resource) AS resource,"
        f" o.key AS was, n.key AS now FROM {_XREF} AS o FULL JOIN {links.LINKS} AS n USING (id)"
        " WHERE o.key IS NOT NULL OR n.key IS NOT NULL UNION ALL"
        f" SELECT id, resource, key, key FROM {old} WHERE key IN (SELECT key FROM {_AFFECTED})"
        f" AND id NOT IN (SELECT id FROM {_XREF}) AND id NOT IN (SELECT id FROM {links.LINKS})"
    )
    return some


def _pointing(connection: duckdb.DuckDBPyConnection, job: Job, one: _Side) -> str:
    """A view of the rows of a contribution that use an identifier which rows in _asking have, others perhaps too."""
    asked = {name: f"SELECT {quote(name)} FROM _asking" for name in crosswalk.weaker(job.standard)}
    view, rows = f"_keyed_{one.number}", one.pair.pointing(connection, asked)
    typed = crosswalk.typed(job.standard, job.contributions[one.number], rows, one.pair.columns)
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS {typed}")
    return view


def _stands(tables: Tables, job: Job) -> int | None:
    """The snapshot of the cross-walk as the merge before released it: a merge begins by going back to that."""
    head = tables.head(job.xref)
    return head.snapshot if head else None


def _touch(connection: duckdb.DuckDBPyConnection, job: Job, moved: list[_Side], rows: int) -> None:
    """Make _touched (strength, value): identifiers that some key of a row which moved gained or lost.

    `rows` is how many rows without a key there were; without any, none can have been led by those identifiers.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE _touched (strength INTEGER, value VARCHAR)")
    names = crosswalk.weaker(job.standard)
    if not moved or not names or not rows:
        return

    listed = ", ".join(f"{crosswalk.identifier(job.standard, name)} AS _v{at}" for at, name in enumerate(names))

    def used(flag: str) -> str:
        return " UNION ".join(
            f"SELECT {OWN}, {listed} FROM _delta_{one.number} WHERE {OWN} IS NOT NULL AND {flag}" for one in moved
        )

    connection.execute(
        "CREATE OR REPLACE TEMP TABLE _using AS"
        f" (({used(OLD)}) EXCEPT ({used(NEW)})) UNION ALL (({used(NEW)}) EXCEPT ({used(OLD)}))"
    )
    told = " UNION ".join(f"SELECT {at} AS strength, _v{at} AS value FROM _using" for at in range(len(names)))
    connection.execute(f"INSERT INTO _touched SELECT strength, value FROM ({told}) WHERE value IS NOT NULL")


def _combine(connection: duckdb.DuckDBPyConnection, job: Job, last: Made,
             sides: list[_Side]) -> tuple[Compared, ...]:  # fmt: skip
    """Make EVENTS, and `_after` of the records that came or changed; returns how what was compared changes."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_PROBE} AS SELECT key AS own FROM {_AFFECTED} UNION SELECT old FROM"
        f" {links.RENAMED} SEMI JOIN {_AFFECTED} ON new = key UNION SELECT old FROM {_WAS} SEMI JOIN {_AFFECTED}"
        " ON new = key"
    )
    loose = {name for (name,) in connection.execute(f"SELECT DISTINCT resource FROM {_LED}").fetchall()}
    for one in sides:
        key, contribution = quote(job.key), job.contributions[one.number]
        where = f"r.{key} IN (SELECT own FROM {_PROBE})" if job.key in one.pair.columns else "false"
        asked = f"SELECT own FROM {_PROBE}"
        if contribution.resource in loose:
            none = f"r.{key} IS NULL OR r.{key} = ''" if job.key in one.pair.columns else "true"
            where = f"({where}) OR {none}"
            asked += f" UNION ALL SELECT id FROM {_LED} WHERE resource = {literal(contribution.resource)}"
        stayed = f"_stayed_{one.number}"
        one.pair.read_both(connection, stayed, where, {keyed.OWN: asked})
        rows = f"(FROM {one.pair.moved} UNION ALL FROM {stayed})"
        typed = crosswalk.typed(job.standard, contribution, rows, one.pair.columns, more=(OLD, NEW))
        connection.execute(f"CREATE OR REPLACE TEMP VIEW _found_{one.number} AS {typed}")
    own = not loose and not words.resolve(job.words)[0] and not words.resolve(last.words)[0]
    found = [merge_pair.Found(Part(job.contributions[one.number], f"_found_{one.number}", one.fields),
                              _under(f"_found_{one.number}", own=own)) for one in sides]  # fmt: skip
    paired = merge_pair.pair(connection, job, found, f"SELECT key FROM {_AFFECTED}", _AFTER)
    if paired is not None:
        return paired
    compared = []
    for into, flag, key in (("_before", OLD, merge_pair.WAS), (_AFTER, NEW, merge_pair.NOW)):
        parts = []
        for number, said in enumerate(found):
            view = f"{into}_{number}"
            connection.execute(
                f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT *, {key} AS {ENTITY} FROM ({said.query})"
                f" WHERE {flag} AND {key} IN (SELECT key FROM {_AFFECTED})"
            )
            parts.append(dataclasses.replace(said.part, relation=view))
        compared.append(survivors.make(connection, job.standard, parts, into))
    library_job.compare(connection, job, "_before", _AFTER)
    return survivors.summed((-1, compared[0]), (1, compared[1]))


def _under(found: str, *, own: bool) -> str:
    """SQL of rows with the keys they came under and come under; `own`: always their own."""
    if own:
        return f"SELECT *, {OWN} AS {merge_pair.WAS}, {OWN} AS {merge_pair.NOW} FROM {found}"
    return (
        f"SELECT f.*, coalesce(w.new, f.{OWN}, l.was) AS {merge_pair.WAS},"
        f" coalesce(n.new, f.{OWN}, l.now) AS {merge_pair.NOW} FROM {found} AS f LEFT JOIN {_WAS} AS w"
        f" ON w.old = f.{OWN} LEFT JOIN {links.RENAMED} AS n ON n.old = f.{OWN} LEFT JOIN {_LED} AS l"
        f" ON l.id = f.{LOOSE}"
    )


def _outcome(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, last: Made, moved: list[_Side], *,
             compared: tuple[Compared, ...], relinked: bool) -> Outcome:  # fmt: skip
    """Stage upserts and deletions of the base table and the cross-walk, and the events."""
    key = quote(job.key)
    chosen = f"SELECT * FROM {_AFTER} WHERE {key} IN (SELECT {library_job.KEY} FROM {EVENTS})"
    base = library_job.stage(connection, tables, job.base, chosen, [job.key])
    stood = f"SELECT {library_job.KEY} FROM {EVENTS} WHERE {EVENT} <> 'added'"
    base, by = _replacing(connection, tables, job, base, stood)
    changes = []
    told = dict(last.told)
    if relinked:
        xref = library_job.stage(connection, tables, job.xref, f"FROM {links.LINKS}", ["id"])
        gone = connection.execute(f"SELECT id FROM {_XREF} ORDER BY ALL").fetchall()
        changes.append(Change(library_job.replacing(xref, library_job.keys(gone, "id")), ("id",)))
        stays = f"(SELECT resource, key, rows FROM {tables.relation(job.xref, _stands(tables, job))}"
        stays += f" WHERE id NOT IN (SELECT id FROM {_XREF}) UNION ALL SELECT resource, key, rows FROM {links.LINKS})"
        told["unlinked"] = cast("Json", merge_whole.unlinked(connection, job, stays))
    changes.append(Change(library_job.stage(connection, tables, job.history, f"FROM {EVENTS}", [library_job.KEY])))
    newest = _freshness(connection, tables, job, last, moved)
    earlier_landed = cast("Mapping[str, str | None]", last.told["freshness"])
    fresh = {resource: at for resource, at in newest.items() if at != earlier_landed.get(resource)}
    changes.append(Change(library_job.landed(tables, job, fresh)))
    reached("merge.written")
    counts = dict(connection.execute(f"SELECT {EVENT}, count(*) FROM {EVENTS} GROUP BY ALL").fetchall())
    told["records"] = int(cast("int", last.told["records"])) + counts.get("added", 0) - counts.get("removed", 0)
    earlier = tuple(Compared(**one) for one in cast("list[dict[str, object]]", last.told["compared"]))  # type: ignore[arg-type]
    told["compared"] = cast("Json", survivors.as_json(survivors.summed((1, earlier), (1, compared))))
    told["freshness"] = cast("Json", newest)
    return Outcome((*changes, Change(base, by)), told)


def _replacing(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, base: Staged,
               stood: str) -> tuple[Staged, tuple[str, ...]]:  # fmt: skip
    """The staged records with what they take the place of: places where twins tell them, or keys to be looked for."""
    head = tables.head(job.base)
    plan = tables.plan(job.base, head.snapshot if head else None)
    folder = keyed_rows.folder_of(tables.folder, job.library, job.base)
    there = keyed_rows.twins(folder, plan.data, keyed_rows.lens_of_base(job.key, plan.schema))
    if there.there:
        places = keyed_rows.places(connection, plan, there, stood)
        if places is not None:
            none = library_job.keys([], job.key)
            return dataclasses.replace(base, replaced=none, dropped=places if places.num_rows else None), ()
    keys = library_job.keys(connection.execute(f"{stood} ORDER BY ALL").fetchall(), job.key)
    return library_job.replacing(base, keys), (job.key,)


def _freshness(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, last: Made,
               moved: list[_Side]) -> dict[str, str | None]:  # fmt: skip
    """When the newest row of each resource landed."""
    known = dict(cast("Mapping[str, str | None]", last.told["freshness"]))
    for one in moved:
        resource = job.contributions[one.number].resource
        came, went = (survivors.newest(connection, f"_delta_{one.number}", flag) for flag in (NEW, OLD))
        newest = known[resource]
        if newest is None or (came or "") >= newest or (went or "") < newest:
            known[resource] = max(filter(None, (came, newest)), default=None)
        else:
            view, _ = library_job.read(connection, tables, job, one.number)
            known[resource] = survivors.newest(connection, view)
    return known


def _texts(values: list[str]) -> str:
    listed = ", ".join("'" + one.replace("'", "''") + "'" for one in values)
    return f"([{listed}])::VARCHAR[]"
