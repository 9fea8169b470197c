"""Open the source a resource file describes, by its kind."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.options import Secrets, wrong
from schemas.values import Json, Source

KINDS = ("sql", "csv", "rest", "xlsx")


def open_source(kind: str, options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> Source:
    """The source of `kind` as `options` (the resource's `source`, `kind` may stay in it) and `connection` describe it.

    Nothing is read or connected to yet. A wrong option is SRC-OPTION, naming it and what is allowed.
    """
    own = {key: value for key, value in options.items() if key != "kind"}
    # Each protocol brings its own library; a resource loads the one it needs.
    if kind == "csv":
        from connectors.csv_files import open_csv

        return open_csv(own, connection)
    if kind == "sql":
        from connectors.sql_tables import open_sql

        return open_sql(own, connection, secrets)
    if kind == "rest":
        from connectors.rest import open_rest

        return open_rest(own, connection, secrets)
    if kind == "xlsx":
        from connectors.workbooks import open_workbooks

        return open_workbooks(own, connection)
    raise wrong("source.kind", f"不能是 {kind}", f"cannot be {kind}", KINDS)
