"""Read a list that a service gives page by page: whole or not at all, in bounded memory, whatever the protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import httpx
import pyarrow as pa

from connectors.errors import SourceError, SourceUnavailable, changed
from connectors.options import Options, wrong
from connectors.rest_json import batch_of, columns_of
from connectors.rows import first_rows, visible
from connectors.services import standing as standing_still
from connectors.services.paging import PAGE, Page, Pager, Turn
from connectors.services.spool import Spool
from connectors.services.windows import SINCE, WINDOW, Since, Windows
from schemas.values import Batch, Check, Position, Split, StreamInfo

LISTING = ("page", "window", "since", "columns")
EMPTY = 1_000  # pages in a row without a record, after which a service is not asked for the next one
ROUNDS = 3  # a list that changes while it is read is begun again that often


class Endpoint(Protocol):
    """One list of one service, in one protocol."""

    @property
    def name(self) -> str:
        """The list's name as the resource file has it."""
        ...

    @property
    def kind(self) -> str:
        """What its values are: json or xml."""
        ...

    @property
    def where(self) -> str:
        """Service and list for messages, without secrets."""
        ...

    def client(self) -> httpx.Client:
        """A client for one run of calls."""
        ...

    def ask(self, client: httpx.Client, turn: Turn, what: str) -> Page:
        """One page; `what` (such as "page 3") is named in errors."""
        ...

    def records(self, page: Page, what: str) -> list[object]:
        """The records of a page; SourceChanged when they are not where they should be."""
        ...


@dataclass(frozen=True, slots=True)
class _Taken:
    records: list[object]
    total: int | None


class _Moved(Exception):
    """The list changed while it was read."""


class Listing:
    """The Source of a REST or SOAP list; `options` may have LISTING."""

    def __init__(self, endpoint: Endpoint, options: Options) -> None:
        self._endpoint = endpoint
        self._columns = options.names("columns")
        self._pager = Pager(options.under("page", PAGE))
        window, since = options.under("window", WINDOW), options.under("since", SINCE)
        if window and since:
            raise wrong("source.since", "不能与 window 同用", "cannot stand beside window", ("window", "since"))
        self._windows = Windows(window) if window else None
        self._since = Since(since) if since else None

    def check(self) -> list[Check]:
        """Whether the service answers, lets us in, and has records where they are expected."""
        try:
            names = self.preview().column_names[:-4]
        except SourceError as error:
            name = "login" if error.code.endswith("-REFUSED") else "service"
            return [Check(name, ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")]
        where = self._endpoint.where
        zh, en = f"{where} 的列：{'、'.join(names)}", f"columns of {where}: {', '.join(names)}"
        return [Check("service", ok=True, zh=zh, en=en)]

    def discover(self) -> list[StreamInfo]:
        """The list as one stream, with the fields of its first page."""
        return [replace(self.stream(), rows=self.estimate())]

    def stream(self) -> StreamInfo:
        """The list, with the fields of its first page."""
        names = self.preview().column_names[:-4]
        return StreamInfo(self._endpoint.name, dict.fromkeys(names, self._endpoint.kind), declared=False)

    def preview(self, rows: int = 20) -> pa.Table:
        """The first records of the first page."""
        records = self._first_page().records
        names = self._columns or columns_of(records)
        return first_rows(iter([batch_of(records, names, 1, self._endpoint.where)]), rows)

    def estimate(self) -> int | None:
        """The total the service says, or None."""
        return self._first_page().total

    def plan(self, position: Position | None) -> list[Split]:
        """One split with all pages; one for each window of time that has not been read."""
        narrow = self._windows or self._since
        return narrow.plan(self._endpoint.name, position) if narrow else [Split(self._endpoint.name)]

    def read(self, split: Split) -> Iterator[Batch]:
        """All records of the split, once its last page has come and the count agrees with the total.

        Nothing is handed over before that: a service that stops half-way leaves nothing half taken, and the columns
        are the fields of all records. The pages wait in a temporary file.
        """
        for _ in range(ROUNDS):
            with Spool() as spool:
                try:
                    self._fill(spool, self._params(split))
                except _Moved:
                    continue
                yield from self._handed(spool, split)
                return
        raise self._restless()

    def close(self) -> None:
        """Nothing is held between two reads."""

    def _handed(self, spool: Spool, split: Split) -> Iterator[Batch]:
        lost = [name for name in self._columns if name not in spool.names]
        if lost and spool.names:
            raise changed(("字段", "field"), self._endpoint.where, lost, list(spool.names))
        newest = str(split.options["since"]) if "since" in split.options else None
        before: pa.RecordBatch | None = None
        for rows in spool.batches(self._columns or tuple(spool.names)):
            if before is not None:
                yield Batch(before)
            if self._since:
                newest = self._since.newest(rows, newest)
            before = rows
        assert before is not None  # noqa: S101 - a spool gives at least one batch
        position = Position({})
        if self._windows:
            position = self._windows.position(split)
        elif self._since:
            position = self._since.position(newest)
        yield Batch(before, position)

    def _fill(self, spool: Spool, params: Mapping[str, str]) -> None:
        totals: list[int] = []
        received, standing = 0, standing_still.Standing()
        for at, page in enumerate(self._pages(params), 1):
            names = columns_of(page.records)
            spool.names.update(dict.fromkeys(map(visible, names)))
            wanted = [name for name in self._columns if name in names] if self._columns else names
            rows = batch_of(page.records, wanted, 1, self._endpoint.where).rows
            standing.add(rows)
            if not spool.add(rows) or standing.pages >= standing_still.PAGES:
                raise self._loop(at)
            received += len(page.records)
            if page.total is not None:
                totals.append(page.total)
            if self._pager.shifts and len(set(totals)) > 1:
                raise _Moved
            if totals and received > 2 * max(totals) + EMPTY:
                raise self._incomplete(received, totals[-1])
        if totals and not min(totals) <= received <= max(totals):
            raise self._incomplete(received, totals[-1])

    def _params(self, split: Split) -> Mapping[str, str]:
        narrow = self._windows or self._since
        return narrow.params(split) if narrow else {}

    def _first_page(self) -> _Taken:
        plan = self.plan(None)
        return next(self._pages(self._params(plan[-1]) if plan else {}))

    def _pages(self, params: Mapping[str, str]) -> Iterator[_Taken]:
        """Each page's records and the total said with it, until the service has no more."""
        turn: Turn | None = self._pager.first()
        received, at, empty, asked = 0, 0, 0, set[str]()
        with self._endpoint.client() as client:
            while turn is not None:
                at += 1
                if at > self._pager.most:
                    raise self._too_many(received)
                self._once(turn, at, asked)
                wanted = replace(turn, params={**params, **turn.params}) if turn.url is None else turn
                page = self._endpoint.ask(client, wanted, f"page {at}")
                records = self._endpoint.records(page, f"page {at}")
                received += len(records)
                empty = 0 if records else empty + 1
                if empty > EMPTY:
                    raise self._endless(at)
                yield _Taken(records, self._pager.total(page, at))
                turn = self._pager.following(page, at, len(records), received)

    def _once(self, turn: Turn, at: int, asked: set[str]) -> None:
        """Stop when the service sends us back to a page that was read: pages without records could go on for ever."""
        mark = hashlib.sha256(repr((turn.url, sorted(turn.params.items()))).encode("utf-8", "replace")).hexdigest()
        if mark in asked:
            raise self._loop(at)
        asked.add(mark)

    def _loop(self, at: int) -> SourceError:
        where = self._endpoint.where
        return SourceError(
            "SRC-REST-LOOP",
            zh=f"{where} 第 {at} 页重复之前的页，翻页参数可能不起作用",
            en=f"page {at} of {where} repeats an earlier page; paging seems to be ignored",
            fix_zh="请核对 page 选项中的参数名与 style",
            fix_en="Check the parameter names and the style in option page.",
        )

    def _endless(self, at: int) -> SourceError:
        where = self._endpoint.where
        return SourceError(
            "SRC-REST-ENDLESS",
            zh=f"{where} 到第 {at} 页已连续 {EMPTY} 页没有记录，却仍给出下一页",
            en=f"{where} had no record on {EMPTY} pages in a row up to page {at}, and still names a next one",
            fix_zh="本次不采集；请核对 page 选项中的 next、more 与 records，或请来源部门检查接口",
            fix_en="Nothing was taken; check next and more of option page and option records, or ask the department.",
        )

    def _too_many(self, rows: int) -> SourceError:
        where, most = self._endpoint.where, self._pager.most
        return SourceError(
            "SRC-REST-PAGES",
            zh=f"{where} 已给出 {most} 页（{rows} 条记录），仍有下一页",
            en=f"{where} gave {most} pages ({rows} records) and still has a next one",
            fix_zh="本次不采集。若每页返回的总是同样的记录，翻页参数不起作用，请核对 page 选项；若确有这么多页，"
            "请加大 page 的 size，或把 page.most 写得更大",
            fix_en="Nothing was taken. If every page has the same records, paging is ignored: check option page. If "
            "there are that many, ask for more with size of option page, or write a larger page.most.",
        )

    def _incomplete(self, rows: int, total: int) -> SourceError:
        where = self._endpoint.where
        return SourceError(
            "SRC-REST-INCOMPLETE",
            zh=f"{where} 声明共 {total} 条，实收 {rows} 条",
            en=f"{where} says {total} records and sent {rows}",
            fix_zh="本次不采集；请核对 page 选项，或请来源部门检查接口",
            fix_en="Nothing was taken; check option page, or ask the department to check the interface.",
        )

    def _restless(self) -> SourceUnavailable:
        where = self._endpoint.where
        return SourceUnavailable(
            "SRC-REST-MOVED",
            zh=f"{where} 在读取期间总数一直变化，重读 {ROUNDS} 次仍未读全",
            en=f"the total of {where} kept changing while it was read, {ROUNDS} times over",
            fix_zh="请在来源系统空闲时运行，或改用游标翻页、时间窗口",
            fix_en="Run it while the source is quiet, or page by cursor or by window of time.",
        )
