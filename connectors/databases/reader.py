"""The seam between the source of a table and the driver that fetches it: one SELECT in, Arrow text columns out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa
import sqlalchemy as sa


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
        Errors are SourceErrors as `sql_errors.explained` makes them.
        """
        ...
