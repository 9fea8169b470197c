"""Read from a connection and a resource file where a database is and how its reader is to behave."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import exc

from connectors.databases.reader import ReaderOptions
from connectors.databases.values import BYTES
from connectors.options import Options, Secrets, secret, wrong
from schemas.values import Json


def address(connection: Mapping[str, Json], secrets: Secrets) -> sa.URL:
    """The connection's `url` with the password its `password_secret` names; SRC-OPTION when it is no address."""
    written = connection.get("url")
    if not isinstance(written, str):
        raise wrong("connection.url", "须写明", "must be written", ("url", "password_secret"))
    try:
        url = sa.engine.make_url(written)
    except exc.ArgumentError:
        raise wrong("connection.url", "不是数据库地址", "is no database address", ("dialect+driver://…",)) from None
    named = connection.get("password_secret")
    return url.set(password=secret(secrets, named)) if isinstance(named, str) else url


def reader_options(options: Options) -> ReaderOptions:
    """What `bytes`, `timeouts`, `max_field_bytes` and `identifiers` say; the usual where they are left out."""
    plain = ReaderOptions()
    timeouts = options.under("timeouts", ("connect", "statement", "silence"))

    def seconds(key: str, usual: float) -> float:
        return timeouts.number(key, usual) if timeouts else usual

    return ReaderOptions(
        bytes=options.choice("bytes", plain.bytes, BYTES),
        connect_timeout=seconds("connect", plain.connect_timeout),
        statement_timeout=seconds("statement", plain.statement_timeout),
        silence_timeout=seconds("silence", plain.silence_timeout),
        max_field_bytes=options.whole("max_field_bytes", plain.max_field_bytes, 1),
        identifiers=options.names("identifiers"),
    )
