"""Command that profiles fields: of what a run brought, or of what has landed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click
import pyarrow as pa

from quality.orders_values import written
from quality.profile import Asked, Count, FieldProfile, Read, profile
from quality.profile_store import Difference, ProfileStore, compare_profiles
from quality.reports.gather import nothing
from quality.reports.history import Scope, base, batches_of, checks, newest_run
from quality.reports.values import Language, percent
from quality.reports.words import say
from runs.resources import Resource
from schemas.errors import StandardError
from schemas.syntax import nearest
from sharing.grants import mask_of
from shutong.commands.quality_report_reader import Reader
from shutong.commands.quality_report_rows import batches
from shutong.session import Session, command
from shutong.watching import now
from shutong.wiring import Wired, open_deployment, today
from warehouse.checked import KeptCheck

_SHOWN = 3  # shapes and values in the overview


@click.command(
    "profile", help="字段剖析：空值、取值、字形、长度、分布 | fields: nulls, values, shapes, lengths, spread"
)
@click.argument("resource")
@click.option("--run", "run", help="运行（默认最近一次） | the run; the newest if not said")
@click.option("--landed", is_flag=True, help="已入库的全部记录，而非一次运行 | all that landed instead of a run")
@click.option("--field", "fields", multiple=True, help="只看这些字段，逐项列出 | these fields only, in full")
@command
def profile_command(session: Session, resource: str, run: str | None, fields: tuple[str, ...], *, landed: bool) -> None:
    """Print what fields hold. Of personal ones only shapes and lengths are told; the profile of a run is kept."""
    voice = session.voice
    with open_deployment(session.settings) as wired:
        chosen = wired.deployment.resource(resource)
        subject, read, held = _landed(wired, chosen) if landed else _checked(wired, chosen, run)
        asked = [
            Asked(one.name, personal=mask_of(one) is not None)
            for one in chosen.standard.fields
            if one.name in held and (not fields or one.name in fields)
        ]
        for name in set(fields) - {one.field for one in asked}:
            raise _no_field(chosen, name, held)

        def progress(done: int) -> None:
            name = asked[done].field
            voice.progress(f"{done + 1}/{len(asked)} {name}", f"{done + 1}/{len(asked)} {name}")

        found = profile(read, asked, progress)
        changes: tuple[Difference, ...] = ()
        if not landed:
            store = ProfileStore(wired.state.engine)
            before = store.before(chosen.id, subject)
            store.keep(chosen.id, subject, written(now()), found)
            changes = compare_profiles(store.get(chosen.id, before), found) if before and not fields else ()
    if voice.as_json:
        told = {"resource": chosen.id, "of": "landed" if landed else subject, "fields": [asdict(one) for one in found]}
        voice.answer({**told, "changes": [asdict(one) for one in changes]})
        return
    _show(session, chosen, subject, found, changes, whole=bool(fields))


def _checked(wired: Wired, resource: Resource, run: str | None) -> tuple[str, Read, frozenset[str]]:
    """The rows that the checks of a run kept: its id, how they are read, and their fields."""
    with wired.state.reading() as connection:
        name = run or newest_run(connection, resource.id) or ""
        marks = batches_of(connection, resource.id, name)
        lines = checks(connection, Scope(resource.id, marks)) if marks else ()
    kept = [one.kept for one in batches(wired, resource, lines, Reader(today()))]
    if not kept:
        raise nothing(resource.id, name)
    held = frozenset(field for one in kept for field in one.columns)

    def read(columns: Sequence[str]) -> pa.RecordBatchReader:
        kinds = [next(one.schema.field(name).type for one in kept if name in one.schema.names) for name in columns]
        schema = pa.schema(list(zip(columns, kinds, strict=True)))
        return pa.RecordBatchReader.from_batches(schema, _batches(kept, schema))

    return base(name), read, held


def _batches(kept: Sequence[KeptCheck], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of several batches one after the other; null where a batch has no such column."""
    for one in kept:
        there = [name for name in schema.names if name in one.schema.names]
        for batch in one.reader(there or one.schema.names[:1]):
            columns = [
                batch.column(field.name).cast(field.type) if field.name in there else pa.nulls(len(batch), field.type)
                for field in schema
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _landed(wired: Wired, resource: Resource) -> tuple[str, Read, frozenset[str]]:
    """What has landed, some rows at a time."""
    snapshot = wired.state.released(resource.table)
    if snapshot is None:
        raise nothing(resource.id, resource.table)

    def read(columns: Sequence[str]) -> pa.RecordBatchReader:
        return wired.tables.stream(resource.table, snapshot, columns)

    return resource.table, read, frozenset(wired.tables.columns(resource.table))


def _show(
    session: Session,
    resource: Resource,
    subject: str,
    found: Sequence[FieldProfile],
    changes: Sequence[Difference],
    *,
    whole: bool,
) -> None:
    voice = session.voice
    names = {one.name: voice.say(one.zh, one.en) for one in resource.standard.fields}
    heads = [
        ("字段", "field"), ("名称", "name"), ("有值", "filled"), ("不同值", "distinct"), ("长度", "length"),
        ("字形或范围", "shapes or range"), ("常见值", "top values"),
    ]  # fmt: skip
    rows = [
        [
            one.field, names[one.field], percent(one.filled, one.rows), f"{one.distinct:,}",
            f"{one.shortest}–{one.longest}" if one.filled else "",
            one.error or (f"{one.least} – {one.greatest}" if one.least is not None else _told(one.shapes)),
            _told(one.top),
        ]
        for one in found
    ]  # fmt: skip
    total = max((one.rows for one in found), default=0)
    voice.table(
        (f"{resource.zh}（{subject}），{total:,} 行", f"{resource.en} ({subject}), {total:,} rows"), heads, rows
    )
    for one in found if whole else ():
        _show_whole(session, one)
    if changes:
        lang: Language = "en" if voice.lang == "en" else "zh"
        lines = [[one.field, say(one.what, lang), one.before, one.now] for one in changes]
        heads = [("字段", "field"), ("变化", "change"), ("上次", "before"), ("现在", "now")]
        voice.table(("与上次剖析相比", "Compared with the profile before"), heads, lines)


def _show_whole(session: Session, one: FieldProfile) -> None:
    voice = session.voice
    if one.shapes:
        about = one.shaped < one.distinct
        title = (f"{one.field} 的字形", f"Shapes of {one.field}")
        if about:
            title = (f"{title[0]}（按 {one.shaped:,} 个值估计）", f"{title[1]} (estimated from {one.shaped:,} values)")
        voice.table(title, [("字形", "shape"), ("行数", "rows")], [[it.text, f"{it.rows:,}"] for it in one.shapes])
    if one.top:
        heads = [("值", "value"), ("行数", "rows")]
        voice.table(
            (f"{one.field} 的常见值", f"Top values of {one.field}"),
            heads,
            [[it.text, f"{it.rows:,}"] for it in one.top],
        )
    if one.bins:
        most = max(it.rows for it in one.bins)
        lines = [[it.start, it.end, f"{it.rows:,}", "█" * round(30 * it.rows / most)] for it in one.bins]
        heads = [("从", "from"), ("到", "to"), ("行数", "rows"), ("", "")]
        voice.table((f"{one.field} 的分布", f"Spread of {one.field}"), heads, lines)


def _told(counts: Sequence[Count]) -> str:
    return ", ".join(f"{one.text} ({one.rows:,})" for one in counts[:_SHOWN])


def _no_field(resource: Resource, name: str, held: frozenset[str]) -> StandardError:
    near = nearest(name, sorted(held))
    return StandardError(
        "STD-FIELD-UNKNOWN",
        zh=f"{resource.id} 没有字段 {name}",
        en=f"{resource.id} has no field {name}",
        fix_zh=f"是否应写 {near}？" if near else "shutong quality profile 不加 --field 列出全部字段",
        fix_en=f"Did you mean {near}?" if near else "shutong quality profile without --field lists all fields",
    )
