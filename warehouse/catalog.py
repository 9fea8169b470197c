"""Open the catalog that lists the tables: a SQLite file, or a PostgreSQL database that several machines share."""

from __future__ import annotations

import sqlalchemy as sa
from pyiceberg.catalog.sql import SqlCatalog

from warehouse.site import Site, location

NAME = "shutong"  # rows of the catalog's database carry it
_PATIENCE = {  # by kind of database: what its driver is told of time, in seconds
    "sqlite": {"timeout": "30"},
    "postgresql": {"connect_timeout": "10", "keepalives_idle": "30", "tcp_user_timeout": "60000"},
}


def open_catalog(url: str, site: Site) -> SqlCatalog:
    """The catalog at a database URL, made where it is not there yet, of tables whose files lie at `site`."""
    parsed = sa.make_url(url)
    parsed = parsed.update_query_dict({**_PATIENCE.get(parsed.get_backend_name(), {}), **parsed.query})
    return SqlCatalog(
        NAME,
        uri=parsed.render_as_string(hide_password=False),
        warehouse=location(site.root),
        pool_pre_ping="true",
        **{"py-io-impl": "warehouse.durable_io.DurableFileIO", **site.properties},
    )
