"""The statements that were issued: a file each, never written over."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import orjson

from sharing.receipts import Signer
from sharing.statement_refusals import issued_otherwise, not_over
from sharing.statement_values import Statement
from sharing.statements import signed

FOLDER: Final = "statements"  # in the folder of the call records
_SUFFIX: Final = ".json"
_WHOLE: Final = ".whole"


class Shelf:
    """The issued statements of a folder, `<month>/<consumer>@<provider>.json`, signed."""

    def __init__(self, meter: Path) -> None:
        self._folder = meter / FOLDER

    def issue(self, statement: Statement, signer: Signer) -> bool:
        """Sign a final statement and keep it for good; False when the same was issued before.

        Raises StatementError: SHR-STATEMENT-EARLY, SHR-STATEMENT-DIFFERS; OSError.
        """
        if not statement.final:
            raise not_over(statement.month)
        path = self.path(statement.month, statement.consumer, statement.provider)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{secrets.token_hex(8)}")
        with draft.open("wb") as file:
            file.write(signed(statement, signer))
            file.flush()
            os.fsync(file.fileno())
        try:
            with suppress(FileExistsError):
                os.link(draft, path)  # unlike a rename, this never takes the place of what another process put there
                _sync(path.parent)
                return True
        finally:
            draft.unlink()
        if _content(orjson.loads(path.read_bytes())["statement"]) != _content(asdict(statement)):
            raise issued_otherwise(statement.month, statement.consumer, statement.provider)
        return False

    def of(self, month: str, department: str) -> Sequence[bytes]:
        """The signed statements of a month to which a department is a party, those of its own calls first."""
        found = [path for path in (self._folder / month).glob(f"*{_SUFFIX}") if department in _parties(path)]
        return [path.read_bytes() for path in sorted(found, key=lambda one: (_parties(one)[0] != department, one.name))]

    def whole(self, month: str) -> bool:
        """Whether all statements of that month were issued."""
        return (self._folder / month / _WHOLE).exists()

    def close(self, month: str) -> None:
        """Note that all statements of that month were issued. Raises OSError."""
        (self._folder / month).mkdir(parents=True, exist_ok=True)
        (self._folder / month / _WHOLE).touch()
        _sync(self._folder / month)

    def path(self, month: str, consumer: str, provider: str) -> Path:
        """Where that statement lies, or would."""
        return self._folder / month / f"{quote(consumer, safe='')}@{quote(provider, safe='')}{_SUFFIX}"


def _parties(path: Path) -> Sequence[str]:
    return [unquote(one) for one in path.name.removesuffix(_SUFFIX).split("@")]


def _content(told: dict[str, object]) -> bytes:
    return orjson.dumps({name: value for name, value in told.items() if name != "at"}, option=orjson.OPT_SORT_KEYS)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
