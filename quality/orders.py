"""Turn what checks find into work orders 质量工单 to the source department, and close them by the next good batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime

import sqlalchemy as sa

from quality.orders_findings import Checked, Finding, waiting
from quality.orders_refusals import may_waive, no_order, plain_words, wrong_right, wrong_state
from quality.orders_tables import APPLIED, ORDER, STEP
from quality.orders_values import (
    DATA_MANAGER,
    DRIFT,
    LEAD,
    LIVE,
    SYSTEM,
    Actor,
    Escalation,
    Event,
    Order,
    OrderPolicy,
    State,
    Step,
    day_of,
    written,
)
from schemas.calendar import Calendar

_ORDER = [column for column in ORDER.columns if column.name != "open_key"]


class QualityOrders:
    """The orders of one state database; terms are counted in the working days of `calendar`.

    Every method that changes something is one transaction, and no two of them overlap for one resource, over all
    processes. Times come in as values with their offset.
    """

    def __init__(self, engine: sa.Engine, calendar: Calendar) -> None:
        self._engine, self._calendar = engine, calendar

    # checks

    def settle(
        self, resource: str, policy: OrderPolicy, at: datetime, rules: Mapping[str, str] | None = None
    ) -> list[Order]:
        """Turn every check of a resource that has not been turned into orders yet; returns the orders it moved.

        A rule that failed opens an order, or is counted on the one that is open. A rule that was evaluated over all
        batches of a run without a violating row verifies and closes its order, with the run that proves it. A rule
        that could not be evaluated does neither. `rules` are those of the resource as its files have them now, with
        their severities (None: not known): an order about another, or about one that makes no orders any more, is
        withdrawn. Called again it changes nothing; a check whose process died before
        this call is made up for by the next one.
        """
        with self._alone(resource) as connection:
            latest = sa.select(sa.func.max(APPLIED.c.checked_at)).where(APPLIED.c.resource == resource)
            moved = dict.fromkeys(_withdraw(connection, resource, policy, rules, at)) if rules is not None else {}
            for checked in waiting(connection, resource):
                newest = connection.execute(latest).scalar()
                stale = newest is not None and checked.at < newest
                if not (stale and checked.repeated):
                    for finding in checked.findings:
                        if finding.kind == "rule" and not _counts(finding.rule, policy, rules):
                            continue
                        moved |= dict.fromkeys(self._weigh(connection, resource, policy, checked, finding, at, stale))
                _mark_applied(connection, resource, checked)
            return [_order(connection, one) for one in moved]

    def _weigh(  # noqa: PLR0917 - what was found where, and what counts
        self,
        connection: sa.Connection,
        resource: str,
        policy: OrderPolicy,
        checked: Checked,
        finding: Finding,
        at: datetime,
        stale: bool,  # noqa: FBT001 - as above
    ) -> Iterator[int]:
        order = _live(connection, resource, finding.rule)
        if finding.failed and order is not None:
            self._again(connection, order, policy, checked, finding, at, stale)
            yield order.id
        elif finding.failed and policy.least is not None and (finding.kind == "held" or policy.wants(finding.severity)):
            yield self._open(connection, resource, policy, checked.department, checked.run, checked.at, finding, at)
        elif finding.good and order is not None and not stale:
            _close(connection, order, checked.run, at)
            yield order.id

    def drifted(  # noqa: PLR0917 - where, what and how, in the order they are said
        self, resource: str, department: str, policy: OrderPolicy, run: str, zh: str, en: str, at: datetime
    ) -> Order | None:
        """Open the order about a source whose columns changed, or count it again; None where the policy wants none."""
        finding = Finding(DRIFT, "drift", "error", 0, failed=True, good=False, zh=zh, en=en, batch="")
        checked = Checked(run, department, written(at), (finding,), (), repeated=False)
        with self._alone(resource) as connection:
            made = [*self._weigh(connection, resource, policy, checked, finding, at, stale=False)]
            return _order(connection, made[0]) if made else None

    def drift_over(self, resource: str, run: str, at: datetime) -> Order | None:
        """Close the order about changed columns: `run` read the source as it should be. None when there is none."""
        with self._alone(resource) as connection:
            order = _live(connection, resource, DRIFT)
            if order is None:
                return None
            _close(connection, order, run, at)
            return _order(connection, order.id)

    def _open(  # noqa: PLR0917 - as above
        self,
        connection: sa.Connection,
        resource: str,
        policy: OrderPolicy,
        department: str,
        run: str,
        seen_at: str,
        finding: Finding,
        at: datetime,
    ) -> int:
        same = sa.and_(ORDER.c.resource == resource, ORDER.c.rule == finding.rule)
        previous = connection.execute(sa.select(sa.func.max(ORDER.c.id)).where(same)).scalar()
        days = policy.days[finding.severity]
        values = {
            "resource": resource, "department": department, "rule": finding.rule, "kind": finding.kind,
            "severity": finding.severity, "state": "open", "zh": finding.zh, "en": finding.en,
            "opened_at": written(at), "due": self._calendar.after(day_of(at), days).isoformat(), "days": days,
            "assignee": "", "rows": finding.rows, "recurrences": 0, "first_run": run, "first_batch": finding.batch,
            "last_run": run, "last_batch": finding.batch, "last_seen_at": seen_at, "escalated": 0,
            "previous": previous, "open_key": f"{resource}\n{finding.rule}",
        }  # fmt: skip
        made: int = connection.execute(sa.insert(ORDER).values(**values).returning(ORDER.c.id)).scalar_one()
        _step(connection, made, at, "reopened" if previous else "opened", None, "open", run=run)
        return made

    def _again(  # noqa: PLR0917 - as above
        self,
        connection: sa.Connection,
        order: Order,
        policy: OrderPolicy,
        checked: Checked,
        finding: Finding,
        at: datetime,
        stale: bool,  # noqa: FBT001 - as above
    ) -> None:
        new: dict[str, object] = {"recurrences": order.recurrences + (order.last_run != checked.run)}
        if not stale:
            new |= {"rows": finding.rows, "last_run": checked.run, "last_batch": finding.batch}
            new |= {"last_seen_at": checked.at, "zh": finding.zh, "en": finding.en}
        if finding.severity == "error" != order.severity:
            days = policy.days["error"]
            sooner = self._calendar.after(day_of(at), days).isoformat()
            new |= {"severity": "error", "days": days, "due": min(order.due, sooner)}
        if order.state == "answered" and checked.at > _answered_at(connection, order.id):
            back: State = "assigned" if order.assignee else "open"
            new |= {"state": back, "answer_until": None}
            _step(connection, order.id, at, "failed_again", order.state, back, run=checked.run)
        _change(connection, order.id, new)

    # time

    def tick(self, policies: Mapping[str, OrderPolicy], at: datetime) -> list[Escalation]:
        """Do what the clock asks for: waivers that have run out end, overdue orders go one level up, each level once.

        `policies` by resource; a resource that is not named has the usual one.
        """
        today = day_of(at)
        with self._reading() as connection:
            late = sa.or_(
                sa.and_(ORDER.c.state == "waived", ORDER.c.waived_until < today.isoformat()),
                sa.and_(ORDER.c.state.in_(LIVE), ORDER.c.due < today.isoformat()),
            )
            due = connection.execute(sa.select(ORDER.c.id, ORDER.c.resource).where(late).order_by(ORDER.c.id)).all()
        escalations: list[Escalation] = []
        for order_id, resource in due:
            with self._alone(resource) as connection:
                order = _order(connection, order_id)
                if order.state == "waived" and (order.waived_until or "") < today.isoformat():
                    self._end_waiver(connection, order, at)
                elif order.overdue(today):
                    made = self._escalate(connection, order, policies.get(resource, OrderPolicy()), at)
                    escalations += [] if made is None else [made]
        return escalations

    def _end_waiver(self, connection: sa.Connection, order: Order, at: datetime) -> None:
        back: State = "assigned" if order.assignee else "open"
        due = self._calendar.after(day_of(at), order.days).isoformat()
        _change(connection, order.id, {"state": back, "waived_until": None, "due": due, "escalated": 0})
        _step(connection, order.id, at, "waiver_ended", order.state, back)

    def _escalate(
        self, connection: sa.Connection, order: Order, policy: OrderPolicy, at: datetime
    ) -> Escalation | None:
        late = self._calendar.between(order.term, day_of(at))
        level = order.escalated + 1
        if level > len(policy.escalate_to) or late < 1 + (level - 1) * policy.escalate_after:
            return None
        to = policy.escalate_to[level - 1]
        _change(connection, order.id, {"escalated": level})
        _step(connection, order.id, at, "escalated", order.state, order.state, why=f"{level} → {to}")
        return Escalation(_order(connection, order.id), level, to)

    # people

    def assign(self, order_id: int, to: Actor, by: Actor, why: str, at: datetime) -> Order:
        """Give an order to a person of the department; by its lead or a data manager."""
        with self._acting(order_id) as (connection, order):
            if not (DATA_MANAGER in by.roles or (LEAD in by.roles and by.department == order.department)):
                raise wrong_right(order, by, "assign")
            if order.state not in LIVE:
                raise wrong_state(order, "assign")
            if to.department != order.department:
                raise wrong_right(order, to, "receive")
            state: State = "answered" if order.state == "answered" else "assigned"
            _change(connection, order.id, {"state": state, "assignee": to.id})
            words = f"→ {to.id}" + (f": {plain_words(why, day_of(at))}" if why else "")
            _step(connection, order.id, at, "assigned", order.state, state, who=by.id, why=words)
            return _order(connection, order.id)

    def answer(self, order_id: int, by: Actor, why: str, at: datetime) -> Order:
        """Say what the department did; the order waits for the batch that proves it, as long as its term was."""
        with self._acting(order_id) as (connection, order):
            if not (by.department == order.department or DATA_MANAGER in by.roles):
                raise wrong_right(order, by, "answer")
            if order.state not in LIVE:
                raise wrong_state(order, "answer")
            words = plain_words(why, day_of(at))
            until = order.answer_until or self._calendar.after(day_of(at), order.days).isoformat()
            _change(connection, order.id, {"state": "answered", "answer_until": until})
            _step(connection, order.id, at, "answered", order.state, "answered", who=by.id, why=words)
            return _order(connection, order.id)

    def waive(self, order_id: int, by: Actor, why: str, until: date, at: datetime) -> Order:
        """Let an order rest until a day, for a reason; by a data manager. It comes back when the day has passed."""
        with self._acting(order_id) as (connection, order):
            if DATA_MANAGER not in by.roles:
                raise wrong_right(order, by, "waive")
            if order.state not in (*LIVE, "waived"):
                raise wrong_state(order, "waive")
            may_waive(until, day_of(at))
            words = f"{until.isoformat()}: {plain_words(why, day_of(at))}"
            _change(
                connection,
                order.id,
                {"state": "waived", "waived_until": until.isoformat(), "answer_until": None},
            )
            _step(connection, order.id, at, "waived", order.state, "waived", who=by.id, why=words)
            return _order(connection, order.id)

    # looking

    def order(self, order_id: int) -> Order:
        """One order; QUA-ORDER-UNKNOWN when there is none of that number."""
        with self._reading() as connection:
            return _order(connection, order_id)

    def orders(
        self,
        resource: str | None = None,
        department: str | None = None,
        states: Collection[State] | None = None,
        limit: int = 1000,
    ) -> list[Order]:
        """The orders asked for, the earliest due first, at most `limit`; `states` None: all of them."""
        query = sa.select(*_ORDER).order_by(ORDER.c.due, ORDER.c.id).limit(limit)
        if resource is not None:
            query = query.where(ORDER.c.resource == resource)
        if department is not None:
            query = query.where(ORDER.c.department == department)
        if states is not None:
            query = query.where(ORDER.c.state.in_(states))
        with self._reading() as connection:
            return [Order(**row) for row in connection.execute(query).mappings()]

    def overdue(self, at: datetime) -> list[Order]:
        """The orders whose term has passed, the longest overdue first."""
        return [one for one in self.orders(states=LIVE, limit=10**6) if one.overdue(day_of(at))]

    def history(self, order_id: int) -> list[Step]:
        """Every step an order took, from its opening on."""
        with self._reading() as connection:
            rows = connection.execute(sa.select(STEP).where(STEP.c.order == order_id).order_by(STEP.c.id)).mappings()
            return [Step(**row) for row in rows]

    # below: how it is done

    @contextmanager
    def _alone(self, resource: str) -> Iterator[sa.Connection]:
        """A transaction that no other one of ours overlaps for this resource; SQLite has one writer anyway."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                key = sa.func.hashtextextended(f"quality_order {resource}", 0)
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
            yield connection

    @contextmanager
    def _acting(self, order_id: int) -> Iterator[tuple[sa.Connection, Order]]:
        resource = self.order(order_id).resource
        with self._alone(resource) as connection:
            yield connection, _order(connection, order_id)

    def _reading(self) -> sa.Connection:
        # The state database's SQLite engine locks for writing at BEGIN unless it is told.
        return self._engine.execution_options(reading=True).connect()


def _order(connection: sa.Connection, order_id: int) -> Order:
    row = connection.execute(sa.select(*_ORDER).where(ORDER.c.id == order_id)).mappings().first()
    if row is None:
        raise no_order(order_id)
    return Order(**row)


def _live(connection: sa.Connection, resource: str, rule: str) -> Order | None:
    row = connection.execute(sa.select(*_ORDER).where(ORDER.c.open_key == f"{resource}\n{rule}")).mappings().first()
    return None if row is None else Order(**row)


def _change(connection: sa.Connection, order_id: int, new: Mapping[str, object]) -> None:
    connection.execute(sa.update(ORDER).where(ORDER.c.id == order_id).values(**new))


def _step(  # noqa: PLR0917 - from which state to which, when and by what
    connection: sa.Connection,
    order_id: int,
    at: datetime,
    event: Event,
    before: State | None,
    state: State,
    *,
    who: str = SYSTEM,
    why: str = "",
    run: str | None = None,
) -> None:
    said = {"order": order_id, "at": written(at), "event": event, "before": before, "state": state}
    connection.execute(sa.insert(STEP).values(**said, who=who, why=why, run=run))


def _close(connection: sa.Connection, order: Order, run: str, at: datetime) -> None:
    _step(connection, order.id, at, "verified", order.state, "verified", run=run)
    _step(connection, order.id, at, "closed", "verified", "closed", run=run)
    said = {"state": "closed", "open_key": None, "proven_by": run, "closed_at": written(at), "waived_until": None}
    _change(connection, order.id, said)


def _withdraw(
    connection: sa.Connection, resource: str, policy: OrderPolicy, rules: Mapping[str, str], at: datetime
) -> Iterator[int]:
    """Close the orders about rules that the files of the resource do not have any more, or not as a cause of orders."""
    live = sa.and_(ORDER.c.resource == resource, ORDER.c.kind == "rule", ORDER.c.open_key.is_not(None))
    for row in connection.execute(sa.select(*_ORDER).where(live).order_by(ORDER.c.id)).mappings().all():
        order = Order(**row)
        if not _counts(order.rule, policy, rules):
            _step(connection, order.id, at, "withdrawn", order.state, "closed", why=rules.get(order.rule, ""))
            said = {"state": "closed", "open_key": None, "closed_at": written(at), "waived_until": None}
            _change(connection, order.id, said)
            yield order.id


def _counts(rule: str, policy: OrderPolicy, rules: Mapping[str, str] | None) -> bool:
    return rules is None or (rule in rules and policy.wants(rules[rule]))


def _answered_at(connection: sa.Connection, order_id: int) -> str:
    last = sa.select(sa.func.max(STEP.c.at)).where(STEP.c.order == order_id, STEP.c.event == "answered")
    return connection.execute(last).scalar() or ""


def _mark_applied(connection: sa.Connection, resource: str, checked: Checked) -> None:
    for run, checked_at, digest in checked.news:
        connection.execute(sa.delete(APPLIED).where(APPLIED.c.resource == resource, APPLIED.c.run == run))
        said = {"resource": resource, "run": run, "checked_at": checked_at, "digest": digest}
        connection.execute(sa.insert(APPLIED).values(**said))
