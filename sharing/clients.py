"""Applications (clients) of departments: from where they call, how they prove themselves, their certificates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from sharing.keys import METADATA
from sharing.proxies import Address, Network, networks_of, within
from warehouse.state.database import reading

PROOFS = ("key", "signature", "token", "certificate")

CLIENT = sa.Table(
    "share_client",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("department", sa.String(64), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("networks", sa.JSON, nullable=False),
    sa.Column("proofs", sa.JSON, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("disabled_at", sa.String(40)),
    sa.UniqueConstraint("department", "name", name="share_client_name"),
)
CERTIFICATE = sa.Table(
    "share_client_certificate",
    METADATA,
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("client", sa.Integer, nullable=False),
    sa.Column("added_at", sa.String(40), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Client:
    """An application of a department; its name is what grants call `client`.

    `networks` may call in its name, all when there are none; `proofs` of PROOFS are how it may say who it is.
    """

    id: int
    department: str
    name: str
    networks: tuple[Network, ...]
    proofs: tuple[str, ...]
    created_at: str
    disabled_at: str | None

    def reached_from(self, address: Address | None) -> bool:
        """Whether it may be called in its name from there."""
        return not self.networks or within(address, self.networks)


class Clients:
    """The applications of a deployment, in the state database behind `engine`."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(
        self, department: str, name: str, networks: Sequence[str] = (), proofs: Sequence[str] = PROOFS
    ) -> Client | None:
        """A new application; None when the department has one of that name. ValueError: a network or proof is none."""
        row = _written(networks, proofs) | {"department": department, "name": name, "created_at": _now()}
        try:
            with self._engine.begin() as connection:
                connection.execute(CLIENT.insert(), row)
        except sa.exc.IntegrityError:
            return None
        return self.named(department, name)

    def change(self, number: int, networks: Sequence[str], proofs: Sequence[str]) -> bool:
        """Where it calls from and how it proves itself from now on; False when there is none. ValueError as in add."""
        return self._update(number, _written(networks, proofs))

    def disable(self, number: int) -> bool:
        """Nobody gets in by its keys, tokens and certificates any more; False when there is no such application."""
        return self._update(number, {"disabled_at": _now()})

    def enable(self, number: int) -> bool:
        """It may call again, by the keys that are not revoked."""
        return self._update(number, {"disabled_at": None})

    def pin(self, number: int, fingerprint: str) -> bool:
        """The certificate speaks for the application; False when one has it already."""
        row = {"fingerprint": fingerprint, "client": number, "added_at": _now()}
        try:
            with self._engine.begin() as connection:
                connection.execute(CERTIFICATE.insert(), row)
        except sa.exc.IntegrityError:
            return False
        return True

    def unpin(self, number: int, fingerprint: str) -> bool:
        """The certificate speaks for it no more; False when it did not."""
        gone = CERTIFICATE.delete().where(CERTIFICATE.c.fingerprint == fingerprint, CERTIFICATE.c.client == number)
        with self._engine.begin() as connection:
            return connection.execute(gone).rowcount == 1

    def get(self, number: int) -> Client | None:
        """The application of that number."""
        return self._one(CLIENT.c.id == number)

    def named(self, department: str, name: str) -> Client | None:
        """The department's application of that name."""
        return self._one(sa.and_(CLIENT.c.department == department, CLIENT.c.name == name))

    def showing(self, fingerprint: str) -> Client | None:
        """The application whose certificate it is."""
        with reading(self._engine) as connection:
            query = (
                sa.select(CLIENT)
                .join(CERTIFICATE, CERTIFICATE.c.client == CLIENT.c.id)
                .where(CERTIFICATE.c.fingerprint == fingerprint)
            )
            row = connection.execute(query).one_or_none()
        return _client(row) if row is not None else None

    def list(self) -> list[Client]:
        """All of them, by department and name."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(CLIENT).order_by(CLIENT.c.department, CLIENT.c.name))
            return [_client(row) for row in rows]

    def certificates(self) -> dict[int, tuple[str, ...]]:
        """The fingerprints that speak for each application."""
        found: dict[int, tuple[str, ...]] = {}
        with reading(self._engine) as connection:
            for one in connection.execute(sa.select(CERTIFICATE).order_by(CERTIFICATE.c.fingerprint)):
                found[one.client] = (*found.get(one.client, ()), one.fingerprint)
        return found

    def _one(self, which: sa.ColumnElement[bool]) -> Client | None:
        with reading(self._engine) as connection:
            row = connection.execute(sa.select(CLIENT).where(which)).one_or_none()
        return _client(row) if row is not None else None

    def _update(self, number: int, values: dict[str, object]) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(CLIENT.update().where(CLIENT.c.id == number).values(values)).rowcount == 1


def _written(networks: Iterable[str], proofs: Sequence[str]) -> dict[str, object]:
    unknown = [one for one in proofs if one not in PROOFS]
    if unknown or not proofs:
        raise ValueError(unknown[0] if unknown else "no proof")
    return {"networks": [str(one) for one in networks_of(tuple(networks))], "proofs": list(dict.fromkeys(proofs))}


def _client(row: sa.Row[tuple[object, ...]]) -> Client:
    told = dict(row._mapping)  # noqa: SLF001 the documented way to a row's names
    return Client(**told | {"networks": networks_of(tuple(told["networks"])), "proofs": tuple(told["proofs"])})


def _now() -> str:
    return datetime.now(UTC).isoformat()
