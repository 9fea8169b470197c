"""Whatever the records, the page size and the way of paging: what comes out is what the service has, in its order."""

from contextlib import nullcontext

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.options import Options
from connectors.rest_json import parsed, written
from connectors.services import spool
from connectors.services.listing import LISTING, Listing
from connectors.services.paging import Page
from schemas.values import RAW_COLUMNS

TEXT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["名", "b", "c"]), TEXT), max_size=30)
STYLES = ("none", "page", "offset", "cursor", "cursor_header", "link", "json_link")


class Endpoint:
    """A list in memory, paged in every style at once; it caps the size a caller wants."""

    name, kind, where = "list", "json", "memory"

    def __init__(self, records, cap, *, whole):
        self._records, self._cap, self._whole = records, cap, whole

    def client(self):
        return nullcontext()

    def ask(self, _client, turn, _what):
        params = {**turn.params, **dict(httpx.URL(turn.url or "http://h").params)}
        size = (
            len(self._records) + 1 if self._whole else min(int(params.get("size", params.get("limit", 5))), self._cap)
        )
        start = int(params.get("offset", params.get("cursor", params.get("from", 0))))
        start = (int(params["page"]) - 1) * size if "page" in params else start
        items = [{"id": str(at), **self._records[at]} for at in range(len(self._records))][start : start + size]
        more = start + size < len(self._records)
        address = f"http://h/list?from={start + size}&size={size}"
        following = str(start + size) if more else None
        answer = {"items": items, "cursor": following, "url": address if more else None, "total": len(self._records)}
        headers = {"X-Next-Cursor": following, "Link": f'<{address}>; rel="next"'} if more else {}
        return Page(parsed(written(answer)), httpx.Headers(headers), "http://h/list")

    def records(self, page, _what):
        return page.answer["items"]


SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 40))  # wanted, allowed, handed over together


@settings(deadline=None)
@given(RECORDS, st.sampled_from(STYLES), SIZES, st.booleans())
def test_every_record_comes_once_in_order_with_its_values(records, style, sizes, counted):
    size, cap, together = sizes
    page = {"style": style, "size": size} | ({"total": "total"} if counted else {})
    page |= {"cursor": {"next": "cursor"}, "json_link": {"next": "url"}}.get(style, {})
    src = Listing(Endpoint(records, cap, whole=style == "none"), Options({"page": page}, LISTING))
    before = spool.IN_MEMORY, spool.BATCH_ROWS
    spool.IN_MEMORY, spool.BATCH_ROWS = 500, together
    try:
        batches = [batch for split in src.plan(None) for batch in src.read(split)]
    finally:
        spool.IN_MEMORY, spool.BATCH_ROWS = before
    rows = [row for batch in batches for row in batch.rows.to_pylist()]
    assert [row["_row"] for row in rows] == list(range(1, len(records) + 1))
    for at, (row, record) in enumerate(zip(rows, records, strict=True)):
        said = {name: value for name, value in row.items() if name not in RAW_COLUMNS and value is not None}
        assert said == {"id": str(at)} | {name: value for name, value in record.items() if value is not None}
    assert [batch.position is not None for batch in batches] == [False] * (len(batches) - 1) + [True]
