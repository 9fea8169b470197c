"""The seam between the source of a table and the driver that fetches it: one SELECT in, Arrow text columns out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import sqlalchemy as sa

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """What a resource asks of a reader: seconds before giving up, bytes held at once, how bytes become text."""

    bytes: str = "hex"  # one of values.BYTES
    connect_timeout: float = 10.0  # seconds until a server must have let us in
    statement_timeout: float = 21_600.0  # seconds the server may work on one statement; 0: as long as it likes
    silence_timeout: float = 600.0  # seconds without a row or a word before the network counts as hung; 0: never
    batch_bytes: int = 8 * MIB  # about how much text one batch holds
    max_field_bytes: int = 64 * MIB  # a value longer than that is a reject
    identifiers: tuple[str, ...] = ()  # columns where a floating-point number is a lost code


class Reader(Protocol):
    """One family of databases through its fastest driver that keeps every value exact."""

    def selected(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
        """How `column`, of the reflected type `kind`, is written in the SELECT so that its exact text arrives.

        The database itself writes the text of every value a driver could round, shift or die on; bytes arrive as bytes.
        The label is the column's name.
        """
        ...

    def rows(self, statement: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        """The rows of `statement` in its order: string columns, binary ones where bytes were selected.

        At least one batch comes, be it empty. Closing the iterator ends the query at the source and the connection.
        Errors are SourceErrors as `errors.explained` makes them. A reader that meets a value it cannot hand over adds
        the columns REJECT, DETAIL and LINE of `schemas.values`, null where a row is right.
        """
        ...
