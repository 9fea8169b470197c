"""A query that is read page by page: as rows, as an Arrow table, or as a pandas frame."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shutong_client.answers import Answer, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow as pa

    from shutong_client.calling import Connection, Sent

ARROW: Final = "application/vnd.apache.arrow.stream"


class Query:
    """The records of a query; every reading asks anew, a page at a time, and each record read costs one unit."""

    def __init__(self, line: Connection, sent: Sent) -> None:
        self._line, self._sent = line, sent

    def __iter__(self) -> Iterator[Record]:
        """The records."""
        for page in self.pages():
            yield from page.data

    def pages(self) -> Iterator[Answer[Sequence[Record]]]:
        """The pages, each with its receipt."""
        after: object = None
        while True:
            came = self._line.call(self._from(after))
            told = json.loads(came.content)
            data, after = told.pop("data"), told.get("after")
            yield Answer(data, told, came.proof)
            if after is None:
                return

    def to_arrow(self) -> pa.Table:
        """All of them, typed as the exchange's standard types them; needs `shutong-client[arrow]`."""
        import pyarrow as pa

        after: object = None
        tables: list[pa.Table] = []
        while True:
            came = self._line.call(replace(self._from(after), accept=ARROW))
            with pa.ipc.open_stream(io.BytesIO(came.content)) as stream:
                tables.append(stream.read_all().replace_schema_metadata())
            after = json.loads(came.headers["x-provenance"]).get("after")
            if after is None:
                return pa.concat_tables(tables, promote_options="permissive")

    def to_pandas(self) -> pd.DataFrame:
        """All of them as a frame; needs `shutong-client[pandas]`."""
        import pandas as pd

        frame: pd.DataFrame = self.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def _from(self, after: object) -> Sent:
        return self._sent if after is None else replace(self._sent, body={**(self._sent.body or {}), "after": after})
