"""Remember which bundles were made for whom, so that increments can go on from them and their rows do not expire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import sqlalchemy as sa

from schemas.values import Json
from warehouse.clock import now_text
from warehouse.library_state import Made, newest
from warehouse.state import State, database
from warehouse.state.schema import RELEASE

_METADATA = sa.MetaData()
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SENT = sa.Table(
    "library_bundle",
    _METADATA,
    sa.Column("number", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(200), nullable=False, unique=True),
    sa.Column("library", sa.String(200), nullable=False),
    sa.Column("partner", sa.String(200), nullable=False),
    sa.Column("previous", sa.String(200)),
    sa.Column("standard", sa.String(200), nullable=False),
    sa.Column("merged_at", sa.String(40), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("snapshots", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)


_KEPT = 3  # bundles for a partner whose rows stay: two that were made, and one that is being


@dataclass(frozen=True, slots=True)
class Sent:
    """A bundle that was made: for which partner, by whom, and the snapshot of each table it was read from.

    `done` is false while it is being written, or when that was cut short.
    """

    id: str
    library: str
    partner: str
    previous: str | None
    standard: str
    merged_at: str
    who: str
    snapshots: Mapping[str, int]
    done: bool = False
    at: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The bundle a library came by: its id, the partner who signed it, and when it was merged there and taken here."""

    bundle: str
    sender: str
    standard: str
    merged_at: str
    began: str
    taken_at: str


class BundleState:
    """Bundles made by one deployment, in its state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, sent: Sent) -> None:
        """Remember a bundle before it is written; what was cut short before for the same partner is forgotten.

        One that was made before and is made again stays made, however the second time comes out.
        """
        with database.serialised(self._engine) as connection:
            same = sa.and_(SENT.c.library == sent.library, SENT.c.partner == sent.partner)
            before = connection.execute(sa.select(SENT.c.id).where(SENT.c.id == sent.id, SENT.c.done)).first()
            connection.execute(sa.delete(SENT).where(sa.or_(SENT.c.id == sent.id, sa.and_(same, ~SENT.c.done))))
            told = {**asdict(sent), "done": before is not None, "at": now_text()}
            connection.execute(sa.insert(SENT).values(told))

    def finish(self, bundle: str) -> None:
        """Remember that it is whole."""
        with database.serialised(self._engine) as connection:
            connection.execute(sa.update(SENT).where(SENT.c.id == bundle).values(done=True))

    def sent(self, library: str | None = None, partner: str | None = None) -> list[Sent]:
        """The bundles that were made, newest first."""
        query = sa.select(SENT).where(SENT.c.done).order_by(SENT.c.number.desc())
        for column, wanted in ((SENT.c.library, library), (SENT.c.partner, partner)):
            if wanted is not None:
                query = query.where(column == wanted)
        with database.reading(self._engine) as connection:
            return [_sent(row) for row in connection.execute(query).mappings()]

    def pinned(self, table: str) -> frozenset[int]:
        """The snapshots of a table that the newest two bundles for each partner were read from, or one is being.

        The older of the two is what the newer is made from once more, should it be lost on the way.
        """
        kept: dict[tuple[str, str], list[Mapping[str, int]]] = {}
        with database.reading(self._engine) as connection:
            for row in connection.execute(sa.select(SENT).order_by(SENT.c.number.desc())).mappings():
                kept.setdefault((row["library"], row["partner"]), []).append(row["snapshots"])
        return frozenset(one[table] for every in kept.values() for one in every[:_KEPT] if table in one)

    def taken(self, bundle: str) -> bool:
        """Whether a bundle was imported here, and is not undone."""
        with database.reading(self._engine) as connection:
            there = sa.select(RELEASE.c.id).where(RELEASE.c.run == run_of(bundle), RELEASE.c.kind == "merge")
            return connection.execute(there).first() is not None


def run_of(bundle: str) -> str:
    """The run that imports a bundle."""
    return f"bundle-{bundle}"


def origin(state: State, library: str) -> Origin | None:
    """The bundle that a library as released came by; None where it was merged here."""
    made = newest(state, library)
    return came_by(made) if made else None


def came_by(made: Made) -> Origin | None:
    """The bundle that a merge stands for."""
    said = made.told.get("bundle")
    return Origin(**cast("dict[str, str]", said)) if said else None


def as_told(one: Origin) -> Json:
    """As `Made.told` keeps it under `bundle`."""
    return cast("Json", asdict(one))


def _sent(row: sa.RowMapping) -> Sent:
    return Sent(**{name: value for name, value in row.items() if name != "number"})
