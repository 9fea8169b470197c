"""Open the catalog that lists the tables: a SQLite file, or a PostgreSQL database that several machines share."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.typedef import Identifier

from warehouse.site import SCHEME, Site, location

NAME = "shutong"  # rows of the catalog's database carry it
_WHERE = (
    "SELECT metadata_location FROM iceberg_tables"
    " WHERE catalog_name = :catalog AND table_namespace = :space AND table_name = :short"
)
_TABLES_ONLY = " AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL)"  # not the views other writers list there
_PATIENCE = {  # by kind of database: what its driver is told of time, in seconds
    "sqlite": {"timeout": "30"},
    "postgresql": {"connect_timeout": "10", "keepalives_idle": "30", "tcp_user_timeout": "60000"},
}


class _Remembering(SqlCatalog):
    """Parses a table's metadata file once as long as the table stands at that file, which never changes."""

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self._parsed: dict[tuple[str, ...], tuple[tuple[str, int, int], Table]] = {}
        kinds = "" if self._iceberg_type_filter() is None else _TABLES_ONLY
        self._where = sa.text(_WHERE + kinds)

    def load_table(self, identifier: str | Identifier) -> Table:
        """The table as it stands; NoSuchTableError. As its parent does, with a query that is not built each time."""
        *spaces, short = self.identifier_to_tuple(identifier)
        space = self.namespace_to_string(tuple(spaces))
        with self.engine.connect() as connection:
            said = {"catalog": self.name, "space": space, "short": short}
            place = connection.execute(self._where, said).scalar_one_or_none()
        if place is None:
            raise NoSuchTableError(f"Table does not exist: {space}.{short}")
        return self._convert_orm_to_iceberg(IcebergTables(self.name, space, short, place, None))

    def _convert_orm_to_iceberg(self, orm_table: IcebergTables) -> Table:
        place, written = str(orm_table.metadata_location), (0, 0)
        if place.startswith(SCHEME):
            try:
                there = Path(place.removeprefix(SCHEME)).stat()
            except OSError:  # a file that is gone is explained by whoever reads it
                return super()._convert_orm_to_iceberg(orm_table)
            written = there.st_mtime_ns, there.st_size
        name, seen = (orm_table.table_namespace, orm_table.table_name), (place, *written)
        told = self._parsed.get(name)
        if told is None or told[0] != seen:
            told = self._parsed[name] = seen, super()._convert_orm_to_iceberg(orm_table)
        known = told[1]
        return Table(known._identifier, known.metadata, place, known.io, self)  # noqa: SLF001 - its own name


def open_catalog(url: str, site: Site) -> SqlCatalog:
    """The catalog at a database URL, made where it is not there yet, of tables whose files lie at `site`."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:  # the state database may lie elsewhere
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    parsed = parsed.update_query_dict({**_PATIENCE.get(parsed.get_backend_name(), {}), **parsed.query})
    return _Remembering(
        NAME,
        uri=parsed.render_as_string(hide_password=False),
        warehouse=location(site.root),
        pool_pre_ping="true",
        **{"py-io-impl": "warehouse.durable_io.DurableFileIO", **site.properties},
    )
