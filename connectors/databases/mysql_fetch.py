"""Run one query through connectorx in a process of its own, and write its rows as text to standard output as Arrow.

A process of its own, because connectorx keeps Python's lock while it waits, cannot be given a time limit, and ends in
a Rust panic on what it does not know. The request (JSON: url, query, before, rows, text: which columns
are no bytes, marker) comes by standard input, so that the
password is in no list of processes. What went wrong is the last line of standard error; the exit code is then 1.
"""

from __future__ import annotations

import json
import sys

import pyarrow as pa


def worded(batch: pa.RecordBatch, schema: pa.Schema, marker: str) -> pa.RecordBatch:
    """The batch with numbers as text and the bytes of texts as text; other bytes stay bytes.

    A text that is no UTF-8 becomes `marker` and its bytes in hexadecimal digits.
    """
    columns = [_worded(column, field.type, marker) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _worded(column: pa.Array, kind: pa.DataType, marker: str) -> pa.Array:
    if not pa.types.is_large_binary(column.type):
        return column.cast(kind)
    narrow = column.cast(pa.binary())
    return text_of(narrow, marker) if kind == pa.string() else narrow


def text_of(raw: pa.Array, marker: str) -> pa.Array:
    """The UTF-8 in `raw` as text; what is none as `marker` and its bytes in hexadecimal digits."""
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_read(value, marker) for value in raw.to_pylist()], pa.string())


def _read(value: bytes | None, marker: str) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return marker + value.hex()


def main() -> None:
    """Read the request, write the stream."""
    request = json.load(sys.stdin)
    import connectorx

    reader = connectorx.read_sql(
        request["url"],
        request["query"],
        return_type="arrow_stream",
        protocol="binary",
        pre_execution_query=request["before"],
        batch_size=request["rows"],
    )
    kinds = [pa.string() if text else pa.binary() for text in request["text"]]
    schema = pa.schema([pa.field(name, kind) for name, kind in zip(reader.schema.names, kinds, strict=True)])
    with pa.ipc.new_stream(sys.stdout.buffer, schema) as sink:
        for batch in reader:
            sink.write_batch(worded(batch, schema, request["marker"]))


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:  # noqa: BLE001 - a Rust panic is no Exception
        sys.stderr.write(f"\n{type(error).__name__} {' '.join(str(error).split())}\n")
        sys.stderr.flush()
        sys.exit(1)
