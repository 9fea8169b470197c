"""Open the change feed of the table a resource file of kind `sql` describes, by its database."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from connectors.changes.feed import ChangeFeed
from connectors.databases.address import address, reader_options
from connectors.databases.source import OPTIONS
from connectors.options import Options, Secrets, wrong
from schemas.values import Json

_NAMED = 63  # bytes a name may have in PostgreSQL


def open_changes(
    options: Mapping[str, Json],
    connection: Mapping[str, Json],
    secrets: Secrets,
    *,
    owner: str,
    slot: str = "",
    publication: str = "",
) -> ChangeFeed:
    """The feed of the table that `open_sql` would read with the same options; nothing is connected to yet.

    `owner` tells this follower from every other one of the same server; names of slot and publication come from it
    where they are not given. SRC-OPTION for a database without a log that can be followed.
    """
    url, said = address(connection, secrets), Options(options, OPTIONS)
    backend, reading = url.get_backend_name(), reader_options(said)
    if backend == "postgresql":
        from connectors.changes.postgres_slot import SlotFeed, SlotOptions

        usual = named(owner)
        return SlotFeed(
            url,
            SlotOptions(
                table=said.text("table"),
                slot=slot or usual,
                publication=publication or usual,
                columns=said.names("columns"),
                where=said.maybe("where"),
                reader=reading,
            ),
        )
    if backend not in ("mysql", "mariadb"):
        raise wrong(
            "read.mode", f"{backend} 不能用 cdc", f"cannot be cdc with {backend}", ("snapshot_diff", "cursor", "full")
        )
    if said.has("where"):
        raise wrong("source.where", "不能与 binlog 一起使用", "cannot be used with a binary log")
    from connectors.changes.mysql_binlog import open_binlog

    return open_binlog(url, said.text("table"), columns=said.names("columns"), options=reading)


def named(owner: str) -> str:
    """A name for slot and publication: the same for the same owner, another for any other."""
    digest = hashlib.sha256(owner.encode()).hexdigest()[:10]
    plain = re.sub(r"[^a-z0-9_]+", "_", owner.rpartition(":")[2].lower())
    return f"shutong_{plain[: _NAMED - 19]}_{digest}"
