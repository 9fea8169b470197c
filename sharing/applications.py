"""Applications to share data, from filing to grant 申请、审批、授权: who may do what when, each step on the record."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from quality.orders_values import day_of, written
from sharing import application_store as store
from sharing.application_refusals import (
    ended,
    no_subject,
    once,
    unknown,
    words,
    wrong_days,
    wrong_purpose,
    wrong_right,
    wrong_state,
    wrong_terms,
    wrong_until,
)
from sharing.application_store import AUTOMATIC, Store, clock, moved
from sharing.application_tables import APPLICATION
from sharing.application_values import (
    DISPUTE,
    MAY,
    WHO,
    Act,
    Actor,
    Application,
    Event,
    GrantVersion,
    Purpose,
    State,
    Subject,
)
from sharing.clocks import Clocks
from sharing.grant_terms import Terms, conform, from_json, grantable, narrower, sharing_type, within
from sharing.roles import may

_CODE = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z-]{4,62})[0-9A-Za-z]")
_REASON, _BASIS, _MATTER = ("理由", "the reason"), ("法律依据", "the legal basis"), ("事项名称", "the matter's name")
LONGEST_MATTER: Final = 120


class Applications:
    """The applications of one state database; terms are counted in working days of the deployment's calendar.

    Each method that changes something is one transaction, and no two of them overlap, over all processes; whether the
    caller may do it is decided there and nowhere else. Refusals are SharingErrors (SHR-RIGHT, SHR-APPLICATION-STATE,
    SHR-TERMS …). `bump` is the file that tells the processes of this host that grants have changed.
    """

    def __init__(
        self, engine: sa.Engine, clocks: Clocks, subjects: Mapping[str, Subject], bump: Path | None = None
    ) -> None:
        self.store, self.clocks, self.subjects = Store(engine, bump), clocks, subjects

    # the applicant

    def file(  # noqa: PLR0917 - who asks for what, for what, when
        self,
        by: Actor,
        subject: str,
        asked: Terms,
        purpose: Purpose,
        at: datetime,
        client: str | None = None,
        renews: str | None = None,
    ) -> Application:
        """File an application; what is 无条件 is checked and granted at once, else the provider has its term.

        `renews` names the grant that it is to go on with; it must not have ended.
        """
        if not by.department or (by.roles and not may(by, "application.file", by.department)):
            raise wrong_right(by.id, "", *WHO["department"])
        known = self._conforming(subject, asked, day_of(at))
        meant = _purpose(purpose, day_of(at))
        kind = sharing_type(asked, known.standard)
        step = "unconditional" if kind == "U" else "conditional"
        if client is not None and not (
            client.strip() == client and client.isprintable() and 0 < len(client) <= LONGEST_MATTER
        ):
            raise wrong_terms("应用名称有误", "the client's name cannot be used")
        with self.store.changing() as connection:
            if renews is not None:
                client = self._renewable(connection, renews, by, subject, client, day_of(at))
            row = {
                "department": by.department, "client": client, "subject": subject, "provider": known.provider,
                "sharing": kind, **asdict(meant), "asked": asked.as_json(), "granted": None, "renews": renews,
                "grant": None, "filed_at": written(at), "supplements": 0, "disputed_from": None,
                **clock("pending", self.clocks.due(step, day_of(at))),
            }  # fmt: skip
            made: int = connection.execute(
                sa.insert(APPLICATION).values(**row).returning(APPLICATION.c.id)
            ).scalar_one()
            filed = store.application(connection, made)
            store.record(connection, filed, "filed", None, by, meant.matter, at)
            return self._automatic(connection, filed, at)

    def supply(self, number: int, by: Actor, why: str, at: datetime, asked: Terms | None = None) -> Application:
        """Answer what the provider asked for, with other terms where they must change; the clock goes on."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "supply")
            said = words(why, _REASON, day_of(at))
            new = asked or from_json(one.asked)
            known = self._conforming(one.subject, new, day_of(at))
            due = self.clocks.goes_on(one.left or 0, day_of(at))
            changed = clock("pending", due) | {"escalated": one.escalated, "extended": one.extended}
            changed |= {"asked": new.as_json(), "sharing": sharing_type(new, known.standard)}
            return self._automatic(connection, moved(connection, one, "supplied", by, said, at, changed), at)

    def withdraw(self, number: int, by: Actor, why: str, at: datetime) -> Application:
        """Take an application back, or a dispute: what stood before it stands again."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "withdraw")
            said = words(why, _REASON, day_of(at))
            if one.state in DISPUTE:
                return self._stands(connection, one, "dispute_withdrawn", by, said, at)
            return moved(connection, one, "withdrawn", by, said, at, clock("withdrawn", None))

    def dispute(self, number: int, by: Actor, why: str, at: datetime) -> Application:
        """Disagree with a refusal, or with less than was asked for: 协商 begins; it may be done once."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "dispute")
            said = words(why, _REASON, day_of(at))
            whole = one.granted is not None and not narrower(from_json(one.granted), from_json(one.asked))
            if one.disputed_from is not None or whole:
                raise once("对这件申请不能再提出争议", "there is nothing (more) to dispute about this application")
            left = None if one.due is None else self.clocks.left(date.fromisoformat(one.due), day_of(at))
            new = clock("consultation", self.clocks.due("consultation", day_of(at)), left)
            return moved(connection, one, "disputed", by, said, at, new | {"disputed_from": one.state})

    # the provider, and the data authority in its place

    def ask_supplement(self, number: int, by: Actor, why: str, at: datetime) -> Application:
        """Ask the applicant for more: the provider's clock stops until it comes."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "ask_supplement")
            said = words(why, _REASON, day_of(at))
            if one.supplements >= self.clocks.policy.supplements:
                raise once("补正须一次性告知，已用完次数", "what is missing is asked for at once, and has been")
            left = self.clocks.left(date.fromisoformat(str(one.due)), day_of(at))
            new = clock("supplementing", self.clocks.due("supplement", day_of(at)), left)
            new |= {"escalated": one.escalated, "extended": one.extended, "supplements": one.supplements + 1}
            return moved(connection, one, "supplement_asked", by, said, at, new)

    def approve(self, number: int, by: Actor, why: str, at: datetime, granted: Terms | None = None) -> Application:
        """Grant what was asked for, or the part of it that `granted` says."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "approve")
            said = words(why, _REASON, day_of(at))
            asked = from_json(one.asked)
            terms = granted or asked
            within(terms, asked)
            return self._grant(connection, one, terms, by, said, at)

    def refuse(self, number: int, by: Actor, why: str, basis: str, at: datetime) -> Application:
        """Refuse 不予共享, which needs a legal basis; as a ruling it lets stand what stood before the dispute."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "refuse")
            said, law = words(why, _REASON, day_of(at)), words(basis, _BASIS, day_of(at))
            if one.state in DISPUTE:
                return self._stands(connection, one, "upheld", by, said, at, law)
            return moved(connection, one, "refused", by, said, at, clock("refused", None), law)

    def deliver(self, number: int, by: Actor, why: str, at: datetime) -> Application:
        """Say that what was approved can be asked for now."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "deliver")
            said = words(why, _REASON, day_of(at))
            return moved(connection, one, "delivered", by, said, at, clock("delivered", None))

    def ask_extension(self, number: int, by: Actor, days: int, why: str, at: datetime) -> Application:
        """Ask the data authority for more working days, once a clock; meanwhile the clock runs on."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "ask_extension")
            said = words(why, _REASON, day_of(at))
            most = self.clocks.policy.days["extension"]
            if not 1 <= days <= most:
                raise wrong_days(most)
            if one.extended or one.extension is not None:
                raise once("这一时限已申请过延期", "more days have been asked for this term already")
            return moved(connection, one, "extension_asked", by, f"{days}: {said}", at, {"extension": days})

    def decide_extension(self, number: int, by: Actor, why: str, at: datetime, *, grant: bool) -> Application:
        """Grant the days that were asked for, or deny them."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "decide_extension")
            said = words(why, _REASON, day_of(at))
            if one.extension is None or one.due is None:
                raise once("没有待决定的延期申请", "no extension waits for a decision")
            new: dict[str, object] = {"extension": None, "extended": True}
            if grant:
                longer = self.clocks.longer(date.fromisoformat(one.due), one.extension)
                new |= {"due": longer.isoformat(), "escalated": 0 if longer >= day_of(at) else one.escalated}
            return moved(connection, one, "extended" if grant else "extension_denied", by, said, at, new)

    def refer(self, number: int, by: Actor, why: str, at: datetime) -> Application:
        """Take a dispute to its next step: from 协商 to the data authority's mediation, from there to its ruling."""
        with self.store.changing() as connection:
            one = self._may(connection, number, by, "refer")
            said = words(why, _REASON, day_of(at))
            step: State = "mediation" if one.state == "consultation" else "ruling"
            new = clock(step, self.clocks.due(step, day_of(at)), one.left)
            return moved(connection, one, "referred", by, said, at, new)

    # looking

    def one(self, number: int, viewer: Actor | None = None) -> tuple[Application, list[Event]]:
        """An application with its history. `viewer` None is the operator; others see what concerns their department."""
        with self.store.reading() as connection:
            found = store.application(connection, number)
            if not _sees(viewer, found.concerns):
                raise unknown("application", number)
            return found, store.history(connection, number)

    def find(
        self, viewer: Actor | None = None, states: Collection[State] | None = None, department: str | None = None
    ) -> list[Application]:
        """The applications the viewer may see, the earliest due first; `department` is either party."""
        with self.store.reading() as connection:
            every = store.applications(connection)
        return [
            one
            for one in every
            if _sees(viewer, one.concerns)
            and (states is None or one.state in states)
            and (department is None or one.concerns(department))
        ]

    # below: how it is done

    def _may(self, connection: sa.Connection, number: int, by: Actor, act: Act) -> Application:
        one = store.application(connection, number)
        if not _sees(by, one.concerns):
            raise unknown("application", number)
        party = MAY[act].get(one.state)
        parties = {party} if party is not None else set(MAY[act].values())
        if not any(one.is_party(each, by) for each in parties):
            raise wrong_right(by.id, by.department, *WHO[min(parties)])
        if party is None:
            raise wrong_state("application", number, one.state, MAY[act])
        return one

    def _conforming(self, subject: str, asked: Terms, day: date) -> Subject:
        known = self.subjects.get(subject)
        if known is None:
            raise no_subject(subject)
        conform(asked, known.standard)
        self.lasting(asked.until, day)
        return known

    def lasting(self, until: str, day: date) -> None:
        """SHR-UNTIL for a last day that is over, or farther away than the policy lets grants last."""
        most = self.latest(day)
        if not day.isoformat() <= until <= most.isoformat():
            raise wrong_until(until, day, most)

    def latest(self, day: date) -> date:
        """The last day that a grant may be given on `day` for."""
        return day + timedelta(days=self.clocks.policy.longest)

    def _renewable(  # noqa: PLR0917 - what is renewed, by whom
        self, connection: sa.Connection, grant: str, by: Actor, subject: str, client: str | None, day: date
    ) -> str | None:
        found = store.newest(connection, grant)
        if not found or found[0].department != by.department or found[0].subject != subject:
            raise unknown("grant", grant)
        if found[0].state == "revoked":
            raise wrong_state("grant", grant, "revoked", ("active", "suspended"))
        if str(found[0].terms["until"]) < day.isoformat():
            raise ended(grant)
        if client not in {None, found[0].client}:
            raise wrong_terms("续期不能改换应用", "a renewal is for the same client")
        return found[0].client

    def _automatic(self, connection: sa.Connection, one: Application, at: datetime) -> Application:
        if one.sharing != "U":
            return one
        return self._grant(connection, one, from_json(one.asked), AUTOMATIC, "无条件共享 | unconditional", at)

    def _grant(  # noqa: PLR0917 - who grants what to whom, when and why
        self, connection: sa.Connection, one: Application, terms: Terms, by: Actor, why: str, at: datetime
    ) -> Application:
        known = self.subjects.get(one.subject)
        if known is None:
            raise no_subject(one.subject)
        grantable(terms, known.standard)
        self.lasting(terms.until, day_of(at))
        name = one.grant or one.renews or f"app:{one.id}"
        before = store.newest(connection, name)
        if before and before[0].state == "revoked":
            raise wrong_state("grant", name, "revoked", ("active", "suspended"))
        if before:
            event = "renewed" if one.renews else "widened"
            made = store.next_version(before[0], event, by, why, at, terms)
            store.issue(connection, replace(made, matter=f"{one.matter_code} {one.matter}", basis=one.basis))
        else:
            store.issue(connection, GrantVersion(
                id=name, version=1, application=one.id, department=one.department, client=one.client,
                subject=one.subject, provider=one.provider, matter=f"{one.matter_code} {one.matter}", basis=one.basis,
                terms=terms.as_json(), state="active", event="issued", at=written(at), who=by.id, why=why,
            ))  # fmt: skip
        new = clock("approved", self.clocks.due("delivery", day_of(at)))
        done = moved(connection, one, "approved", by, why, at, new | {"granted": terms.as_json(), "grant": name})
        if not known.served:
            return done
        return moved(connection, done, "delivered", AUTOMATIC, "", at, clock("delivered", None))

    def _stands(  # noqa: PLR0917 - what ended the dispute, by whom, when and why
        self, connection: sa.Connection, one: Application, event: str, by: Actor, why: str, at: datetime,
        basis: str | None = None,
    ) -> Application:  # fmt: skip
        before = one.disputed_from or "refused"
        due = self.clocks.goes_on(one.left, day_of(at)) if before == "approved" and one.left is not None else None
        return moved(connection, one, event, by, why, at, clock(before, due), basis)


def _sees(viewer: Actor | None, concerns: Callable[[str], bool]) -> bool:
    return viewer is None or "data_manager" in viewer.roles or concerns(viewer.department)


def _purpose(said: Purpose, day: date) -> Purpose:
    code, matter = said.matter_code.strip(), words(said.matter, _MATTER, day)
    if not _CODE.fullmatch(code):
        raise wrong_purpose(
            "事项编码应为 6 至 64 位字母、数字或 -", "the matter's code is 6 to 64 letters, digits or -"
        )
    if len(matter) > LONGEST_MATTER:
        raise wrong_purpose(
            f"事项名称不超过 {LONGEST_MATTER} 字", f"the matter's name has up to {LONGEST_MATTER} signs"
        )
    return Purpose(code, matter, words(said.basis, _BASIS, day))
