"""The door for people: log-in by password or identity provider, invitations, sessions, locks; each act is recorded."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from runs.alarms.people import Person
from sharing.lockout import Door, Entry, Gate, Pace, network_of
from sharing.oidc import Begun, Provider
from sharing.passwords import Passwords, refuse_weak
from sharing.people import Accounts, People, Verified, standing_of
from sharing.people_refusals import LoginError, ProviderError, SessionError, WaitError, WeakPasswordError
from sharing.people_terms import LoginTerms
from sharing.proxies import Address
from sharing.sessions import Cookie, Sessions, csrf_of

SESSION_COOKIE, FLOW_COOKIE = "shutong", "shutong-login"
FLOWS: Final = Pace(60, 60.0)  # log-ins at the provider that one network may begin
PLATFORM_NAMES: Final = ("shutong", "数通")


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that has just begun: its secret, which is seen this once, and who it is for."""

    secret: str = field(repr=False)
    verified: Verified

    @property
    def csrf(self) -> str:
        """The token that calls which change something carry."""
        return csrf_of(self.secret)


class PeopleDoor:
    """Lets people of a deployment in; `secret` is 32 bytes of the deployment's, `clock` gives Unix seconds.

    What a name nobody has is told, and how long it takes, is what a wrong password is told and takes.
    """

    def __init__(  # noqa: PLR0917 - what a deployment has for it
        self, engine: sa.Engine, people: People, terms: LoginTerms, secret: bytes, provider: Provider | None = None,
        passwords: Passwords | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.people, self.terms, self.provider = people, terms, provider
        self.accounts = Accounts(engine)
        self.sessions = Sessions(engine, terms.idle, terms.longest)
        self.gate = Gate(engine, clock)
        self.cookie, self.flow_cookie = (Cookie(one, terms.secure) for one in (SESSION_COOKIE, FLOW_COOKIE))
        self._key = hmac.digest(secret, b"shutong accounts", "sha256")
        self._passwords, self._clock = passwords or Passwords(), clock

    def log_in(self, name: str, password: str, address: Address | None, old: str | None = None) -> Opened:
        """A session for the right password; `old` is the session the browser had, which ends. LoginError, WaitError."""
        person, network = self.people.find(name), network_of(address)
        own, around = self._account(name, person), self._network(network)
        entry = self._enter(own, around)
        account = self.accounts.get(person.id if person is not None else "-")  # asked either way
        usable = self.terms.passwords and person is not None and account is not None and account.locked is None
        stored = account.secret if usable and account is not None else None
        right = self._passwords.verify(stored, password)
        if not right or person is None or stored is None:
            self._noted(entry, "refused", person.id if person else None, network)
            raise LoginError.of()
        self.gate.right(entry, own, around)
        if self._passwords.outdated(stored):
            self.accounts.rehash(person.id, stored, self._passwords.hash(password))
        return self._opened(person, "password", network, old)

    def accept(self, code: str, password: str, address: Address | None, old: str | None = None) -> Opened:
        """The first or a new password, by an invitation, and a session. LoginError, WaitError, WeakPasswordError."""
        network = network_of(address)
        around, now = self._network(network), self._clock()
        entry = self._enter(around)
        account = self.accounts.invited(code, now)
        person = self.people.find(account.person) if account is not None and account.locked is None else None
        if person is None or not self.terms.passwords:
            self._noted(entry, "refused", None, network)
            raise LoginError.invitation()
        self.gate.right(entry, self._account(person.id, person), around)
        refuse_weak(password, _names(person))
        if not self.accounts.redeem(code, self._passwords.hash(password), now):
            raise LoginError.invitation()
        self.accounts.record("password_set", person.id, person.id, network)
        return self._opened(person, "password", network, old)

    def change(self, secret: str, password: str, new: str, address: Address | None) -> Opened:
        """Another password for whoever is logged in and knows the present one; every session ends, a new one begins."""
        person, network = self.who(secret).person, network_of(address)
        own, around = self._account(person.id, person), self._network(network)
        entry = self._enter(own, around)
        account = self.accounts.get(person.id)
        if not self._passwords.verify(account.secret if account else None, password):
            self._noted(entry, "refused", person.id, network)
            raise LoginError.of()
        self.gate.right(entry, own, around)
        refuse_weak(new, _names(person))
        if hmac.compare_digest(password.encode("utf-8", "replace"), new.encode("utf-8", "replace")):
            raise WeakPasswordError.same()
        self.accounts.keep(person.id, self._passwords.hash(new), self._clock())
        self.sessions.end_all(person.id)
        self.accounts.record("password_changed", person.id, person.id, network)
        return self._opened(person, "password", network, None)

    def begin_elsewhere(self, address: Address | None) -> Begun:
        """Begin a log-in at the identity provider. LoginError where there is none, WaitError, ProviderError."""
        if self.provider is None:
            raise LoginError.elsewhere()
        self._enter(Door(f"flow:{network_of(address)}", FLOWS))
        return self.provider.begin()

    def come_back(
        self, flow: str | None, answer: Mapping[str, str], address: Address | None, old: str | None = None
    ) -> Opened:
        """A session for the person whom the provider names. LoginError, also for people nobody knows; ProviderError.

        WaitError: anybody can come without having been sent here, so failures of a network are counted.
        """
        network = network_of(address)
        if self.provider is None:
            raise LoginError.elsewhere()
        around = self._network(network)
        entry = self._enter(around)
        try:
            value = self.provider.finish(flow, answer)
        except LoginError:
            self._noted(entry, "refused", None, network, "oidc")
            raise
        except ProviderError:
            self.gate.right(entry, None, around)
            raise
        by_mail = self.provider.terms.matches == "mail"
        person = self.people.by_mail(value) if by_mail else self.people.find(value)
        account = self.accounts.get(person.id) if person is not None else None
        if person is None or (account is not None and account.locked is not None):
            self._noted(entry, "refused", person.id if person else None, network, "oidc")
            raise LoginError.elsewhere()
        self.gate.right(entry, self._account(person.id, person), around)
        return self._opened(person, "oidc", network, old)

    def who(self, secret: str | None) -> Verified:
        """Who is logged in. SessionError; a session ends when the department or roles of its person have changed."""
        found = self.sessions.find(secret, self._clock()) if secret else None
        if found is None:
            raise SessionError.none()
        person = self.people.find(found.person)
        if person is None or standing_of(person) != found.standing:
            if self.sessions.end(found.number):
                self.accounts.record("session_ended", found.person, "system", why="roles")
            raise SessionError.none()
        return Verified(person, found)

    def log_out(self, verified: Verified) -> None:
        """End the session."""
        if self.sessions.end(verified.session.number):
            self.accounts.record("logout", verified.person.id, verified.person.id, verified.session.address)

    def end(self, number: int, person: str | None, by: str) -> bool:
        """End a session, of that person when named; False when there is none."""
        found = next((one for one in self.sessions.of(person, self._clock()) if one.number == number), None)
        if found is None or not self.sessions.end(number):
            return False
        self.accounts.record("session_ended", found.person, by)
        return True

    def invite(self, person: Person, by: str) -> tuple[str, float]:
        """A code with which they set a password, and until when it works (Unix seconds)."""
        until = self._clock() + self.terms.invitation
        code = self.accounts.invite(person.id, until)
        self.accounts.record("invited", person.id, by)
        return code, until

    def lock(self, person: str, by: str, why: str) -> int:
        """Nobody gets in by the account; how many sessions that ended."""
        ended = self.accounts.lock(person, self._clock())
        self.accounts.record("locked", person, by, why=why)
        return ended

    def unlock(self, person: str, by: str, why: str) -> None:
        """The account can be used again, and its failures are forgotten."""
        self.accounts.unlock(person)
        self.gate.open(self._place(person))
        self.accounts.record("unlocked", person, by, why=why)

    def forgive(self, network: str, by: str, why: str) -> bool:
        """Forget the failures of a network; False when there were none."""
        if not self.gate.open(f"network:{network}"):
            return False
        self.accounts.record("unlocked", None, by, network, why)
        return True

    def _opened(self, person: Person, way: str, network: str, old: str | None) -> Opened:
        now = self._clock()
        before = self.sessions.find(old, now) if old else None
        if before is not None:
            self.sessions.end(before.number)
        secret = self.sessions.begin(person.id, way, network, standing_of(person), now)
        if secret is None:
            raise LoginError.of()
        self.accounts.record("login", person.id, person.id, network, way)
        return Opened(secret, self.who(secret))

    def _enter(self, *doors: Door) -> Entry:
        entry = self.gate.enter(*doors)
        if entry.wait > 0:
            raise WaitError.of(entry.wait)
        return entry

    def _noted(self, entry: Entry, event: str, person: str | None, network: str, why: str | None = None) -> None:
        self.accounts.record(event, person, "-", network, why)
        for told in entry.shut:
            self.accounts.record("shut", person, "system", network, told)

    def _account(self, name: str, person: Person | None) -> Door:
        return Door(self._place(name), self.terms.account, f"account {person.id}" if person else None)

    def _network(self, network: str) -> Door:
        return Door(f"network:{network}", self.terms.network, f"network {network}")

    def _place(self, name: str) -> str:
        # What was typed may be a password in the wrong field: only a keyed hash of it is kept.
        return "account:" + hmac.digest(self._key, name.encode("utf-8", "surrogatepass"), "sha256").hex()[:48]


def _names(person: Person) -> tuple[str, ...]:
    mail = (person.mail or "").partition("@")[0]
    return (person.id, person.name, person.department, mail, *PLATFORM_NAMES)
