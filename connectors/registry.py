"""Open the source a resource file describes, by its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from connectors.options import Secrets, wrong
from schemas.values import Json, Source

Opener = Callable[[Mapping[str, Json], Mapping[str, Json], Secrets], Source]

# Each protocol brings its own library; a resource loads the one it needs.
_OPENERS = {
    "sql": "connectors.databases.source:open_sql",
    "dlt": "connectors.dlt_bridge:open_dlt",
    "odbc": "connectors.databases.odbc_source:open_odbc",
    "csv": "connectors.files.source:open_csv",
    "xlsx": "connectors.files.source:open_xlsx",
    "rest": "connectors.services.rest:open_rest",
    "soap": "connectors.services.soap:open_soap",
    "push": "connectors.services.push:open_push",
    "txt": "connectors.files.source:open_txt",
    "fixed": "connectors.files.source:open_fixed",
    "jsonl": "connectors.files.source:open_jsonl",
    "xml": "connectors.files.source:open_xml",
    "parquet": "connectors.files.source:open_parquet",
}
KINDS = tuple(_OPENERS)


def open_source(kind: str, options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> Source:
    """The source of `kind` as `options` (the resource's `source`, `kind` may stay in it) and `connection` describe it.

    Nothing is read or connected to yet. A wrong option is SRC-OPTION, naming it and what is allowed.
    """
    if kind not in _OPENERS:
        raise wrong("source.kind", f"不能是 {kind}", f"cannot be {kind}", KINDS)
    module, _, name = _OPENERS[kind].partition(":")
    opener: Opener = getattr(import_module(module), name)
    return opener({key: value for key, value in options.items() if key != "kind"}, connection, secrets)
