"""Real batches of a small deployment become orders and close them; the database may be PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from small_deployment import add_resource, csv_source, drop, firm, lay_out, opened, write_small_standard

from infra.testing import postgres
from quality.orders import QualityOrders
from quality.orders_values import HELD, OrderPolicy
from runs.alarms.conditions import Condition
from runs.alarms.people import Directory, Person
from runs.alarms.store import Alarms
from runs.alarms.values import written
from runs.alarms.watch import Watch, look
from schemas.calendar import Calendar
from warehouse.state import State
from warehouse.state.streams import Streams

FIRMS = "scjg.firms"
NOW = datetime(2026, 9, 1, 9, tzinfo=timezone(timedelta(hours=8)))


def run(wired, name: str, home: Path, rows) -> list:
    """Pull, check, land one file; the orders there are then."""
    drop(home, f"{name}.csv", rows)
    wired.steps.ingest(FIRMS, name)
    return wired.orders.orders(FIRMS)


def test_a_wrong_batch_opens_orders_and_the_corrected_one_closes_them(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=write_small_standard(home), more="orders: {days: {error: 3}}\n")
    good = [firm(number) for number in range(20)]
    with opened(home) as wired:
        (order,) = run(wired, "r1", home, [*good, ["91330300MA00000000", "错码", "2024-01-01", "杭州"]])
        assert (order.rule, order.rows, order.department) == ("uscc_check", 1, "scjg")
        opened_on = datetime.fromisoformat(order.opened_at).date()
        assert order.due == Calendar().after(opened_on, 3).isoformat()
        (held,) = [one for one in run(wired, "r2", home, [["", "", "", ""]] * 3) if one.kind == "held"]
        assert held.rule == HELD
        assert {one.state for one in wired.orders.orders(FIRMS)} == {"open"}
        run(wired, "r3", home, good[:5])
        assert {(one.state, one.proven_by) for one in wired.orders.orders(FIRMS)} == {("closed", "r3")}


@pytest.fixture(scope="module")
def state():
    with postgres.running() as server:
        found = State(server.url())
        found.migrate()
        yield found
        found.close()


def test_on_postgresql_alarms_begin_are_sent_once_and_end(state):
    taken: list[tuple[str, str]] = []

    class Postman:
        def send(self, message, person):
            taken.append((person.id, message.what))

        def close(self):
            pass

    wang = Person("wang", "王", "scjg", frozenset(), "w@example.gov.cn", None, "zh", ("drifting",), ("*",))
    alarms = Alarms(state.engine)
    condition = Condition("drifting", FIRMS, "scjg", "企业", "Firms", written(NOW), "变", "changed", "问", "ask")
    for _ in range(2):
        alarms.see([condition], Directory((wang,)), NOW)
    watch = Watch(
        state.engine, (), QualityOrders(state.engine, Calendar()), alarms, Directory((wang,)), {"mail": Postman()}
    )
    Streams(state.engine).record(FIRMS, "r1", {"a": "text"}, [], accepted=True)
    watch.orders.drifted(FIRMS, "scjg", OrderPolicy(), "r1", "变", "changed", NOW)
    for minutes in range(3):
        done = look(watch, lambda minutes=minutes: NOW + timedelta(minutes=minutes))
    assert done.conditions == ()
    assert taken == [("wang", "begin"), ("wang", "recovery")]
    assert alarms.lasting() == []
    assert [one.ended_at is not None for one in alarms.history()] == [True]
