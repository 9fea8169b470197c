"""Show values of a base library as they may be seen: personal data masked, unless it is asked for in the clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from schemas.standard import Standard
from schemas.values import Json
from sharing.grants import mask_of
from shutong.deployment import Deployment

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class LibraryReader:
    """Who reads a library on this host; `clear` shows everything."""

    standard: Standard | None
    clear: bool

    def value(self, field: str, value: Json) -> Json:
        """One value of a field; `field` may also name a column that is no field of the standard."""
        known = {one.name: one for one in self.standard.fields} if self.standard else {}
        if self.clear or value is None or field not in known:
            return value
        mask = mask_of(known[field])
        return value if mask is None else str(mask(str(value)))

    def key(self, value: str) -> str:
        """A key of the library."""
        return str(self.value(self.standard.key[0], value)) if self.standard else value

    def record(self, record: Mapping[str, Json]) -> dict[str, Json]:
        """A record, field by field."""
        return {name: self.value(name, value) for name, value in record.items()}


def reader_of(deployment: Deployment, library: str, *, clear: bool) -> LibraryReader:
    """The reader of a library whose standard the deployment knows."""
    return LibraryReader(deployment.libraries.get(library), clear)


def clear_option(function: _Function) -> _Function:
    """The option --clear of a command that shows what a library holds."""
    return click.option("--clear", is_flag=True, help="显示原文（含个人信息） | in the clear, personal data too")(
        function
    )
