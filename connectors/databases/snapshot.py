"""Keep one snapshot of a PostgreSQL database open, so that all pieces of a table are read as of one moment."""

from __future__ import annotations

from contextlib import ExitStack

import sqlalchemy as sa

from connectors.databases.postgres import Pin, connected, storage
from connectors.databases.reader import ReaderOptions
from connectors.databases.tables import Table


class Snapshot:
    """An exported snapshot; it holds no lock on any table, only old row versions from being cleaned up."""

    def __init__(self, url: sa.URL, options: ReaderOptions) -> None:
        self._held = ExitStack()
        self._connection = self._held.enter_context(connected(url, options))
        try:
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = self._connection.execute("SELECT pg_export_snapshot()").fetchone()
        except BaseException as error:
            self._held.__exit__(type(error), error, error.__traceback__)
            raise
        self._name = str(found[0]) if found else ""

    def pin(self, table: Table) -> Pin:
        """What readers of `table` share."""
        named = quoted(table)
        return Pin(self._name, named, storage(self._connection, named))

    def close(self) -> None:
        """Let the database clean up again; may be called twice."""
        self._held.close()


def quoted(table: Table) -> str:
    """The name of the table as SQL."""
    preparer = sa.engine.make_url("postgresql://").get_dialect()().identifier_preparer
    return preparer.format_table(sa.table(table.name, schema=table.schema))
