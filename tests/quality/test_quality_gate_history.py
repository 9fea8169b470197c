"""A run is held against earlier good runs: old data, lost rows and shifted values are noticed, chance is not."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.gate import Drop, Freshness, Gate, Shift
from quality.gate_history import Observed, Observer, psi, reasons
from quality.gate_policy import read_gate
from schemas.errors import StandardError
from schemas.lines import read
from schemas.standard import Field

TODAY = date(2026, 3, 1)
STATE = Field("state", "状态", "state", type="code", codes="reg_state@1")
DAY = Field("day", "日期", "day", type="date")
SUM = Field("amount", "金额", "amount", type="decimal")
NAME = Field("name", "名称", "name")
FIELDS = (STATE, DAY, SUM, NAME)


def seen(gate, **columns):
    """What an observer sees of a table with these columns, in two parts."""
    kinds = {
        "state": pa.string(),
        "day": pa.date32(),
        "amount": pa.decimal128(18, 2),
        "name": pa.string(),
        "_op": pa.string(),
    }
    table = pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})
    observer = Observer(gate, FIELDS, TODAY)
    half = table.num_rows // 2
    for part in (table.slice(0, half), table.slice(half)):
        observer.add(part)
    return observer.observed()


def judged(gate, now=None, usual=None, rows=100, before=()):
    return reasons(gate, rows, before, now or Observed(), usual or Observed(), TODAY)


@pytest.mark.parametrize(("age", "held"), [(7, False), (8, True)])
def test_a_batch_whose_newest_day_is_older_than_allowed_is_held_with_its_age(age, held):
    gate = Gate(freshness=Freshness("day", 7))
    found = judged(gate, seen(gate, day=[TODAY - timedelta(age), date(1999, 1, 1), None]))
    assert bool(found) == held
    if held:
        ((act, zh, en),) = found
        assert act == "hold"
        assert "2026-02-21" in zh
        assert "8 天" in zh
        assert "8 days" in en


def test_a_day_to_come_does_not_make_a_batch_new():
    gate = Gate(freshness=Freshness("day", 7))
    assert judged(gate, seen(gate, day=[date(2099, 12, 31), date(2020, 1, 1)]))
    ((_, zh, _),) = judged(gate, seen(gate, day=[date(2099, 12, 31), None]))
    assert "无法判断" in zh


def test_rows_that_only_delete_say_nothing_about_news():
    gate = Gate(freshness=Freshness("day", 7))
    assert judged(gate, seen(gate, day=[TODAY, date(2020, 1, 1)], _op=["D", None]))


@pytest.mark.parametrize(("rows", "held"), [(70, False), (69, True), (500, False)])
def test_fewer_rows_than_the_median_of_good_runs_by_more_than_the_limit_hold(rows, held):
    found = judged(Gate(drop=Drop(30, runs=3)), rows=rows, before=[100, 99, 1000, 1])
    assert bool(found) == held
    if held:
        assert "31.0%" in found[0][1]
        assert "median of 3 good runs, 100" in found[0][2]


def test_a_first_run_is_held_against_nothing():
    gate = Gate(drop=Drop(30), shift=Shift())
    assert judged(gate, seen(gate, state=["1"] * 50), rows=50) == []


def test_a_shift_among_codes_is_told_with_the_code_that_moved_most():
    gate = Gate(shift=Shift(act="hold"))
    usual = seen(gate, state=["存续"] * 900 + ["注销"] * 100)
    ((act, zh, en),) = judged(gate, seen(gate, state=["存续"] * 500 + ["注销"] * 500), usual)
    assert act == "hold"
    assert "“注销”由 10.0% 变为 50.0%" in zh or "“存续”由 90.0% 变为 50.0%" in zh
    assert "PSI" in en


def test_empty_values_that_became_many_are_told_in_percentage_points():
    gate = Gate(shift=Shift(psi=10, nulls=10))
    usual = seen(gate, name=["甲"] * 99 + [None])
    ((_, zh, en),) = judged(gate, seen(gate, name=["甲"] * 60 + [None] * 40), usual)
    assert "1.0% 变为 40.0%" in zh
    assert "from 1.0% to 40.0%" in en


def test_amounts_in_another_unit_are_a_shift_and_dates_of_another_century_too():
    gate = Gate(shift=Shift())
    usual = seen(gate, amount=[Decimal(50000)] * 100, day=[date(2015, 1, 1)] * 100)
    now = seen(gate, amount=[Decimal(5)] * 99 + [Decimal(-5)], day=[date(1915, 1, 1)] * 100)
    assert [one[2].split()[0] for one in judged(gate, now, usual)] == ["amount", "day"]


def test_only_fields_that_are_named_are_looked_at():
    gate = Gate(shift=Shift(fields=("name",)))
    assert set(seen(gate, state=["1"], name=["甲"]).buckets) == {"name"}


def test_a_gate_that_asks_for_nothing_sees_nothing():
    assert seen(Gate(), state=["1"], day=[TODAY]) == Observed()


def test_a_small_batch_drawn_from_the_usual_values_is_no_shift():
    random = Random(7)
    gate = Gate(shift=Shift(psi=0.01, nulls=0.5))
    codes = [str(number) for number in range(20)]
    usual = seen(gate, state=random.choices([*codes, None], k=2000))
    alarms = sum(bool(judged(gate, seen(gate, state=random.choices([*codes, None], k=40)), usual)) for _ in range(60))
    assert alarms == 0


def test_a_new_code_counts_as_one_of_the_others():
    gate = Gate(shift=Shift())
    ((_, zh, _),) = judged(gate, seen(gate, state=["9"] * 100), seen(gate, state=["1"] * 100))
    assert "100.0%" in zh


@given(st.lists(st.integers(0, 500), min_size=2, max_size=8).filter(any))
def test_the_index_of_equal_shares_is_almost_nothing_and_never_negative(counts):
    assert 0 <= psi(counts, counts) < 1e-9
    assert psi(counts, counts[::-1]) >= 0


def test_what_two_batches_of_a_run_saw_adds_up():
    gate = Gate(shift=Shift(), freshness=Freshness("day", 7))
    one, other = (
        seen(gate, state=["1", None], day=[TODAY, None]),
        seen(gate, state=["1", "2"], day=[date(2020, 1, 1)] * 2),
    )
    both = one + other
    assert both.buckets["state"] == {"1": 2, "2": 1, "": 1}
    assert both.newest == {"day": TODAY.isoformat()}


def gate_of(tmp_path, text):
    path = tmp_path / "firms.yaml"
    path.write_text(f"resource: firms\ngate: {text}\n", encoding="utf-8")
    return read_gate(read(path), FIELDS, {"name_required", "code_check"})


def test_a_gate_is_read_as_it_is_written(tmp_path):
    gate = gate_of(
        tmp_path,
        "{max_percent: 0, max_rows: 0, must_pass: [code_check], freshness: {field: day, within: 3d, act: warn},"
        " drop: {percent: 30, runs: 7}, drift: {psi: 0.1, nulls: 5, runs: 2, fields: [state], act: hold}}",
    )
    assert gate == Gate(
        max_percent=0, max_rows=0, must_pass=("code_check",), freshness=Freshness("day", 3, "warn"),
        drop=Drop(30, 7, "hold"), shift=Shift(0.1, 5, 2, ("state",), "hold"),
    )  # fmt: skip
    assert gate_of(tmp_path, "{max_percent: null}").max_percent is None
    assert gate_of(tmp_path, "{max_rows: 5}").max_percent == 5.0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{max_percent: -1}", "max_percent"),
        ("{max_percent: 101}", "max_percent"),
        ("{max_rows: -5}", "max_rows"),
        ("{must_pass: [code_chek]}", "code_check"),
        ("{freshness: {field: name, within: 3d}}", "name"),
        ("{freshness: {field: day, within: 36h}}", "within"),
        ("{freshness: {field: day, within: 3d, act: stop}}", "act"),
        ("{drop: {percent: 0}}", "percent"),
        ("{drop: {percent: -30}}", "percent"),
        ("{drop: {}}", "percent"),
        ("{drop: {percent: 30, runs: 0}}", "runs"),
        ("{drift: {psi: 0}}", "psi"),
        ("{drift: {psi: 0.2, nulls: 200}}", "nulls"),
        ("{drift: {fields: [stat]}}", "state"),
        ("{freshnes: {field: day, within: 3d}}", "freshness"),
    ],
)
def test_nonsense_is_refused_with_file_and_line_and_what_to_write(tmp_path, text, named):
    with pytest.raises(StandardError, match=r"firms\.yaml:2") as raised:
        gate_of(tmp_path, text)
    assert named in raised.value.en + raised.value.fix_en
