"""Choose the place a connection leads to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from connectors.errors import listed
from connectors.files import s3, sftp
from connectors.files.local import LocalPlace
from connectors.files.place import Place
from connectors.options import Options, Secrets, wrong
from schemas.values import Json

_REMOTE: dict[str, tuple[tuple[str, ...], Callable[[Options, str, Secrets], Place]]] = {
    "sftp": (sftp.OPTIONS, sftp.open_sftp),
    "s3": (s3.OPTIONS, s3.open_s3),
}
CONNECTIONS = ("folder", "sftp", "s3")


def open_place(connection: Mapping[str, Json], folder: str, secrets: Secrets) -> Place:
    """The place a connection leads to, starting at `folder` under the connection's own; connects to nothing yet."""
    ways = [key for key in CONNECTIONS if connection.get(key) is not None]
    if len(ways) > 1:
        raise wrong("connection", f"只能写一个：{listed(ways)}", f"may have only one of {listed(ways)}", CONNECTIONS)
    for way, (options, opener) in _REMOTE.items():
        said = Options(connection, ways, "connection").under(way, options) if ways == [way] else None
        if said is not None:
            return opener(said, folder, secrets)
    return LocalPlace(str(connection.get("folder") or "."), folder)
