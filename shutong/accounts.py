"""The call records of a deployment put together: ledger, seals and keys, who provides what, and the prices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sharing.clocks import read_policy
from sharing.day_seals import DaySeals
from sharing.ledger import Archived, Ledger
from sharing.receipt_keys import FILE, ReceiptKeys
from sharing.statements import Books
from sharing.tariff import FILE as TARIFF
from sharing.tariff import read_tariff
from shutong.api import metering_secret
from shutong.applying import subjects
from shutong.deployment import Deployment, load
from shutong.settings import Settings


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
    """The accounts of a deployment."""
    yield accounts_of(settings)
