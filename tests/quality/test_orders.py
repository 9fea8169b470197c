"""Findings become orders, and the next good batch closes them: never a click, never a rule that was not evaluated."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from orders_office import CHIEF, CLERK, MANAGER, POLICY, RESOURCE, STRANGER, Office, at, verdict

from quality.errors import QualityError
from quality.orders_policy import read_order_policy
from quality.orders_tables import METADATA
from quality.orders_values import DRIFT, HELD, OrderPolicy
from schemas.errors import StandardError
from schemas.lines import read


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A migrated database without anything in it, to be copied."""
    path = tmp_path_factory.mktemp("orders") / "state.db"
    Office(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def office(tmp_path, empty):
    shutil.copy(empty, tmp_path / "state.db")
    made = Office(f"sqlite:///{tmp_path}/state.db", migrated=True)
    yield made
    made.close()


def test_a_violated_rule_opens_one_order_that_counts_recurrences(office):
    (order,) = office.check("r1", at(1), code=3)
    assert (order.rule, order.severity, order.state, order.rows, order.recurrences) == ("code", "error", "open", 3, 0)
    assert (order.department, order.first_run, order.first_batch) == ("scjg", "r1", "batch-r1")
    assert (order.zh, order.en) == ("代码校验", "The code's check digit")
    (again,) = office.check("r2", at(2), code=5)
    assert (again.id, again.rows, again.recurrences, again.last_run) == (order.id, 5, 1, "r2")
    assert office.path(order) == ["opened"]


def test_the_term_is_counted_in_working_days(office):
    (order,) = office.check("r1", at(28), code=1)  # Monday; the National Day's week lies between
    assert order.due == "2026-10-10"  # a Saturday that is worked
    assert not order.overdue(date(2026, 10, 10))
    assert order.overdue(date(2026, 10, 11))


def test_settling_a_check_again_changes_nothing(office):
    office.check("r1", at(1), code=3)
    office.check("r2", at(2), code=3)
    before = office.orders.orders()
    assert office.orders.settle(RESOURCE, POLICY, at(3)) == []
    assert office.orders.orders() == before


def test_checks_whose_process_died_are_made_up_for_by_the_next_in_order(office):
    office.record("r1", at(1), code=3)
    office.record("r2", at(2), code=0)
    office.record("r3", at(3), code=4)
    office.check("r4", at(4), code=0)
    first, second = sorted(office.orders.orders(), key=lambda one: one.id)
    assert (first.first_run, first.proven_by, second.first_run, second.proven_by) == ("r1", "r2", "r3", "r4")
    assert second.previous == first.id


def test_the_next_good_batch_verifies_and_closes_with_the_run_that_proves_it(office):
    (order,) = office.check("r1", at(1), code=3)
    (closed,) = office.check("r2", at(2), code=0)
    assert (closed.id, closed.state, closed.proven_by) == (order.id, "closed", "r2")
    assert [(one.event, one.before, one.state, one.run) for one in office.orders.history(order.id)] == [
        ("opened", None, "open", "r1"),
        ("verified", "open", "verified", "r2"),
        ("closed", "verified", "closed", "r2"),
    ]


def test_a_rule_that_was_not_evaluated_neither_opens_nor_closes(office):
    assert office.check("r1", at(1), verdict(errors=("code",))) == []
    (order,) = office.check("r2", at(2), code=1)
    assert office.check("r3", at(3), verdict(errors=("code",))) == []
    assert office.check("r4", at(4), verdict("pass", rows=0)) == []
    assert office.orders.order(order.id).state == "open"


def test_a_rule_that_fails_after_closing_opens_a_new_order_linked_to_the_old(office):
    (first,) = office.check("r1", at(1), code=3)
    office.check("r2", at(2))
    (second,) = office.check("r3", at(3), code=1)
    assert (second.previous, second.state, second.recurrences) == (first.id, "open", 0)
    assert second.id != first.id
    assert office.path(second) == ["reopened"]


def test_warnings_make_orders_only_where_the_policy_wants_them(office):
    assert office.check("r1", at(1), case=9) == []
    (order,) = office.check("r2", at(2), policy=OrderPolicy(least="warning"), case=9)
    assert (order.severity, order.due) == ("warning", "2026-09-30")  # Sunday 20 September is worked, 25 is off
    assert office.check("r3", at(3), policy=OrderPolicy(least=None), code=9, case=1) == office.live()


def test_an_order_about_a_rule_that_was_withdrawn_or_makes_no_orders_any_more_ends(office):
    office.check("r1", at(1), code=1, name=2)
    office.record("r2", at(2), verdict(errors=("code",), name=2))
    moved = office.orders.settle(RESOURCE, POLICY, at(2), {"code": "error", "name": "info"})
    assert [(one.rule, one.state, one.proven_by) for one in moved] == [("name", "closed", None)]
    (left,) = office.live()
    assert left.rule == "code"
    assert [one.rule for one in office.orders.settle(RESOURCE, POLICY, at(3), {"name": "error"})] == ["code"]
    assert [one.event for one in office.orders.history(left.id)] == ["opened", "withdrawn"]


def test_a_held_batch_is_an_order_until_a_batch_is_let_through(office):
    (order,) = office.check("r1", at(1), verdict("hold"))
    assert (order.rule, order.kind, order.severity, order.rows) == (HELD, "held", "error", 10)
    assert order.zh == "整批挂起：有因"
    (closed,) = office.check("r2", at(2), verdict("pass"))
    assert (closed.id, closed.state) == (order.id, "closed")


def test_the_batches_of_one_run_count_together(office):
    office.record("r1", at(1), code=2)
    office.record("r1#2", at(1, 10), code=0)
    office.record("r1#3", at(1, 11), code=5)
    (order,) = office.orders.settle(RESOURCE, POLICY, at(1, 12))
    assert (order.rows, order.recurrences, order.last_run, order.last_batch) == (7, 0, "r1", "batch-r1#3")
    office.record("r2", at(2), code=0)
    office.record("r2#2", at(2, 10), code=1)
    (same,) = office.orders.settle(RESOURCE, POLICY, at(2, 12))
    assert (same.id, same.state, same.recurrences) == (order.id, "open", 1)


def test_a_run_of_many_batches_is_good_only_as_a_whole(office):
    (order,) = office.check("r1", at(1), code=1)
    for number in range(1, 61):
        office.record("r2" if number == 1 else f"r2#{number}", at(2), code=number == 60)
    (same,) = office.orders.settle(RESOURCE, POLICY, at(3))
    assert (same.id, same.state, same.last_batch) == (order.id, "open", "batch-r2#60")


def test_a_check_that_was_overtaken_long_ago_is_nobodys_any_more(office):
    office.check("r2", at(20))
    assert office.check("r1", at(1), code=1) == []


def test_a_check_repeated_with_another_result_counts_by_what_it_says_now(office):
    (order,) = office.check("r1", at(1), code=3)
    office.check("r1", at(1), code=0)  # its batch was held, a rule changed, it was checked again
    assert office.orders.order(order.id).state == "closed"


def test_an_older_check_repeated_after_a_newer_one_is_no_news(office):
    office.check("r1", at(1))
    office.check("r2", at(2))
    assert office.check("r1", at(1), code=3) == []


def test_an_older_check_that_comes_late_closes_nothing_but_its_findings_count(office):
    (order,) = office.check("r2", at(2), code=2)
    assert office.check("r1", at(1)) == []
    assert office.orders.order(order.id).state == "open"
    office.check("r3", at(3))
    (late,) = office.check("r1#2", at(1, 10), code=1)
    assert (late.previous, late.state) == (order.id, "open")


def test_an_answer_waits_for_proof_and_falls_back_when_the_rule_fails_again(office):
    (order,) = office.check("r1", at(1), code=3)
    office.orders.assign(order.id, CLERK, CHIEF, "请核对", at(2))
    answered = office.orders.answer(order.id, CLERK, "已在登记系统中更正三户", at(7))
    assert (answered.state, answered.due, answered.answer_until) == ("answered", "2026-09-08", "2026-09-14")
    assert not answered.overdue(date(2026, 9, 14))
    assert answered.overdue(date(2026, 9, 15))
    (back,) = office.check("r2", at(9), code=2)
    assert (back.state, back.answer_until, back.assignee) == ("assigned", None, "wang")
    assert back.overdue(date(2026, 9, 9))
    office.orders.answer(order.id, CLERK, "再次更正", at(9, 10))
    (closed,) = office.check("r3", at(10))
    assert closed.state == "closed"
    assert office.path(order) == ["opened", "assigned", "answered", "failed_again", "answered", "verified", "closed"]
    assert [one.who for one in office.orders.history(order.id)][1:4] == ["li", "wang", "system"]


def test_answering_again_does_not_put_off_the_term(office):
    (order,) = office.check("r1", at(1), code=3)
    first = office.orders.answer(order.id, CLERK, "已更正", at(7))
    again = office.orders.answer(order.id, CLERK, "真的已更正", at(11))
    assert again.answer_until == first.answer_until


def test_a_check_of_before_the_answer_does_not_send_it_back(office):
    (order,) = office.check("r1", at(1), code=3)
    office.orders.answer(order.id, CLERK, "已更正", at(3))
    office.record("r2", at(2), code=3)
    office.orders.settle(RESOURCE, POLICY, at(4))
    assert office.orders.order(order.id).state == "answered"


def test_a_waived_order_rests_until_its_day_and_then_comes_back(office):
    (order,) = office.check("r1", at(1), code=3)
    waived = office.orders.waive(order.id, MANAGER, "系统迁移中", date(2026, 9, 18), at(2))
    assert (waived.state, waived.waived_until) == ("waived", "2026-09-18")
    (same,) = office.check("r2", at(15), code=4)
    assert (same.id, same.state, same.recurrences) == (order.id, "waived", 1)
    assert office.orders.tick({}, at(18)) == []
    assert office.orders.order(order.id).state == "waived"
    assert office.orders.tick({}, at(19)) == []
    back = office.orders.order(order.id)
    assert (back.state, back.due, back.waived_until) == ("open", "2026-09-24", None)


def test_a_good_batch_closes_a_waived_order_too(office):
    (order,) = office.check("r1", at(1), code=3)
    office.orders.waive(order.id, MANAGER, "系统迁移中", date(2026, 9, 18), at(2))
    office.check("r2", at(3))
    assert office.orders.order(order.id).state == "closed"


def test_an_overdue_order_goes_up_once_per_level(office):
    (order,) = office.check("r1", at(1), code=3)  # due Tuesday 8 September
    told = []
    for day in range(1, 31):
        for hour in (8, 20):
            told += [(day, one.level, one.to) for one in office.orders.tick({RESOURCE: POLICY}, at(day, hour))]
    assert told == [(9, 1, "lead"), (16, 2, "data_manager")]
    assert office.orders.order(order.id).escalated == 2
    assert [one.id for one in office.orders.overdue(at(30))] == [order.id]
    assert office.path(order) == ["opened", "escalated", "escalated"]


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda o, i: o.assign(i, CLERK, STRANGER, "", at(2)), "QUA-ORDER-RIGHT"),
        (lambda o, i: o.assign(i, CLERK, CLERK, "", at(2)), "QUA-ORDER-RIGHT"),
        (lambda o, i: o.assign(i, STRANGER, MANAGER, "", at(2)), "QUA-ORDER-RIGHT"),
        (lambda o, i: o.answer(i, STRANGER, "已更正", at(2)), "QUA-ORDER-RIGHT"),
        (lambda o, i: o.answer(i, CLERK, "  ", at(2)), "QUA-ORDER-WORDS"),
        (lambda o, i: o.answer(i, CLERK, "是11010519491231002x这个人", at(2)), "QUA-ORDER-WORDS"),
        (lambda o, i: o.waive(i, CHIEF, "忙", date(2026, 9, 9), at(2)), "QUA-ORDER-RIGHT"),
        (lambda o, i: o.waive(i, MANAGER, "忙", date(2026, 9, 2), at(2)), "QUA-ORDER-UNTIL"),
        (lambda o, i: o.waive(i, MANAGER, "忙", date(2036, 9, 2), at(2)), "QUA-ORDER-UNTIL"),
        (lambda o, i: o.waive(i, MANAGER, "", date(2026, 9, 9), at(2)), "QUA-ORDER-WORDS"),
        (lambda o, i: o.answer(i + 1, CLERK, "已更正", at(2)), "QUA-ORDER-UNKNOWN"),
    ],
)
def test_what_nobody_may_do_is_refused_and_leaves_no_trace(office, act, code):
    (order,) = office.check("r1", at(1), code=3)
    with pytest.raises(QualityError) as caught:
        act(office.orders, order.id)
    assert caught.value.code == code
    assert office.orders.order(order.id) == order
    assert office.path(order) == ["opened"]


@pytest.mark.parametrize(
    "act",
    [
        lambda o, i: o.assign(i, CLERK, CHIEF, "", at(5)),
        lambda o, i: o.answer(i, CLERK, "已更正", at(5)),
        lambda o, i: o.waive(i, MANAGER, "忙", date(2026, 9, 9), at(5)),
    ],
)
def test_a_closed_order_stays_closed(office, act):
    (order,) = office.check("r1", at(1), code=3)
    office.check("r2", at(2))
    with pytest.raises(QualityError, match="QUA-ORDER-STATE"):
        act(office.orders, order.id)


def test_a_source_whose_columns_changed_is_an_order_until_it_reads_again(office):
    said = (RESOURCE, "scjg", POLICY)
    order = office.orders.drifted(*said, "r1", "缺少列 uscc", "column uscc is missing", at(1))
    again = office.orders.drifted(*said, "r2", "缺少列 uscc", "column uscc is missing", at(2))
    assert (order.rule, order.kind, again.id, again.recurrences) == (DRIFT, "drift", order.id, 1)
    closed = office.orders.drift_over(RESOURCE, "r3", at(3))
    assert (closed.state, closed.proven_by) == ("closed", "r3")
    assert office.orders.drift_over(RESOURCE, "r4", at(4)) is None


def test_a_warning_that_became_an_error_is_due_sooner(office):
    (order,) = office.check("r1", at(1), policy=OrderPolicy(least="warning"), case=9)
    graver = verdict(case=9)
    counts = tuple(
        one.__class__(one.rule, "error", one.rows, one.evaluated) if one.rule == "case" else one
        for one in graver.counts
    )
    office.check("r2", at(2), graver.__class__(10, counts, graver.violations, graver.quarantine, "warn", "", "", {}))
    now = office.orders.order(order.id)
    assert (now.severity, now.due, now.days) == ("error", "2026-09-09", 5)


def test_orders_are_listed_the_earliest_due_first_by_resource_department_and_state(office):
    office.check("r1", at(2), policy=OrderPolicy(least="warning"), code=1, case=1)
    office.record("r1", at(3), resource="swj.taxes", name=1)
    office.orders.settle("swj.taxes", POLICY, at(3))
    assert [one.rule for one in office.orders.orders()] == ["code", "name", "case"]
    assert [one.rule for one in office.orders.orders(RESOURCE)] == ["code", "case"]
    assert office.orders.orders(states=("closed",)) == []
    assert office.orders.orders(department="mzj") == []
    assert len(office.orders.orders(limit=1)) == 1


@pytest.mark.parametrize("statement", ["UPDATE quality_order_step SET who = 'x'", "DELETE FROM quality_order_step"])
def test_the_history_is_only_ever_added_to(office, statement):
    office.check("r1", at(1), code=1)
    with pytest.raises(sa.exc.IntegrityError, match="only ever added to"), office.engine.begin() as connection:
        connection.execute(sa.text(statement))


def test_the_migration_makes_the_tables_that_orders_use(office):
    inspector = sa.inspect(office.engine)
    for name, table in METADATA.tables.items():
        made = {column["name"]: column["nullable"] for column in inspector.get_columns(name)}
        assert made == {column.name: column.nullable for column in table.columns}
        assert {one["name"] for one in inspector.get_indexes(name)} == {one.name for one in table.indexes}


def policy_of(path: Path, text: str) -> OrderPolicy:
    path.write_text(f"resource: firms\n{text}\n", encoding="utf-8")
    return read_order_policy(read(path))


def test_a_resource_file_says_its_policy(tmp_path):
    path = tmp_path / "firms.yaml"
    assert policy_of(path, "") == OrderPolicy()
    said = policy_of(path, "orders: {days: {error: 3}, from: warning, escalate_to: [li], escalate_after: 2}")
    assert said == OrderPolicy({"error": 3, "warning": 20}, "warning", ("li",), 2)
    assert policy_of(path, "orders: {from: none}").least is None


@pytest.mark.parametrize("text", ["{days: {error: 0}}", "{days: {info: 1}}", "{from: always}", "{escalate_after: 999}"])
def test_a_slip_in_the_policy_is_told_with_its_line(tmp_path, text):
    with pytest.raises(StandardError, match=r"firms.yaml:2"):
        policy_of(tmp_path / "firms.yaml", f"orders: {text}")
