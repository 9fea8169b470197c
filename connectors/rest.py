"""Read a departmental REST service page by page, and know whether everything came."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import httpx
import pyarrow as pa

from connectors.errors import SourceError, changed
from connectors.options import Options, Secrets, wrong
from connectors.rest_calls import AUTH, RETRIES, Service
from connectors.rest_json import batch_of, columns_of, found, written
from connectors.rows import first_rows
from schemas.values import Batch, Check, Json, Position, Split, StreamInfo

OPTIONS = ("path", "records", "params", "page", "auth", "timeout", "retries", "columns")
STYLES = ("none", "page", "offset", "cursor")
PAGE = ("style", "size", "size_param", "page_param", "first", "offset_param", "cursor_param", "next", "total")


def open_rest(options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> RestSource:
    """A source of kind `rest`; OPTIONS are allowed. The connection has `url`, and `auth` unless the resource has it.

    `page`: `{style: page, size: 500, page_param: page, size_param: size, first: 1, total: data.total}`;
    style offset takes `offset_param`, style cursor takes `cursor_param` and `next` (path of the next cursor).
    """
    url = connection.get("url")
    if not isinstance(url, str):
        raise wrong("connection.url", "须写明", "must be written", ("url", "auth"))
    own = Options({"auth": connection.get("auth"), **options}, OPTIONS)
    retries = own.under("retries", RETRIES)
    service = Service(url, own.under("auth", AUTH), secrets, retries, own.number("timeout", 30))
    params = options.get("params") or {}
    if not isinstance(params, dict):
        raise wrong("source.params", "须为一组键值", "must be a mapping")
    return RestSource(own, service, {str(key): str(value) for key, value in params.items()})


class RestSource:
    """One list endpoint of a service."""

    def __init__(self, options: Options, service: Service, params: Mapping[str, str]) -> None:
        self._service, self._params = service, params
        self._path = "/" + options.text("path").lstrip("/")
        self._records = options.maybe("records") or ""
        self._columns = options.names("columns")
        page = options.under("page", PAGE) or Options({}, PAGE)
        self._style = page.choice("style", "none", STYLES)
        self._size = page.whole("size", 500, least=1)
        self._first = page.whole("first", 1)
        self._total = page.maybe("total")
        self._next = page.text("next", "next")
        self._size_param = page.text("size_param", "limit" if self._style == "offset" else "size")
        self._turn_param = page.text(f"{self._style}_param", self._style) if self._style != "none" else ""

    def check(self) -> list[Check]:
        """Whether the service answers, lets us in, and has records where they are expected."""
        try:
            names = self.preview().column_names[:-4]
        except SourceError as error:
            name = "login" if error.code == "SRC-REST-REFUSED" else "service"
            return [Check(name, ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")]
        zh = f"{self._service.base}{self._path} 的列：{'、'.join(names)}"
        return [Check("service", ok=True, zh=zh, en=f"columns of {self._service.base}{self._path}: {', '.join(names)}")]

    def discover(self) -> list[StreamInfo]:
        """The endpoint as one stream, with the keys of its first page."""
        return [replace(self.stream(), rows=self.estimate())]

    def stream(self) -> StreamInfo:
        """The endpoint, with the keys of its first page."""
        names = self.preview().column_names[:-4]
        return StreamInfo(self._path, dict.fromkeys(names, "json"))

    def preview(self, rows: int = 20) -> pa.Table:
        """The first records of the first page."""
        records, _ = next(self._pages())
        return first_rows(iter([batch_of(records, self._columns or columns_of(records), 1, self._path)]), rows)

    def estimate(self) -> int | None:
        """The total the service says, or None."""
        return next(self._pages())[1]

    def plan(self, position: Position | None) -> list[Split]:  # noqa: ARG002 - every read is whole
        """One split: all pages."""
        return [Split(self._path)]

    def read(self, split: Split) -> Iterator[Batch]:
        """All records, one batch for each page, once the last page has come and the count agrees with the total.

        Nothing is handed over before that: a service that stops half-way leaves nothing half taken, and the columns
        are the keys of all records.
        """
        pages: list[list[object]] = []
        names: dict[str, None] = {}
        total: int | None = None
        for records, said in self._pages():
            total = said if said is not None else total
            names.update(dict.fromkeys(columns_of(records)))
            if records or not pages:
                pages.append(records)
        rows = sum(map(len, pages))
        if total is not None and rows != total:
            raise self._incomplete(rows, total)
        lost = [name for name in self._columns if name not in names]
        if lost and names:
            raise changed(("字段", "field"), f"{self._service.base}{self._path}", lost, list(names))
        first = 1
        wanted = self._columns or tuple(names)
        for at, records in enumerate(pages):
            batch = batch_of(records, wanted, first, split.id)
            pages[at] = []  # the records are in the batch now
            first += len(records)
            yield replace(batch, position=Position({})) if at == len(pages) - 1 else batch

    def close(self) -> None:
        """Nothing is held between two reads."""

    def _pages(self) -> Iterator[tuple[list[object], int | None]]:
        """Each page's records and the total said with it, until the service has no more."""
        turn: str | None = {"page": str(self._first), "offset": "0"}.get(self._style)
        received, at, seen = 0, 0, set[str]()
        with self._service.client() as client:
            while True:
                at += 1
                answer = self._asked(client, turn, at)
                records, total = self._listed(answer, at), self._said(answer, at)
                self._once(records, at, seen)
                received += len(records)
                yield records, total
                turn = self._turn(answer, at, received, done=not records or (total is not None and received >= total))
                if turn is None:
                    return

    def _asked(self, client: httpx.Client, turn: str | None, at: int) -> object:
        params = dict(self._params)
        if self._style != "none":
            params[self._size_param] = str(self._size)
        if turn is not None:
            params[self._turn_param] = turn
        return self._service.get(client, self._path, params, f"page {at}")

    def _turn(self, answer: object, at: int, received: int, *, done: bool) -> str | None:
        """What asks for the next page; None after the last. A short page is no end: services cap the size."""
        if self._style == "cursor":
            try:
                value = found(answer, self._next)
            except KeyError:
                return None
            return str(value) if value not in (None, "", False) else None
        turns: dict[str, Callable[[], str]] = {"page": lambda: str(self._first + at), "offset": lambda: str(received)}
        return turns[self._style]() if self._style in turns and not done else None

    def _listed(self, answer: object, at: int) -> list[object]:
        try:
            records = found(answer, self._records)
        except KeyError:
            records = None
        if isinstance(records, list):
            return records
        keys = list(answer) if isinstance(answer, dict) else []
        error = changed(("记录列表", "list of records"), f"page {at}", [self._records or "(top)"], keys)
        shown = self._service.scrub(written(answer))[:200]
        error.zh, error.en = f"{error.zh}；返回：{shown}", f"{error.en}; it says: {shown}"
        raise error

    def _said(self, answer: object, at: int) -> int | None:
        if self._total is None:
            return None
        try:
            said = found(answer, self._total)
            return int(str(said))
        except (KeyError, ValueError):
            keys = list(answer) if isinstance(answer, dict) else []
            raise changed(("总数", "total"), f"page {at}", [self._total], keys) from None

    def _once(self, records: list[object], at: int, seen: set[str]) -> None:
        """Stop when a page comes a second time: the service ignores how we ask for the next one."""
        if not records:
            return
        mark = hashlib.sha256(written(records).encode("utf-8", "surrogatepass")).hexdigest()
        if mark in seen:
            raise SourceError(
                "SRC-REST-LOOP",
                zh=f"{self._service.base}{self._path} 第 {at} 页与之前的某页完全相同，翻页参数可能不起作用",
                en=f"page {at} of {self._service.base}{self._path} repeats an earlier page; paging seems to be ignored",
                fix_zh="请核对 page 选项中的参数名与 style",
                fix_en="Check the parameter names and the style in option page.",
            )
        seen.add(mark)

    def _incomplete(self, rows: int, total: int) -> SourceError:
        return SourceError(
            "SRC-REST-INCOMPLETE",
            zh=f"{self._service.base}{self._path} 声明共 {total} 条，实收 {rows} 条",
            en=f"{self._service.base}{self._path} says {total} records and sent {rows}",
            fix_zh="本次不采集；请核对 page 选项，或请来源部门检查接口",
            fix_en="Nothing was taken; check option page, or ask the department to check the interface.",
        )
