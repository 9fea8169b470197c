"""The call records of a deployment put together: ledger, seals and keys, who provides what, and the prices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sharing.archive import KEPT_DAYS, MARK, Archive, PutAway
from sharing.calls import today
from sharing.clocks import read_policy
from sharing.day_seals import DaySeals
from sharing.ledger import Archived, Ledger
from sharing.receipt_keys import FILE, ReceiptKeys
from sharing.statement_shelf import Shelf
from sharing.statement_values import Statement
from sharing.statements import Books, after, make
from sharing.tariff import FILE as TARIFF
from sharing.tariff import read_tariff
from shutong.api import metering_secret
from shutong.applying import subjects
from shutong.deployment import Deployment, load
from shutong.settings import Settings
from shutong.wiring import open_deployment

if TYPE_CHECKING:
    from warehouse.tables import Tables


@dataclass(frozen=True, slots=True)
class Accounts:
    """Everything that is asked of the call records outside the service; `folder` is where they lie."""

    deployment: Deployment
    folder: Path
    ledger: Ledger
    keys: ReceiptKeys
    secret: bytes = field(repr=False)

    @property
    def seals(self) -> DaySeals:
        """The seals of the days."""
        return DaySeals(self.folder, self.ledger, self.keys)

    def books(self) -> Books:
        """What statements are made from. Raises StandardError for mistakes in sharing.yaml and tariff.yaml."""
        home = self.deployment.home
        known = subjects(self.deployment, read_policy(home / "sharing.yaml"))
        providers = {name: one.provider for name, one in known.items()}
        return Books(self.ledger, self.seals.seals(), providers, read_tariff(home / TARIFF))

    def named(self, department: str) -> str:
        """What a department is called, its code with it."""
        found = next((one for one in self.deployment.departments if one.id == department), None)
        return f"{found.zh} {found.en} ({department})" if found is not None else department


def accounts_of(settings: Settings, archived: Archived | None = None) -> Accounts:
    """The accounts of a deployment, its put-away records in `archived`."""
    deployment, secret = load(settings), metering_secret(settings)
    folder = deployment.home / "meter"
    return Accounts(deployment, folder, Ledger(folder, archived), ReceiptKeys(folder / FILE, secret), secret)


@contextmanager
def accounts(settings: Settings) -> Iterator[Accounts]:
    """The accounts of a deployment; the warehouse is opened only where records were put away there."""
    if not (settings.home / "meter" / MARK).exists():
        yield accounts_of(settings)
        return
    with open_deployment(settings) as wired:
        yield accounts_of(settings, Archive(wired.tables))


def put_away(books: Accounts, tables: Tables, keep_days: int = KEPT_DAYS) -> tuple[Sequence[PutAway], int]:
    """Put the records of sealed days away and remove files older than `keep_days`: the days, and how many files."""
    kept = Archive(tables)
    done = kept.put(books.folder, books.seals.seals())
    return done, kept.remove(books.folder, keep_days)


def issue(books: Accounts) -> Sequence[Statement]:
    """Issue the statements of the month before, once it is over and sealed; those issued now."""
    month = (date.fromisoformat(today()).replace(day=1) - timedelta(days=1)).isoformat()[:7]
    shelf = Shelf(books.folder)
    if shelf.whole(month) or today() <= after(month):
        return []
    made = make(books.books(), month)
    if not all(one.final for one in made):
        return []
    signer = books.keys.signer()
    issued = [one for one in made if shelf.issue(one, signer)]
    shelf.close(month)
    return issued
