"""Hold the pages of one read out of memory until it is known that all of them came."""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from connectors.errors import SourceUnavailable
from connectors.rows import record_batch
from schemas.values import RAW_COLUMNS, ROW

IN_MEMORY = 16 << 20  # bytes held before a temporary file is begun
BATCH_ROWS = 50_000  # rows of small pages handed over together


class Spool:
    """Pages in the order they came; `names` are the fields of all their records, as the reader adds them.

    The temporary file has no name and is gone when the process is.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by __exit__
        self._lengths: list[int] = []
        self._seen: set[bytes] = set()
        self.names: dict[str, None] = {}
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, page: pa.RecordBatch) -> bool:
        """Take a page; False when exactly these records came before, which then are not taken again."""
        if not page.num_rows:
            return True
        kept = page.drop_columns([ROW])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, kept.schema) as stream:
            stream.write_batch(kept)
        content = sink.getvalue()
        mark = hashlib.sha256(content).digest()
        if mark in self._seen:
            return False
        self._seen.add(mark)
        try:
            self._file.write(content)
        except OSError as error:
            raise _full(error) from error
        self._lengths.append(len(content))
        self.rows += kept.num_rows
        return True

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows with the columns `names` (null where a page lacked one), `_row` from 1; at least one batch."""
        if not self._lengths:
            yield record_batch(names, [[] for _ in names], 1, {}).rows
            return
        self._file.seek(0)
        schema = pa.schema([(name, pa.string()) for name in (*names, *(each for each in RAW_COLUMNS if each != ROW))])
        first, waiting, held = 1, list[pa.Table](), 0
        for at, length in enumerate(self._lengths):
            with pa.ipc.open_stream(self._file.read(length)) as stream:
                table = stream.read_all()
            waiting.append(_shaped(table, schema))
            held += table.num_rows
            if held >= BATCH_ROWS or at == len(self._lengths) - 1:
                (made,) = pa.concat_tables(waiting).combine_chunks().to_batches()
                number = pa.array(np.arange(first, first + held, dtype=np.int64))
                where = len(names)
                yield made.add_column(where, pa.field(ROW, pa.int64(), nullable=False), number)
                first, waiting, held = first + held, [], 0


def _shaped(table: pa.Table, schema: pa.Schema) -> pa.Table:
    null = pa.nulls(table.num_rows, pa.string())
    columns = [table[name] if name in table.column_names else null for name in schema.names]
    return pa.table(columns, schema=schema)


def _full(error: OSError) -> SourceUnavailable:
    space = error.errno in (errno.ENOSPC, errno.EDQUOT)
    folder = tempfile.gettempdir()
    return SourceUnavailable(
        "SRC-SPOOL",
        zh=f"临时目录 {folder} {'已满' if space else '无法写入'}，没有采集任何数据",
        en=f"the temporary folder {folder} {'is full' if space else 'cannot be written'}; nothing was taken",
        fix_zh="请腾出空间，或用环境变量 TMPDIR 换一个目录，然后重新运行",
        fix_en="Free some space or name another folder in TMPDIR, then run again.",
    )
