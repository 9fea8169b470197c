"""Scores keep numerator and denominator, tell what is not measured, and survive repeated runs and changed rules."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic.command import downgrade
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

import warehouse.state
from quality.errors import QualityError
from quality.scores import QualityScores, Scope
from quality.scores_profile import profile, profiles, read_profile, scores
from quality.scores_tables import METADATA, SCORED, SUMS
from quality.scores_values import Facts, Measure, version_of
from quality.store import QUALITY_RUN, QualityStore
from schemas.errors import StandardError
from schemas.standard import Field, Rule
from schemas.values import RuleCount, Verdict
from warehouse.state.database import migrate, open_engine

MIGRATIONS = Path(warehouse.state.__file__).parent / "migrations"
CODE = Rule("code", "check_digit", ("raw:代码",), "校验", "check", indicator="0301")
NAME = Rule("name", "required", ("name",), "必填", "required", indicator="0201")
TIMES = Rule("times", "order", ("start", "end"), "先后", "order", severity="warning", indicator="0503")
MENDED = Rule("mended", "repaired", ("name__repaired",), "更正", "mended", severity="info", indicator="0302")
RULES = (CODE, NAME, TIMES, MENDED)
FIRMS, TAX = "scjg.firms", "swj.taxpayer"


def verdict(rules=RULES, rows=100, quarantined=3, errors=(), **violating):
    none = pa.table({"_row": pa.array([], pa.int64()), "rules": pa.array([], pa.list_(pa.string()))})
    counts = tuple(
        RuleCount(one.id, one.severity, 0, 0, "no such column")
        if one.id in errors
        else RuleCount(one.id, one.severity, violating.get(one.id, 0), rows)
        for one in rules
    )
    return Verdict(rows, counts, none, pa.array(range(1, quarantined + 1), pa.int64()), "warn", "", "", {})


@pytest.fixture
def engine(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/state.db")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def told(engine):
    """Record a check; `day` is when the first check of the run is said to have been."""

    def tell(run, found, resource=FIRMS, *, rules=RULES, facts=None, day=None):
        department = resource.partition(".")[0]
        if day:
            row = {"resource": resource, "run": run, "department": department, "batch": "", "rows": 0}
            row |= {"quarantined": 0, "decision": "pass", "reason_zh": "", "reason_en": "", "results": "{}"}
            with engine.begin() as connection:
                connection.execute(sa.insert(QUALITY_RUN).values(**row, checked_at=f"{day}T09:00:00.000000+08:00"))
        QualityStore(engine).record(
            resource, department, run, "b", rules, found, facts or Facts(library="legal_person")
        )

    return tell


def found(sums):
    return {(one.name, one.measure): (one.met, one.base) for one in sums}


def test_a_check_is_counted_by_rule_by_field_and_as_a_whole(engine, told):
    facts = Facts("legal_person", columns={"uscc": "代码"})
    told("r1", verdict(code=4, name=1, times=7, mended=30), facts=facts)
    kept = QualityScores(engine)
    assert found(kept.sums("rule")) == {
        ("code", "0301/check_digit"): (96, 100),
        ("mended", "0302/repaired"): (70, 100),
        ("name", "0201/required"): (99, 100),
        ("times", "0503/order"): (93, 100),
    }
    assert found(kept.sums("field")) == {
        ("uscc", "0301/check_digit"): (96, 100),
        ("name", "0201/required"): (99, 100),
        ("start", "0503/order"): (93, 100),
        ("end", "0503/order"): (93, 100),
    }
    assert ("", "0302/repaired") not in found(kept.sums()), "what was put right is no score"
    assert {one.group for one in kept.sums(group="department")} == {"scjg"}
    assert {one.group for one in kept.sums(group="library")} == {"legal_person"}


def test_numerator_and_denominator_of_every_indicator_are_kept_and_what_nobody_measured_has_none():
    made = scores(
        profile(),
        [Measure("all", "", "0301/check_digit", "", 96, 100), Measure("all", "", "0305/quarantined", "", 97, 100)],
    )
    by_code = {one.code: one for one in made.indicators}
    assert len(by_code) == 20
    assert (by_code["0301"].a, by_code["0301"].b, by_code["0301"].score) == (96, 100, 96.0)
    assert (by_code["0305"].a, by_code["0305"].b, by_code["0305"].score) == (3, 100, 97.0), "A counts the dirty ones"
    assert (by_code["0601"].a, by_code["0601"].b, by_code["0601"].score) == (None, None, None)
    dimensions = {one.code: one for one in made.dimensions}
    assert (dimensions["03"].score, dimensions["03"].measured, dimensions["03"].of) == (96.5, 2, 5)
    assert dimensions["06"].score is None
    assert made.total == 96.5, "what is not measured neither raises nor lowers the total"


def test_nothing_measured_is_no_score_at_all():
    made = scores(profile(), [])
    assert made.total is None
    assert {one.score for one in made.indicators} == {None}


def test_a_rule_that_could_not_be_evaluated_counts_in_neither_numerator_nor_denominator(engine, told):
    told("r1", verdict(errors=("code",)))
    made = scores(profile(), QualityScores(engine).sums())
    broken = next(one for one in made.indicators if one.code == "0301")
    assert (broken.score, broken.errors) == (None, 1)


def test_the_shanghai_profile_has_thirty_indicators_and_reads_every_rate_the_higher_the_better():
    found = [("0302/understood", 90), ("0302/length", 80), ("0304/unique", 99), ("0402/reference", 70)]
    made = scores(profile("db31_t_1523_2024"), [Measure("all", "", name, "", met, 100) for name, met in found])
    by_code = {one.code: one for one in made.indicators}
    assert len(by_code) == 30
    assert by_code["010100"].score == 85.0, "the mean of its parts that are measured"
    assert by_code["010102"].score is None
    assert (by_code["030300"].a, by_code["030300"].score) == (99, 99.0)
    assert (by_code["040204"].score, by_code["040202"].score) == (70.0, None)
    consistency = next(one for one in made.dimensions if one.code == "04")
    assert (consistency.score, consistency.measured, consistency.of) == (70.0, 1, 3), "parts count through their mean"


def test_a_run_that_is_checked_again_replaces_what_it_said(engine, told):
    told("r1", verdict(code=50, name=50), day="2026-03-31")
    told("r2", verdict(), day="2026-04-01")
    told("r1", verdict((CODE, TIMES), code=1), rules=(CODE, TIMES))
    kept = QualityScores(engine)
    assert {
        (one.period, one.name): (one.met, one.runs) for one in kept.sums("rule", by="day") if one.period < "2026-04"
    } == {
        ("2026-03-31", "code"): (99, 1),
        ("2026-03-31", "times"): (100, 1),
    }
    assert {one.period for one in kept.sums(by="month")} == {"2026-03", "2026-04"}
    assert ("name", "0201/required") not in found(kept.sums("rule", scope=Scope(until="2026-03-31")))
    assert [one.measure for one in kept.run(FIRMS, "r1") if one.about == "rule"] == ["0301/check_digit", "0503/order"]


def test_the_trend_shows_where_a_rule_changed_and_what_it_said_before(engine, told):
    stricter = Rule(
        "code", "check_digit", ("raw:代码",), "新的说明", "new words", indicator="0301", params={"empty_fails": True}
    )
    reworded = Rule("code", "check_digit", ("raw:代码",), "新的说明", "new words", indicator="0301")
    told("r1", verdict(code=1), day="2026-01-05")
    told("r2", verdict(code=2), rules=(reworded, NAME, TIMES, MENDED), day="2026-01-06")
    told("r3", verdict(code=9), rules=(stricter, NAME, TIMES, MENDED), day="2026-02-01")
    kept = QualityScores(engine)
    trend = [(one.period, one.base - one.met, one.version) for one in kept.sums("rule", by="day", name="code")]
    assert [(day, rows) for day, rows, _ in trend] == [("2026-01-05", 1), ("2026-01-06", 2), ("2026-02-01", 9)]
    assert trend[0][2] == trend[1][2] == version_of(CODE), "other words are no other rule"
    assert trend[2][2] == version_of(stricter) != version_of(CODE)
    changes = kept.definitions("code")
    assert [one.version for one in changes] == [version_of(CODE), version_of(stricter)]
    assert changes[1].definition["params"] == {"empty_fails": True}


def test_a_department_that_was_renamed_keeps_its_history(engine, told):
    told("r1", verdict(code=1), resource="gsj.firms", day="2026-01-05")
    told("r2", verdict(code=3), resource=FIRMS, day="2026-01-06")
    told("r3", verdict(code=5), resource=TAX, day="2026-01-06")
    kept = QualityScores(engine, {"gsj": "scjg", "gsj.firms": FIRMS})
    by_resource = {one.group: (one.met, one.base, one.runs, one.last) for one in kept.sums("rule", name="code")}
    assert by_resource == {FIRMS: (196, 200, 2, "2026-01-06"), TAX: (95, 100, 1, "2026-01-06")}
    assert {one.group for one in kept.sums(group="department")} == {"scjg", "swj"}
    assert {one.period for one in kept.sums(by="day", scope=Scope(resource=FIRMS))} == {"2026-01-05", "2026-01-06"}


def test_known_facts_are_measures_too(engine, told):
    fields = (
        Field("uscc", "代码", "code", type="uscc", source="GB 32100", level=1),
        Field("person", "法定代表人", "person", level=3, mask="name", length=50),
        Field("phone", "电话", "phone", level=3),
    )
    facts = Facts("legal_person", fields, {}, ("name",), 100, (1, 3))
    told("r1", verdict((*RULES, Rule("torn_row", "reject", ("_reject",), "残", "torn", indicator="0302")), torn_row=2),
         rules=(*RULES, Rule("torn_row", "reject", ("_reject",), "残", "torn", indicator="0302")), facts=facts)  # fmt: skip
    by_measure = {one.measure: (one.met, one.base) for one in QualityScores(engine).sums()}
    assert by_measure["0102/columns"] == (3, 4)
    assert by_measure["0103/metadata"] == (3 + 3 + 2, 3 + 4 + 4)
    assert by_measure["0106/masked"] == (1, 2)
    assert by_measure["0202/records"] == (98, 100)
    assert by_measure["0305/quarantined"] == (97, 100)
    assert by_measure["0502/deliveries"] == (1, 3)


@settings(max_examples=200 if os.environ.get("SHUTONG_PROVE") else 8, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["r1", "r2", "r3"]), st.integers(0, 100), st.integers(0, 100)), max_size=12))
def test_sums_are_those_of_the_last_check_of_each_run_whatever_came_before(checks):
    engine = open_engine("sqlite://")
    METADATA.create_all(engine)
    QUALITY_RUN.metadata.create_all(engine)
    store, last = QualityStore(engine), {}
    for run, code, name in checks:
        library = "legal_person" if name % 3 else "population"
        store.record(FIRMS, "scjg", run, "b", RULES, verdict(code=code, name=name), Facts(library))
        store.record(TAX, "swj", run, "b", (CODE,), verdict((CODE,), code=name), Facts("legal_person"))
        last[run] = code
    (total,) = QualityScores(engine).sums("rule", name="code", scope=Scope(resource=FIRMS)) or [None]
    expected = (sum(100 - code for code in last.values()), 100 * len(last), len(last)) if last else None
    assert (total and (total.met, total.base, total.runs)) == expected
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).where(SUMS.c.runs <= 0)) == 0
    assert together(engine) == added_up(engine)
    engine.dispose()


def together(engine):
    """The trend of each department and library, as it is kept beside."""
    kept = QualityScores(engine)
    return {(group, tuple(one)) for group in ("department", "library") for one in kept.sums(group=group, by="day")}


def added_up(engine):
    """The same from what is kept of each check."""
    sums = {}
    with engine.connect() as connection:
        for row in connection.execute(sa.select(SCORED)).mappings():
            for about, _, measure, _, *counts in json.loads(row["measures"]):
                for group in ("department", "library") if about == "all" else ():
                    known = sums.setdefault((group, row[group], row["day"], measure), [0, 0, 0, 0])
                    known[:] = [old + new for old, new in zip(known, (*counts, 1), strict=True)]
    return {(group, (of, day, "", what, "", *counts, day)) for (group, of, day, what), counts in sums.items()}


def test_what_was_measured_before_departments_and_libraries_were_added_up_is_in_their_trend(engine, told):
    told("r1", verdict(code=1), day="2026-01-05")
    told("r2", verdict(code=3), resource=TAX, day="2026-01-05")
    told("r3", verdict(code=9), resource=TAX, day="2026-01-06")
    expected = together(engine)
    with engine.begin() as connection:
        then = Config()
        then.set_main_option("script_location", str(MIGRATIONS))
        then.set_main_option("path_separator", "os")
        then.attributes["connection"] = connection
        downgrade(then, "0010")
    assert not together(engine)
    migrate(engine)
    assert together(engine) == expected == added_up(engine)


def test_an_unknown_profile_names_those_there_are():
    assert profiles() == ["db31_t_1523_2024", "gb_t_36344_2018"]
    with pytest.raises(QualityError, match="QUA-PROFILE") as raised:
        profile("iso_8000")
    assert "gb_t_36344_2018" in raised.value.fix_en


def test_a_profile_whose_indicator_has_no_dimension_is_refused_with_its_line(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        "profile: own\ndimensions:\n  - {code: '01', zh: 甲, en: a}\nindicators:\n  - {code: '0901', zh: 乙, en: b}\n"
    )
    with pytest.raises(StandardError, match=r"own\.yaml:5"):
        read_profile(path)
