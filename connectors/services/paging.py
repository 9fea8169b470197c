"""How a service is asked for the next page, and how it says that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin

import httpx

from connectors.errors import changed
from connectors.options import Options
from connectors.rest_json import found

STYLES = ("none", "page", "offset", "cursor", "cursor_header", "link", "json_link")
PAGE = (
    "style", "size", "size_param", "page_param", "first", "offset_param", "cursor_param", "next", "total", "pages",
    "more", "most",
)  # fmt: skip
MOST = 100_000  # pages of one read
_NO = (None, "", False, "false", "0", "null")


@dataclass(frozen=True, slots=True)
class Turn:
    """What asks for one page: parameters beside the fixed ones, or a whole URL that the service gave."""

    params: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it came: the whole answer, its headers, the URL it came from."""

    answer: object
    headers: httpx.Headers
    url: str


class Pager:
    """The option `page`.

    `{style: page, size: 500, page_param: page, size_param: size, first: 1, total: data.total}`; offset takes
    `offset_param`; cursor takes `cursor_param` and `next` (path of the next cursor in the answer); cursor_header the
    same with `next` a header's name; link follows `Link: <…>; rel="next"`; json_link the URL at the path `next`.
    `total` and `pages` are paths of what the service says there is, `more` the path of a "there is more";
    `most` (a number, default MOST) is how many pages one read may have.
    """

    def __init__(self, options: Options | None) -> None:
        own = options or Options({}, PAGE)
        self.style = own.choice("style", "none", STYLES)
        self._size = own.whole("size", 500, least=1)
        self._first = own.whole("first", 1)
        self._total, self._pages, self._more = own.maybe("total"), own.maybe("pages"), own.maybe("more")
        self.most = own.whole("most", MOST, least=1)
        self._next = own.text("next", "X-Next-Cursor" if self.style == "cursor_header" else "next")
        self._size_param = own.text("size_param", "limit" if self.style == "offset" else "size")
        kind = self.style.removesuffix("_header")
        self._param = own.text(f"{kind}_param", kind) if kind in ("page", "offset", "cursor") else ""

    @property
    def shifts(self) -> bool:
        """True when pages are counted from the beginning, so that a record added or removed moves the others."""
        return self.style in ("page", "offset")

    def first(self) -> Turn:
        """What asks for the first page."""
        starts = {"page": str(self._first), "offset": "0"}
        return self._turn(starts.get(self.style))

    def following(self, page: Page, at: int, records: int, received: int) -> Turn | None:
        """What asks for the page after page number `at`, which had `records`; None after the last.

        A short page is no end: services cap the size. An empty one is, unless the service names a next cursor.
        """
        if self._more is not None and self._said(page, self._more, at, ("后续标志", "sign of more")) in _NO:
            return None
        if self.style == "cursor":
            return self._by_cursor(_at(page.answer, self._next))
        if self.style == "cursor_header":
            return self._by_cursor(page.headers.get(self._next))
        if self.style in ("link", "json_link"):
            url = _linked(page.headers) if self.style == "link" else _at(page.answer, self._next)
            return Turn(url=urljoin(page.url, str(url))) if url not in _NO else None
        total, pages = self.total(page, at), self._number(page, self._pages, at)
        done = not records or (total is not None and received >= total) or (pages is not None and at >= pages)
        if self.style == "none" or done:
            return None
        return self._turn(str(self._first + at) if self.style == "page" else str(received))

    def total(self, page: Page, at: int) -> int | None:
        """How many records the service says there are, or None when it does not say."""
        return self._number(page, self._total, at)

    def _by_cursor(self, cursor: object) -> Turn | None:
        return self._turn(str(cursor)) if cursor not in (None, "", False) else None

    def _turn(self, turn: str | None) -> Turn:
        params = {} if self.style == "none" else {self._size_param: str(self._size)}
        if turn is not None:
            params[self._param] = turn
        return Turn(params)

    def _number(self, page: Page, path: str | None, at: int) -> int | None:
        if path is None:
            return None
        said = self._said(page, path, at, ("总数", "total"))
        try:
            return int(str(said))
        except ValueError:
            raise changed(("总数", "total"), f"page {at}", [path], _keys(page.answer)) from None

    def _said(self, page: Page, path: str, at: int, what: tuple[str, str]) -> object:
        try:
            return found(page.answer, path)
        except KeyError:
            raise changed(what, f"page {at}", [path], _keys(page.answer)) from None


def _at(answer: object, path: str) -> object:
    try:
        return found(answer, path)
    except KeyError:
        return None


def _linked(headers: httpx.Headers) -> str | None:
    """The target of `rel="next"` in the Link headers (RFC 8288)."""
    for link in httpx.Response(200, headers=headers).links.values():
        if "next" in (link.get("rel") or "").split():
            return link["url"]
    return None


def _keys(value: object) -> list[str]:
    return list(value) if isinstance(value, dict) else []
