"""Choose the place a connection leads to."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.errors import listed
from connectors.files.local import LocalPlace
from connectors.files.place import Place
from connectors.options import Secrets, wrong
from schemas.values import Json

CONNECTIONS = ("folder",)


def open_place(connection: Mapping[str, Json], folder: str, secrets: Secrets) -> Place:
    """The place a connection leads to, starting at `folder` under the connection's own; connects to nothing yet."""
    ways = [key for key in CONNECTIONS if connection.get(key) is not None]
    if len(ways) > 1:
        raise wrong("connection", f"只能写一个：{listed(ways)}", f"may have only one of {listed(ways)}", CONNECTIONS)
    del secrets
    return LocalPlace(str(connection.get("folder") or "."), folder)
