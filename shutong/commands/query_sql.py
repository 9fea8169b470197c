"""What `shutong query` does with SQL: list the tables, give answers on a terminal or in a file, show what was asked."""

from __future__ import annotations

import base64
import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import click

from shutong.layout import SetupError
from shutong.session import Session
from shutong.wiring import Wired, open_deployment

if TYPE_CHECKING:
    import pyarrow as pa

    from sharing.analysts import Analyst, Analysts, Answer, Offer

P = ParamSpec("P")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would reckon
_WIDEST = 60  # characters of a cell on a terminal; files and JSON have all of them


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of `shutong query` that go with SQL; files are written for their owner alone."""

    sql: str | None
    department: str | None
    grant: str | None
    tables: bool
    explain: bool
    recorded: bool
    by: str | None
    why: str
    clear: bool
    rows: int
    seconds: float
    memory: int
    csv: Path | None
    xlsx: Path | None
    parquet: Path | None


def sql_options(
    act: Callable[Concatenate[Session, Wanted, P], int | None],
) -> Callable[Concatenate[Session, P], int | None]:
    """Give a command the options that go with SQL, as one value."""
    path = click.Path(dir_okay=False, path_type=Path)
    options = (
        click.option("--tables", is_flag=True, help="SQL 可读的表与字段 | the tables and fields SQL may read"),
        click.option("--explain", is_flag=True, help="只显示 SQL 的执行计划 | how the SQL would be run"),
        click.option("--recorded", is_flag=True, help="最近的 SQL 查询记录 | the newest queries by SQL"),
        click.option("--by", metavar="PERSON", help="SQL：谁在查询（people.yaml） | SQL: who asks"),
        click.option("--why", default="", help="SQL：事项与理由 | SQL: the matter"),
        click.option("--clear", is_flag=True, help="SQL：不脱敏，限数据管理员 | SQL: unmasked, for data managers"),
        click.option(
            "--rows",
            default=1_000,
            show_default=True,
            type=click.IntRange(1, 1_000_000),
            help="SQL：最多行数 | at most",
        ),
        click.option(
            "--seconds", default=60.0, show_default=True, type=click.FloatRange(0.1, 3_600), help="SQL：时限 | at most"
        ),
        click.option(
            "--memory", default=1_024, show_default=True, type=click.IntRange(64, 65_536), help="SQL：内存 MB | at most"
        ),
        click.option("--csv", type=path, help="SQL：结果写入 CSV | SQL: the answer as CSV"),
        click.option("--xlsx", type=path, help="SQL：结果写入 XLSX | SQL: the answer as XLSX"),
        click.option("--parquet", type=path, help="SQL：结果写入 Parquet | SQL: the answer as Parquet"),
    )

    @wraps(act)
    def run(session: Session, *args: P.args, **kwargs: P.kwargs) -> int | None:
        shared = {"sql": kwargs["library"], "department": kwargs["department"], "grant": kwargs["grant"]}
        own = {one.name: kwargs.pop(one.name) for one in fields(Wanted) if one.name not in shared}
        return act(session, Wanted(**shared, **own), *args, **kwargs)  # type: ignore[arg-type] # as click was told above

    for option in reversed(options):
        run = option(run)
    return run  # type: ignore[return-value] # its session has a name, which click does not mind


def is_sql(wanted: Wanted) -> bool:
    """Whether SQL is meant, and no library with keys: no library has a blank in its name."""
    return wanted.tables or wanted.recorded or (wanted.sql is not None and len(wanted.sql.split()) > 1)


def answer_sql(session: Session, wanted: Wanted) -> int:
    """Do what the options say."""
    from shutong.analysis import analyst, analysts

    with open_deployment(session.settings) as wired:
        service = analysts(wired)
        if wanted.recorded:
            _tell_recorded(session, service, wanted.rows)
            return 0
        who = analyst(
            wired.deployment,
            department=wanted.department,
            by=wanted.by,
            why=wanted.why,
            grant=wanted.grant,
            clear=wanted.clear,
        )
        if wanted.tables:
            _tell_tables(session, wired, service.offers(who), wanted.sql)
            return 0
        _ask(session, service, who, wanted)
    return 0


def _ask(session: Session, service: Analysts, who: Analyst, wanted: Wanted) -> None:
    from warehouse.sql_worker import Limits

    limits = Limits(wanted.rows, wanted.seconds, wanted.memory << 20, min(2, os.cpu_count() or 1))
    answer = service.ask(who, str(wanted.sql), limits, explain=wanted.explain)
    voice = session.voice
    if wanted.explain and not voice.as_json:
        for text in answer.rows["plan"].to_pylist():
            click.echo(text)
        return
    written = [(path, _write(path, write, answer)) for path, write in _files(wanted) if path is not None]
    if voice.as_json:
        voice.answer(_as_json(answer, [path for path, _ in written]))
        return
    for path, rows in written:
        voice.line(f"{rows:,} 行写入 {path}", f"{rows:,} rows are in {path}")
    if not written:
        heads = [(name, name) for name in answer.rows.schema.names]
        title = (f"{answer.rows.num_rows:,} 行", f"{answer.rows.num_rows:,} rows")
        voice.table(title, heads, [[_short(text) for text in row] for row in _texts(answer.rows)])
    _tell_origin(session, answer)


def _tell_origin(session: Session, answer: Answer) -> None:
    if answer.more:
        session.voice.line(
            "还有更多行：用 --rows 放宽，或在 SQL 中聚合", "There are more rows: see --rows, or aggregate"
        )
    masked, granted = ", ".join(answer.masked) or "-", ", ".join(answer.grants) or "-"
    session.voice.line(
        f"\n发布 {answer.release}（{(answer.released_at or '')[:19]}），授权 {granted}，已脱敏：{masked}，"
        f"{answer.seconds:.1f} 秒，记录编号 {answer.number}",
        f"\nrelease {answer.release} ({(answer.released_at or '')[:19]}), grants {granted}, masked: {masked}, "
        f"{answer.seconds:.1f} s, record {answer.number}",
    )


def _as_json(answer: Answer, files: Sequence[Path]) -> dict[str, object]:
    told: dict[str, object] = {
        "columns": answer.rows.schema.names,
        "rows": answer.rows.num_rows,
        "more": answer.more,
        "release": answer.release,
        "released_at": answer.released_at,
        "tables": answer.tables,
        "masked": answer.masked,
        "grants": answer.grants,
        "record": answer.number,
        "digest": answer.digest,
        "seconds": answer.seconds,
    }
    if files:
        return told | {"files": [str(path) for path in files]}
    # Rows are lists: a query may give two columns the same name.
    columns = [[_plain(one) for one in column.to_pylist()] for column in answer.rows.columns]
    return told | {"data": [list(row) for row in zip(*columns, strict=True)]}


def _tell_tables(session: Session, wired: Wired, offers: Sequence[Offer], chosen: str | None) -> None:
    from sharing.analysts import released

    release = wired.state.release()
    seen = [one for one in offers if chosen is None or one.subject.name == chosen.lower()]
    if chosen is not None and not seen:
        raise SetupError(
            "SYS-SQL-TABLE",
            zh=f"没有可以读取的表 {chosen}",
            en=f"there is no table {chosen} you may read",
            fix_zh="不写表名的 shutong query --tables 列出全部",
            fix_en="shutong query --tables without a name lists them all",
        )
    if session.voice.as_json:
        session.voice.answer(
            {
                "release": release.id if release else None,
                "tables": [_offer(one, released(release, one.subject)) for one in seen],
            }
        )
        return
    voice = session.voice
    if chosen is None:
        heads = [
            ("表", "table"),
            ("名称", "title"),
            ("字段", "fields"),
            ("授权", "grant"),
            ("至", "until"),
            ("数据", "data"),
        ]
        rows = [
            [
                one.subject.name,
                voice.say(one.subject.zh, one.subject.en),
                len(one.fields),
                one.grant.id if one.grant else "",
                one.grant.until if one.grant else "",
                "✓" if released(release, one.subject) else "",
            ]
            for one in seen
        ]
        voice.table(("可以读取的表", "Tables you may read"), heads, rows)
        return
    heads = [("字段", "field"), ("中文", "zh"), ("英文", "en"), ("类型", "type"), ("脱敏", "masked")]
    for one in seen:
        lines = [[field.name, field.zh, field.en, field.type, "✓" if hidden else ""] for field, hidden in one.fields]
        voice.table((f"{one.subject.name} {one.subject.zh}", f"{one.subject.name} {one.subject.en}"), heads, lines)


def _offer(one: Offer, there: bool) -> dict[str, object]:  # noqa: FBT001 - a value among values
    return {
        "table": one.subject.name,
        "zh": one.subject.zh,
        "en": one.subject.en,
        "released": there,
        "grant": one.grant.id if one.grant else None,
        "until": one.grant.until if one.grant else None,
        "rows": {keep.column: [*keep.values, *(f"{start}*" for start in keep.prefixes)] for keep in one.view.keep},
        "fields": [
            {"name": field.name, "zh": field.zh, "en": field.en, "type": field.type, "masked": hidden}
            for field, hidden in one.fields
        ],
    }


def _tell_recorded(session: Session, service: Analysts, limit: int) -> None:
    found = service.log.newest(limit)
    if session.voice.as_json:
        session.voice.answer({"queries": [asdict(one) for one in found]})
        return
    heads = [
        ("编号", "record"), ("时间", "at"), ("谁", "who"), ("部门", "department"), ("用途", "purpose"),
        ("表", "tables"), ("行数", "rows"), ("发布", "release"), ("结果", "outcome"), ("SQL 摘要", "digest"),
    ]  # fmt: skip
    rows = [
        [one.id, one.at[:19], one.who, one.department, one.purpose, ", ".join(one.tables), one.rows, one.release,
         one.outcome, one.digest[:12]]
        for one in found
    ]  # fmt: skip
    session.voice.table(("SQL 查询记录", "Queries by SQL"), heads, rows)


def _files(wanted: Wanted) -> tuple[tuple[Path | None, Callable[[Path, pa.Table], None]], ...]:
    return (wanted.csv, _csv), (wanted.xlsx, _xlsx), (wanted.parquet, _parquet)


def _write(path: Path, write: Callable[[Path, pa.Table], None], answer: Answer) -> int:
    """Write the file whole, readable by its owner alone, or leave what was there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        write(beside, answer.rows)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return int(answer.rows.num_rows)


def _csv(path: Path, rows: pa.Table) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(map(_inert, rows.schema.names))
        writer.writerows([_inert(text) for text in row] for row in _texts(rows))


def _xlsx(path: Path, rows: pa.Table) -> None:
    from quality.reports.workbook import write_rows

    write_rows(path, "query", rows.schema.names, _texts(rows))


def _parquet(path: Path, rows: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [
        f"{name}_{at}" if rows.schema.names.index(name) != at else name for at, name in enumerate(rows.schema.names)
    ]
    columns = [
        pa.array(map(_text, one.to_pylist()), pa.string()) if pa.types.is_interval(one.type) else one
        for one in rows.columns
    ]
    pq.write_table(pa.Table.from_arrays(columns, names=names), path, compression="zstd")


def _texts(rows: pa.Table) -> Iterator[list[str]]:
    for batch in rows.to_batches(4_096):
        columns = [[_text(one) for one in column.to_pylist()] for column in batch.columns]
        yield from (list(row) for row in zip(*columns, strict=True))


def _text(value: object) -> str:
    shown = _plain(value)
    return "" if shown is None else str(shown)


def _plain(value: object) -> object:
    """A value as JSON has it: numbers, truth values and lists as themselves, everything else as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and (value != value or value in {float("inf"), float("-inf")}):  # noqa: PLR0124 - NaN
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _inert(text: str) -> str:
    """A cell that a spreadsheet takes as text, never as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) and not _number(text) else text


def _number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdigit() and text[0] in "+-"
