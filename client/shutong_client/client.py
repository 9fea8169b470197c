"""Ask an exchange: look up, verify, batch, query, follow changes, see the usage; each answer proven by its receipt."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import httpx

from shutong_client import profile as profiles
from shutong_client.answers import Answer, Change, Changes, Line, Record
from shutong_client.calling import Came, Connection, Sent, Terms
from shutong_client.profile import Profile
from shutong_client.query import Query
from shutong_client.receipts import Receipts

LARGEST_BATCH: Final = 1000


class Client:
    """One department's way to one exchange; safe for threads, to be closed or used in a `with`.

    Names with a dot are resources, all others libraries. Whatever is asked by key travels in the body, never in a URL.
    Every method raises RefusedError, UnreachableError and ReceiptError (see shutong_client.errors).
    """

    def __init__(self, profile: Profile, transport: httpx.BaseTransport | None = None) -> None:
        self.profile = profile
        self.receipts = Receipts(profile.receipt_keys, profile.receipts)
        self._line = Connection(profile, self.receipts, transport)

    @classmethod
    def from_profile(cls, where: str | Path) -> Client:
        """The client of a profile: a TOML file, or the name of one in ~/.config/shutong. Raises ProfileError."""
        return cls(profiles.read(where))

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._line.close()

    def pin(self) -> None:
        """Get the public keys of receipts and hold on to them from now on; without this the first call does so."""
        self._line.pin()

    def lookup(
        self, name: str, key: str, fields: Sequence[str] | None = None, *, terms: Terms | None = None
    ) -> Answer[Record]:
        """The record under that key. Raises MissingError when there is none within the grant."""
        body = {"key": key} | _only(fields)
        told = _told(self._line.call(_post(name, "records", body, terms)))
        return Answer(_record(told.data), told.told, told.proof)

    def verify(
        self, name: str, key: str, claims: Mapping[str, str], *, terms: Terms | None = None
    ) -> Answer[Mapping[str, str]]:
        """Per field whether the claim is so: "yes", "no", or "unknown" where nothing is recorded within the grant."""
        told = _told(self._line.call(_post(name, "records:verify", {"key": key, "claims": dict(claims)}, terms)))
        return Answer({field: str(value) for field, value in _record(told.data).items()}, told.told, told.proof)

    def batch(
        self, name: str, keys: Iterable[str], fields: Sequence[str] | None = None, *, terms: Terms | None = None
    ) -> Sequence[Line]:
        """A line per key, in their order, found or not; as many calls as there are thousands of keys."""
        lines: list[Line] = []
        rest = iter(keys)
        while part := list(islice(rest, LARGEST_BATCH)):
            told = _told(self._line.call(_post(name, "records:batch", {"keys": part} | _only(fields), terms)))
            for one in map(_record, _list(told.data)):
                found = one.get("record")
                lines.append(Line(str(one["key"]), one["found"] is True, _record(found) if found is not None else None))
        return lines

    def query(
        self, name: str, equal: Mapping[str, str] | None = None, *, prefix: Mapping[str, str] | None = None,
        fields: Sequence[str] | None = None, page: int = 100, terms: Terms | None = None,
    ) -> Query:  # fmt: skip
        """The records whose fields are `equal` to these and begin with `prefix`; nothing is asked before it is read.

        At least one of the fields needs an index; a `page` has at most 100 records, each of which costs one unit.
        """
        asked: dict[str, object] = {"equal": dict(equal or {}), "prefix": dict(prefix or {}), "limit": page}
        return Query(self._line, _post(name, "records:query", asked | _only(fields), terms))

    def changes(
        self, name: str, since: str | None = None, fields: Sequence[str] | None = None, *, limit: int = 100,
        terms: Terms | None = None,
    ) -> Answer[Changes]:  # fmt: skip
        """What changed since that cursor, a page of it; without one, the cursor of now."""
        parameters = [("limit", str(limit))]
        parameters += [("since", since)] if since is not None else []
        parameters += [("fields", ",".join(fields))] if fields is not None else []
        sent = Sent("GET", f"{_where(name)}/changes", tuple(parameters), terms=terms or Terms())
        told = _told(self._line.call(sent))
        rows = [
            Change(str(one["key"]), str(one["change"]), _record(one["record"]) if one["record"] is not None else None)
            for one in map(_record, _list(told.data))
        ]
        page = Changes(rows, str(told.told["cursor"]), told.told["more"] is True)
        return Answer(page, told.told, told.proof)

    def usage(self, days: int = 31) -> Answer[Record]:
        """The department's own calls of the last days, and what is left of its quotas."""
        came = self._line.call(Sent("GET", "/v1/usage", (("days", str(days)),)))
        told = json.loads(came.content)
        return Answer(told, {"request_id": told.get("request_id", "")}, came.proof)


def _where(name: str) -> str:
    return f"/v1/{'resources' if '.' in name else 'libraries'}/{quote(name, safe='')}"


def _post(name: str, what: str, body: Mapping[str, object], terms: Terms | None) -> Sent:
    return Sent("POST", f"{_where(name)}/{what}", body=body, terms=terms or Terms())


def _only(fields: Sequence[str] | None) -> dict[str, object]:
    return {} if fields is None else {"fields": list(fields)}


def _told(came: Came) -> Answer[object]:
    told = json.loads(came.content)
    return Answer(told.pop("data"), told, came.proof)


def _record(told: object) -> Record:
    return told if isinstance(told, Mapping) else {}


def _list(told: object) -> Sequence[object]:
    return told if isinstance(told, list) else []
