"""What is done to a grant after it was given: suspended, resumed, extended, revoked; in force with the next call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final, Literal

from quality.orders_values import DATA_MANAGER, day_of
from sharing import application_store as store
from sharing.application_refusals import ended, no_subject, unknown, words, wrong_right, wrong_state, wrong_until
from sharing.application_values import Actor, GrantVersion
from sharing.applications import Applications
from sharing.grant_terms import Terms, from_json, grantable
from sharing.roles import may

GrantAct = Literal["suspend", "resume", "revoke", "extend"]
_FROM: Final[Mapping[GrantAct, tuple[str, ...]]] = {
    "suspend": ("active",),
    "resume": ("suspended",),
    "revoke": ("active", "suspended"),
    "extend": ("active", "suspended"),
}
_REASON = ("理由", "the reason")


class GrantActs:
    """The grants of the database. A change is one transaction, and may be done by the provider's lead or the data
    authority; to give a grant up (revoke), by the lead of the department that holds it too.
    """

    def __init__(self, applications: Applications) -> None:
        self._all = applications
        self._store = applications.store

    def find(self, viewer: Actor | None = None) -> list[GrantVersion]:
        """The version in force of each grant the viewer may see; `viewer` None is the operator."""
        with self._store.reading() as connection:
            return [one for one in store.newest(connection) if _sees(viewer, one)]

    def one(self, grant: str, viewer: Actor | None = None) -> list[GrantVersion]:
        """Every version of a grant, the first one first; SHR-NO-APPLICATION."""
        with self._store.reading() as connection:
            found = store.versions(connection, grant)
        if not found or not _sees(viewer, found[-1]):
            raise unknown("grant", grant)
        return found

    def suspend(self, grant: str, by: Actor, why: str, at: datetime) -> GrantVersion:
        """Let a grant rest until it is resumed."""
        return self._change(grant, by, "suspend", why, at, state="suspended", event="suspended")

    def resume(self, grant: str, by: Actor, why: str, at: datetime) -> GrantVersion:
        """Let a suspended grant count again, if it could still be given."""
        return self._change(grant, by, "resume", why, at, state="active", event="resumed")

    def revoke(self, grant: str, by: Actor, why: str, at: datetime) -> GrantVersion:
        """End a grant for good."""
        return self._change(grant, by, "revoke", why, at, state="revoked", event="revoked")

    def extend(self, grant: str, by: Actor, until: str, why: str, at: datetime) -> GrantVersion:
        """Let a grant last until a later day without another application."""
        return self._change(grant, by, "extend", why, at, until, event="extended")

    def _change(  # noqa: PLR0917 - what is done to which, by whom, when and why
        self, grant: str, by: Actor, act: GrantAct, why: str, at: datetime, until: str | None = None, *,
        event: str, state: Literal["active", "suspended", "revoked"] | None = None,
    ) -> GrantVersion:  # fmt: skip
        with self._store.changing() as connection:
            found = store.newest(connection, grant)
            if not found or not _sees(by, found[0]):
                raise unknown("grant", grant)
            last = found[0]
            if not _may(by, last, act):
                raise wrong_right(
                    by.id,
                    by.department,
                    "提供部门负责人（lead）或数据主管部门",
                    "the provider's lead or the data authority",
                )
            if act == "extend" and from_json(last.terms).until < day_of(at).isoformat():
                raise ended(grant)
            if last.state not in _FROM[act]:
                raise wrong_state("grant", grant, last.state, _FROM[act])
            said, terms = words(why, _REASON, day_of(at)), from_json(last.terms)
            if until is not None:
                if until <= terms.until:
                    least = date.fromisoformat(terms.until) + timedelta(1)
                    raise wrong_until(until, least, self._all.latest(day_of(at)))
                terms = replace(terms, until=until)
            if act in {"resume", "extend"}:
                self._grantable(last, terms, at)
            made = store.next_version(last, event, by, said, at, terms)
            store.issue(connection, made if state is None else replace(made, state=state))
            about = store.application(connection, last.application)
            store.record(connection, about, f"grant_{event}", about.state, by, said, at)
            return store.newest(connection, grant)[0]

    def _grantable(self, last: GrantVersion, terms: Terms, at: datetime) -> None:
        known = self._all.subjects.get(last.subject)
        if known is None:
            raise no_subject(last.subject)
        grantable(terms, known.standard)
        self._all.lasting(terms.until, day_of(at))


def _may(by: Actor, grant: GrantVersion, act: GrantAct) -> bool:
    mine = {grant.provider, grant.department} - {""} if act == "revoke" else {grant.provider}
    return any(may(by, "grant.change", department) for department in mine)


def _sees(viewer: Actor | None, grant: GrantVersion) -> bool:
    return viewer is None or DATA_MANAGER in viewer.roles or viewer.department in {grant.department, grant.provider}
