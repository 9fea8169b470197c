"""What is wrong becomes one message per person while it lasts, reminders, and word that it is over; nothing is lost."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alarm_people import PEOPLE
from alarm_town import FIRMS, LIBRARY, Postman, Town, at

from quality.orders_values import OrderPolicy
from runs.alarms.conditions import Condition
from runs.alarms.refusals import LineDown, Refused
from runs.alarms.store import Alarms
from runs.alarms.tables import METADATA
from runs.alarms.watch import conditions, look
from runs.errors import RunError
from warehouse.state import State
from warehouse.state.schema import RUN
from warehouse.state.streams import Streams


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A migrated database without anything in it, to be copied."""
    path = tmp_path_factory.mktemp("alarms") / "state.db"
    state = State(f"sqlite:///{path}")
    state.migrate()
    state.close()
    return path


@pytest.fixture
def town(tmp_path, empty):
    """Its resource is run by hand."""
    shutil.copy(empty, tmp_path)
    made = Town(tmp_path, PEOPLE)
    yield made
    made.state.close()


@pytest.fixture
def timed(tmp_path, empty):
    """Its resource runs at two."""
    shutil.copy(empty, tmp_path)
    made = Town(tmp_path, PEOPLE, 'schedule: "0 2 * * *"\n')
    yield made
    made.state.close()


def test_a_resource_is_late_an_hour_after_a_scheduled_run_that_did_not_come(timed):
    timed.run("r1", at(1, 2))
    assert timed.kinds(at(2, 3)) == []
    assert timed.kinds(at(2, 3, 1)) == [("late", FIRMS)]
    timed.run("r2", at(2, 4))
    assert timed.kinds(at(3, 3)) == []


def test_a_resource_that_never_ran_is_late_from_its_first_schedule_on(timed):
    assert timed.kinds(at(1, 3)) == []
    (late,) = conditions(timed.watch, at(1, 4))
    assert (late.kind, late.since[:16], late.what_en) == ("late", "2026-09-01T03:00", "no good run yet")


def test_a_promise_goes_before_the_schedule(timed):
    (one,) = timed.watch.resources
    timed.watch = replace(timed.watch, resources=(replace(one, expect_within=timedelta(hours=26)),))
    timed.run("r1", at(1, 2))
    assert timed.kinds(at(2, 4)) == []
    assert timed.kinds(at(2, 4, 1)) == [("late", FIRMS)]


def test_nobody_misses_a_resource_without_a_schedule(town):
    assert town.kinds(at(30)) == []


def test_a_failed_run_is_told_by_its_code_since_the_first_failure_and_without_its_words(town):
    town.run("r1", at(1, 2))
    for hour in (3, 4):
        town.run(f"f{hour}", at(1, hour), "failed", error={"code": "SRC-LOGIN", "zh": "张三 330106199001011234"})
    (failed,) = conditions(town.watch, at(1, 5))
    assert (failed.kind, failed.since[:16], failed.what_en) == (
        "failed", "2026-09-01T03:00", "the run f4 ended with SRC-LOGIN",
    )  # fmt: skip
    town.look(at(1, 5))
    assert all("330106199001011234" not in one.subject + one.body for one in town.alarms.messages())
    town.run("r2", at(1, 6))
    assert town.kinds(at(1, 7)) == []


def test_a_run_that_is_tried_again_at_once_rings_no_bell_and_one_tried_later_does_not_end_the_alarm(town):
    def status(new):
        with town.engine.begin() as connection:
            connection.execute(sa.update(RUN).where(RUN.c.run_id == "f1").values(status=new))

    town.run("f1", at(1, 2), "failed", error={"code": "SRC-LOGIN"})
    assert town.kinds(at(1, 2, 1)) == []
    assert town.look(at(1, 2, 2)) == [("chen", "begin")]
    status("running")
    assert town.look(at(1, 2, 3)) == []
    status("failed")
    assert town.look(at(1, 2, 6)) == []
    status("done")
    assert town.look(at(1, 2, 7)) == [("chen", "recovery")]


def test_a_held_batch_and_a_library_that_cannot_be_merged_are_told(town):
    town.run("h1", at(1, 2), "held")
    town.run("m1", at(1, 2), "failed", resource=LIBRARY)
    assert town.kinds(at(1, 2, 30)) == [("held", FIRMS), ("failed", LIBRARY)]


def test_a_source_with_other_columns_is_an_alarm_and_an_order_until_it_is_accepted(town):
    streams, change = Streams(town.engine), {"zh": "缺少列 uscc", "en": "column uscc is missing"}
    streams.record(FIRMS, "r1", {"uscc": "text"}, [], accepted=True)
    streams.record(FIRMS, "r2", {"name": "text"}, [change], accepted=False)
    town.run("r1", at(1, 2))
    assert town.kinds(at(1, 3)) == [("drifting", FIRMS)]
    for hour in (3, 4):
        town.look(at(1, hour))
    (order,) = town.watch.orders.orders(FIRMS)
    assert (order.kind, order.state, order.recurrences) == ("drift", "open", 0)
    assert order.zh == "来源结构有变：缺少列 uscc"
    streams.accept(FIRMS)
    town.look(at(1, 5))
    assert town.watch.orders.order(order.id).state == "closed"


def test_one_message_while_it_lasts_then_a_reminder_each_day_and_word_that_it_is_over(town):
    town.run("h1", at(1, 2), "held")
    told = {}
    for hours in range(50):
        when = at(1, 2) + timedelta(hours=hours)
        if sent := town.look(when):
            told[when.strftime("%d %H:%M")] = sent
    assert told == {
        "01 02:00": [("chen", "begin"), ("wang", "begin")],
        "02 02:00": [("chen", "reminder"), ("wang", "reminder")],
        "03 02:00": [("chen", "reminder"), ("wang", "reminder")],
    }
    town.run("r2", at(3, 5))
    assert town.look(at(3, 5)) == [("chen", "recovery"), ("wang", "recovery")]
    assert town.look(at(3, 6)) == []
    town.run("h2", at(3, 7), "held")
    assert town.look(at(3, 8)) == [("chen", "begin"), ("wang", "begin")]


def test_the_first_line_tells_resource_what_since_when_and_the_next_step(town):
    people = tuple(replace(who, kinds=("held",)) for who in town.watch.directory.people)
    town.watch = replace(town.watch, directory=replace(town.watch.directory, people=people))
    town.run("h1", at(1, 2), "held")
    town.look(at(1, 3))
    words = {who: subject for who, _, subject in town.post.taken}
    assert words["wang"] == (
        "[数通] 企业登记（scjg.firms）整批挂起，自 2026-09-01 02:00；shutong quality show scjg.firms 查看后决定"
    )
    assert words["li"] == (
        "[Shutong] Registrations (scjg.firms) batch held, since 2026-09-01 02:00;"
        " look with shutong quality show scjg.firms, then decide"
    )
    town.run("r2", at(1, 4))
    town.look(at(1, 5))
    last = [subject for who, _, subject in town.post.taken if who == "wang"][-1]
    assert last == "[数通] 已恢复：企业登记（scjg.firms）整批挂起，2026-09-01 02:00 至 2026-09-01 05:00；无需处理"


def test_overdue_and_escalated_orders_are_grouped_and_go_to_whom_they_should(town):
    orders = town.watch.orders
    for number in range(3):
        town.run(f"d{number}", at(1 + number, 2))
    orders.drifted(FIRMS, "scjg", OrderPolicy(), "r1", "变", "changed", at(1))  # due on the 8th
    Streams(town.engine).record(FIRMS, "r1", {"a": "text"}, [], accepted=False)
    said = {}
    for day in range(1, 20):
        town.run(f"g{day}", at(day, 2))
        if sent := [one for one in town.look(at(day)) if one[1] == "begin"]:
            said[day] = sent
    assert said == {
        1: [("chen", "begin")],  # drifting
        9: [("chen", "begin"), ("wang", "begin"), ("li", "begin")],  # overdue; level 1 to the department's lead
        16: [("chen", "begin")],  # level 2 to the data managers
    }
    kinds = [(one.condition.kind, one.condition.level) for one in town.alarms.lasting()]
    assert sorted(kinds) == [("drifting", 0), ("escalated", 1), ("escalated", 2), ("overdue", 0)]
    assert "recovery" not in [what for _, what, _ in town.post.taken]


@pytest.mark.parametrize("to", ["nobody", "lead", ""])
def test_an_escalation_that_would_reach_nobody_reaches_the_data_managers(town, to):
    department = "swj" if to == "lead" else "scjg"  # which has no lead
    titles = (FIRMS, department, "企业登记", "Registrations")
    said = Condition("escalated", *titles, at(1).isoformat(), "1 件", "1 order", "看", "look", 1, to)
    town.alarms.see([said], town.watch.directory, at(1))
    assert [one.person for one in town.alarms.messages()] == ["chen"]


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({"kind": "held"}, []),
        ({"kind": "late"}, ["chen", "wang"]),
        ({"resource": "scjg.*"}, []),
        ({"resource": "swj.*"}, ["chen", "wang"]),
        ({"person": "wang"}, ["chen"]),
        ({}, []),
    ],
)
def test_what_is_silenced_is_not_told_until_the_silence_ends(town, scope, told):
    town.run("h1", at(1, 2), "held")
    town.alarms.silence(at(1, 12), "chen", "迁移", at(1, 1), **scope)
    assert [who for who, _ in town.look(at(1, 3))] == told
    later = [who for who, _ in town.look(at(1, 12))]
    assert sorted(told + later) == ["chen", "wang"]


def test_a_silence_holds_back_that_it_is_over_and_can_be_lifted(town):
    town.run("h1", at(1, 2), "held")
    town.look(at(1, 3))
    made = town.alarms.silence(at(1, 12), "chen", "迁移", at(1, 4), person="wang")
    town.run("r1", at(1, 5))
    assert town.look(at(1, 6)) == [("chen", "recovery")]
    assert town.look(at(1, 12)) == [("wang", "recovery")]
    assert [one.id for one in town.alarms.silences(at(1, 6))] == [made.id]
    assert town.alarms.lift(made.id, at(1, 7), "wang")
    assert not town.alarms.lift(made.id, at(1, 8), "chen")
    (over,) = town.alarms.silenced()
    assert (over.who, over.lifted_by, over.lifted_at[:16]) == ("chen", "wang", "2026-09-01T07:00")
    assert town.alarms.silences(at(1, 8)) == []
    with pytest.raises(RunError, match="RUN-ALARM-UNTIL"):
        town.alarms.silence(at(1, 1), "chen", "迁移", at(1, 2))


def down() -> LineDown:
    return LineDown("RUN-ALARM-MAIL-DOWN", zh="", en="", fix_zh="", fix_en="")


def test_a_dead_mail_server_is_asked_once_a_round_and_nothing_is_lost(town):
    town.run("h1", at(1, 2), "held")
    town.post.error = down()
    for minute in range(10):
        assert town.look(at(1, 3, minute)) == []
    assert town.post.asked <= 10
    town.run("r1", at(1, 4))
    assert town.look(at(1, 5)) == []
    town.post.error = None
    assert town.look(at(1, 8)) == [("chen", "begin"), ("wang", "begin")]
    assert town.look(at(1, 8, 1)) == [("chen", "recovery"), ("wang", "recovery")]
    assert {one.state for one in town.alarms.messages()} == {"sent"}


def test_a_process_killed_between_sending_and_recording_sends_again_later(town, monkeypatch):
    town.run("h1", at(1, 2), "held")

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Alarms, "sent", dies)
        with pytest.raises(KeyboardInterrupt):
            town.look(at(1, 3))
    assert town.look(at(1, 3, 1)) == [("wang", "begin")]
    assert town.look(at(1, 3, 6)) == [("chen", "begin")]
    assert [who for who, _, _ in town.post.taken] == ["chen", "wang", "chen"]


def test_two_at_once_send_a_message_once(town):
    town.run("h1", at(1, 2), "held")
    other, looked = Postman(), []

    def send_meanwhile(message, person):
        if not looked:
            looked.append(look(replace(town.watch, senders={"mail": other}), lambda: at(1, 3)))
        town.post.taken.append((person.id, message.what, message.subject))

    town.post.send = send_meanwhile
    town.look(at(1, 3))
    assert sorted(who for who, _, _ in town.post.taken + other.taken) == ["chen", "wang"]


def test_an_address_that_refuses_and_one_who_left_are_recorded_and_not_asked_again(town):
    town.run("h1", at(1, 2), "held")
    town.post.error = Refused("RUN-ALARM-REFUSED", zh="", en="", fix_zh="", fix_en="")
    town.watch.alarms.see(tuple(conditions(town.watch, at(1, 2, 30))), town.watch.directory, at(1, 2, 30))
    stayed = tuple(one for one in town.watch.directory.people if one.id != "wang")
    town.watch = replace(town.watch, directory=replace(town.watch.directory, people=stayed))
    town.look(at(1, 2, 40))
    told = {one.person: (one.state, one.error) for one in town.alarms.messages()}
    assert told == {"chen": ("refused", "RUN-ALARM-REFUSED"), "wang": ("dropped", "RUN-ALARM-NOBODY")}
    town.look(at(1, 2, 50))
    assert town.post.asked == 1


def test_the_migration_makes_the_tables_that_alarms_use(town):
    inspector = sa.inspect(town.engine)
    for name, table in METADATA.tables.items():
        made = {column["name"]: column["nullable"] for column in inspector.get_columns(name)}
        assert made == {column.name: column.nullable for column in table.columns}
        assert {one["name"] for one in inspector.get_indexes(name)} == {one.name for one in table.indexes}
