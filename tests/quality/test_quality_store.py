"""What a check found is there again: the runs of a resource, its rules, and what changed since the run before."""

from __future__ import annotations

import pyarrow as pa
import pytest
import sqlalchemy as sa

from quality.store import METADATA, QualityStore
from schemas.standard import Rule
from schemas.values import RuleCount, Verdict
from warehouse.state.database import migrate, open_engine

RULES = [
    Rule("uscc_check", "check_digit", ("uscc",), "统一社会信用代码校验", "USCC check", indicator="0103"),
    Rule("name_required", "required", ("name",), "名称必填", "Name required"),
    Rule("name_repaired", "repaired", ("name",), "名称已修复", "Name repaired", severity="warning"),
]


def verdict(*rows, decision="warn", error=None, results=None):
    counts = [RuleCount(rule.id, rule.severity, found, 10) for rule, found in zip(RULES, rows, strict=True)]
    if error:
        counts[0] = RuleCount(RULES[0].id, RULES[0].severity, 0, 0, error)
    none = pa.table({"_row": pa.array([], pa.int64()), "rules": pa.array([], pa.list_(pa.string()))})
    return Verdict(
        10, tuple(counts), none, pa.array([1, 2], pa.int64()), decision, "隔离 2 行", "2 rows", results or {}
    )


@pytest.fixture
def engine(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/state.db")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine):
    return QualityStore(engine)


def test_a_recorded_run_can_be_read_again(store):
    store.record(
        "registry.enterprise", "registry", "run-1", "batch-1", RULES, verdict(3, 0, 4, results={"名": ["𠮷", 1]})
    )
    latest = store.latest("registry.enterprise")
    assert (latest.run, latest.batch, latest.department, latest.rows, latest.quarantined) == (
        "run-1",
        "batch-1",
        "registry",
        10,
        2,
    )
    assert (latest.decision, latest.reason_zh, latest.reason_en) == ("warn", "隔离 2 行", "2 rows")
    assert latest.checked_at.endswith("+08:00")
    assert store.results("registry.enterprise", "run-1") == {"名": ["𠮷", 1]}
    first = store.rules("registry.enterprise", "run-1")[0]
    assert (first.rule, first.severity, first.indicator, first.zh, first.en) == (
        "uscc_check", "error", "0103", "统一社会信用代码校验", "USCC check",
    )  # fmt: skip
    assert (first.rows, first.evaluated, first.error) == (3, 10, None)


def test_rules_come_in_the_order_of_the_standard(store):
    store.record("a.b", "a", "r", "b", RULES, verdict(0, 0, 0))
    assert [one.rule for one in store.rules("a.b", "r")] == [rule.id for rule in RULES]


def test_recording_a_run_again_replaces_it_and_keeps_its_time(store):
    store.record("a.b", "a", "r", "b", RULES, verdict(1, 0, 0))
    before = store.latest("a.b")
    store.record("a.b", "a", "r", "b", RULES, verdict(1, 0, 0))
    assert store.history("a.b", 10) == [before]
    store.record("a.b", "a", "r", "b", RULES[:1], verdict(5, 0, 0).__class__(
        10, (RuleCount("uscc_check", "error", 5, 10),), pa.table({}), pa.array([1]), "hold", "x", "x", {}
    ))  # fmt: skip
    assert [(one.rule, one.rows) for one in store.rules("a.b", "r")] == [("uscc_check", 5)]
    assert store.latest("a.b").decision == "hold"
    assert store.latest("a.b").checked_at == before.checked_at


def test_history_is_newest_first_over_one_resource_or_all(store):
    for run in ("r1", "r2", "r3"):
        store.record("a.b", "a", run, run, RULES, verdict(0, 0, 0))
    store.record("c.d", "c", "r4", "r4", RULES, verdict(0, 0, 0))
    assert [one.run for one in store.history("a.b", 2)] == ["r3", "r2"]
    assert [one.run for one in store.history(None, 10)] == ["r4", "r3", "r2", "r1"]
    assert store.history("no.such", 10) == []


def test_an_unknown_resource_or_run_has_nothing(store):
    assert store.latest("no.such") is None
    assert store.rules("no.such", "r") == []
    assert store.results("no.such", "r") is None
    assert store.compare("no.such") == []


def test_compare_tells_new_still_fixed_clean_and_unknown(store):
    store.record("a.b", "a", "r1", "b1", RULES, verdict(0, 5, 2))
    assert [(one.before, one.now, one.state) for one in store.compare("a.b")] == [
        (None, 0, "clean"),
        (None, 5, "new"),
        (None, 2, "new"),
    ]
    store.record("a.b", "a", "r2", "b2", RULES, verdict(7, 0, 3))
    assert [(one.rule, one.before, one.now, one.state) for one in store.compare("a.b")] == [
        ("uscc_check", 0, 7, "new"),
        ("name_required", 5, 0, "fixed"),
        ("name_repaired", 2, 3, "still"),
    ]
    store.record("a.b", "a", "r3", "b3", RULES, verdict(0, 0, 0, error="no such column"))
    changes = store.compare("a.b")
    assert (changes[0].before, changes[0].now, changes[0].state) == (7, None, "unknown")
    assert store.rules("a.b", "r3")[0].error == "no such column"


def test_the_migration_makes_the_tables_that_the_store_uses(engine):
    inspector = sa.inspect(engine)
    for name, table in METADATA.tables.items():
        made = {column["name"]: column["nullable"] for column in inspector.get_columns(name)}
        assert made == {column.name: column.nullable for column in table.columns}
        assert set(inspector.get_pk_constraint(name)["constrained_columns"]) == set(table.primary_key.columns.keys())
        assert {one["name"] for one in inspector.get_indexes(name)} == {one.name for one in table.indexes}
