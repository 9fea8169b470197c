"""Rows come back from quarantine corrected, released or because a rule changed: each once, and never over newer ones."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from quality.orders_values import Actor
from runs.errors import RunError
from runs.holds_store import Holds
from runs.recheck import correct, in_quarantine, recheck, release
from shutong.commands.quality import quarantine
from tests.runs.small_deployment import (
    HEADER,
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    landed,
    lay_out,
    opened,
    shown,
    write_small_standard,
)

FIRMS = "scjg.firms"
WRONG = "913301001111111111"
CHEN = Actor("chen", "bigdata", frozenset({"data_manager"}))
CLERK = Actor("wang", "scjg", frozenset({"member"}))
NOW = datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=8)))


@pytest.fixture
def home(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=write_small_standard(home), percent=100)
    return home


def loosened(home):
    """The rule about names becomes a warning."""
    path = home / "standards" / "small_firm.yaml"
    path.write_text(path.read_text().replace("en: Name, required: true", "en: Name, required: warning"))


def lying(wired):
    return {
        (one.batch.batch, row)
        for one in in_quarantine(wired.parts, wired.deployment.resource(FIRMS))
        for row in one.rows
    }


def again(wired, name="recheck-1"):
    return recheck(wired.steps, wired.parts, FIRMS, "system", NOW, name)


def only_batch(wired):
    return wired.state.manifests(FIRMS)[-1].batch


def test_rows_that_pass_after_a_rule_changed_land_once_and_the_others_stay(home):
    drop(home, "a.csv", [firm(1), firm(2, name=""), firm(3, name=""), [WRONG, "", "2024-01-01", "杭州"]])
    with opened(home) as wired:
        assert wired.steps.ingest(FIRMS, "r1").quarantined == 3
        assert (again(wired).passed, len(landed(wired))) == (0, 1)
    loosened(home)
    with opened(home) as wired:
        position, history = wired.state.position(FIRMS), len(wired.quality.history(FIRMS))
        back = again(wired, "recheck-2")
        assert (back.looked_at, back.passed, back.landed, back.superseded) == (3, 2, 2, 0)
        assert set(landed(wired)) == {code(1), code(2), code(3)}
        assert {row for _, row in lying(wired)} == {4}
        assert again(wired, "recheck-3").passed == 0
        told = Holds(wired.state.engine).returned(FIRMS)
        assert [(one.kind, one.row, one.place, one.run) for one in told] == [
            ("recheck", 2, 1, "recheck-2-1"),
            ("recheck", 3, 2, "recheck-2-1"),
        ]
        assert {one.origin for one in told} == {only_batch(wired)}
        assert wired.state.position(FIRMS) == position, "no source was read"
        assert len(wired.quality.history(FIRMS)) == history, "it says nothing of the source"
        assert wired.state.run("recheck-2-1").trigger == "recheck"


def test_a_row_from_quarantine_never_replaces_what_was_delivered_later(home):
    standard = (home / "standards" / "small_firm.yaml").read_text().replace("order: [appr_date]\n", "")
    (home / "standards" / "small_firm.yaml").write_text(standard)
    drop(home, "a.csv", [firm(1, name="", domicile="旧址"), firm(2, name="", domicile="旧址")])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        drop(home, "a.csv", [firm(1, name="甲", domicile="新址")])
        wired.steps.ingest(FIRMS, "r2", everything=True)
    loosened(home)
    with opened(home) as wired:
        back = again(wired)
        assert (back.passed, back.landed, back.superseded) == (2, 1, 1)
        rows = {row["uscc"]: row["domicile"] for row in shown(wired, "std_scjg.firms")}
        assert rows == {code(1): "新址", code(2): "旧址"}


def test_rechecks_of_several_batches_land_the_newest_of_a_key_whatever_its_batch(home):
    standard = (home / "standards" / "small_firm.yaml").read_text().replace("order: [appr_date]\n", "")
    (home / "standards" / "small_firm.yaml").write_text(standard)
    with opened(home) as wired:
        for run, where in (("r1", "旧址"), ("r2", "新址")):
            drop(home, "a.csv", [firm(1, name="", domicile=where)])
            wired.steps.ingest(FIRMS, run, everything=True)
    loosened(home)
    with opened(home) as wired:
        back = again(wired)
        assert (back.passed, back.runs) == (2, ("recheck-1-1", "recheck-1-2"))
        assert [row["domicile"] for row in shown(wired, "std_scjg.firms")] == ["新址"]


def test_a_row_from_quarantine_replaces_none_that_stood_further_down_in_its_own_batch(home):
    drop(home, "a.csv", [firm(1, name=""), firm(2, "先"), firm(1, "后"), firm(2, name="")])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        assert landed(wired) == {code(1): "后", code(2): "先"}
    loosened(home)
    with opened(home) as wired:
        back = again(wired)
        assert (back.passed, back.landed, back.superseded) == (2, 1, 1)
        assert landed(wired) == {code(1): "后", code(2): "None"}
        assert again(wired, "recheck-2").looked_at == 0


def test_a_row_from_quarantine_brings_no_record_back_that_the_rest_of_its_batch_deleted(home):
    more = 'read: {mode: full, deletes: {detect: flag, column: gone, values: ["Y"]}, max_deletes: 100}\n'
    add_resource(home, csv_source(), standard="small_firm@1", percent=100, more=more)
    rows = [[*firm(1, name=""), ""], [*firm(1), "Y"], [*firm(2), "Y"], [*firm(2, name=""), ""]]
    drop(home, "a.csv", rows, [*HEADER, "gone"])
    with opened(home) as wired:
        assert wired.steps.ingest(FIRMS, "r1").quarantined == 2
    loosened(home)
    with opened(home) as wired:
        back = again(wired)
        assert (back.passed, back.landed, back.superseded) == (2, 1, 1)
        assert set(landed(wired)) == {code(2)}


def test_rows_of_one_batch_that_come_back_one_by_one_keep_the_order_they_stood_in(home):
    drop(home, "a.csv", [firm(1, name=""), firm(1, name=""), firm(1, name="")])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        batch = only_batch(wired)

        def put_right(row, name):
            run = f"correction-{row}"
            return correct(wired.steps, wired.parts, FIRMS, batch, row, {"ent_name": name}, CHEN, "已核对", NOW, run)

        assert put_right(2, "第二行").landed == 1
        assert put_right(1, "第一行").superseded == 1
        assert landed(wired) == {code(1): "第二行"}
        assert put_right(3, "第三行").landed == 1
        assert landed(wired) == {code(1): "第三行"}


def test_rules_about_several_rows_see_the_whole_batch_as_it_stands_by_now(home):
    path = home / "standards" / "small_firm.yaml"
    path.write_text(
        path.read_text() + "  - {id: once, kind: unique, columns: [uscc], severity: error, indicator: '0304', zh: 唯一,"
        " en: Once, fix_zh: 去重, fix_en: Leave one}\n"
    )
    drop(home, "a.csv", [firm(1, "对"), firm(1, "错"), firm(2, "丙"), firm(2, "丁")])
    with opened(home) as wired:
        assert wired.steps.ingest(FIRMS, "r1").quarantined == 4
        batch = only_batch(wired)
        assert release(wired.steps, wired.parts, FIRMS, batch, [1], CHEN, "已核对", NOW, "release-1").landed == 1
        assert again(wired).passed == 0
        with pytest.raises(RunError, match=r"RUN-RETURN-FAILS.*violate once\."):
            correct(wired.steps, wired.parts, FIRMS, batch, 4, {"ent_name": "戊"}, CHEN, "x", NOW, "correction-0")
        put = {"uscc": code(3)}
        assert correct(wired.steps, wired.parts, FIRMS, batch, 4, put, CHEN, "已核对", NOW, "correction-1").landed == 1
        assert again(wired, "recheck-2").landed == 1
        assert landed(wired) == {code(1): "对", code(2): "丙", code(3): "丁"}
        assert {row for _, row in lying(wired)} == {2}


def test_a_corrected_row_is_judged_like_any_other_and_leads_back_to_where_it_came_from(home):
    drop(home, "a.csv", [firm(1), [WRONG, "乙", "2024-01-01", "杭州"]])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        batch = only_batch(wired)

        def fix(changes, run="correction-1", by=CHEN):
            return correct(wired.steps, wired.parts, FIRMS, batch, 2, changes, by, "与执照核对", NOW, run)

        with pytest.raises(RunError, match="RUN-HELD-RIGHT"):
            fix({"uscc": code(2)}, by=CLERK)
        with pytest.raises(RunError, match="RUN-RETURN-COLUMN"):
            fix({"phone": "1"})
        with pytest.raises(RunError, match="RUN-RETURN-FAILS"):
            fix({"uscc": "1"})
        assert lying(wired) == {(batch, 2)}
        assert fix({"uscc": code(2)}).landed == 1
        assert landed(wired)[code(2)] == "乙"
        assert lying(wired) == set()
        (one,) = Holds(wired.state.engine).of_run("correction-1")
        assert (one.kind, one.origin, one.row, one.changed, one.who, one.why) == (
            "correction", batch, 2, ("uscc",), "chen", "与执照核对",
        )  # fmt: skip
        with pytest.raises(RunError, match="RUN-RETURN-ROW"):
            fix({"uscc": code(3)}, "correction-2")
        wired.steps.ingest(FIRMS, "r2", everything=True)
        assert landed(wired)[code(2)] == "乙", "the same content again changes nothing"
        assert quarantine(wired, wired.deployment.resource(FIRMS)) == []


def test_a_released_row_lands_as_it_is_and_says_which_rules_were_let_pass(home):
    drop(home, "a.csv", [firm(1), firm(2, name=""), [WRONG, "", "2024-01-01", "杭州"]])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        batch = only_batch(wired)
        back = release(wired.steps, wired.parts, FIRMS, batch, [2], CHEN, "名称待核", NOW, "release-1")
        assert (back.passed, back.landed) == (1, 1)
        assert set(landed(wired)) == {code(1), code(2)}
        assert lying(wired) == {(batch, 3)}
        (one,) = Holds(wired.state.engine).returned(FIRMS)
        assert (one.kind, one.accepted) == ("release", ("ent_name_required",))
        with pytest.raises(RunError, match="RUN-RETURN-ROW"):
            release(wired.steps, wired.parts, FIRMS, batch, [1], CHEN, "不在隔离区", NOW, "release-2")


def test_a_row_without_a_key_cannot_be_released(home):
    drop(home, "a.csv", [firm(1), ["", "丙", "2024-01-01", "杭州"]])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        with pytest.raises(RunError, match="RUN-RETURN-FAILS"):
            release(wired.steps, wired.parts, FIRMS, only_batch(wired), [2], CHEN, "放行", NOW, "release-1")


@pytest.mark.parametrize("where", ["keep", "check_batch", "land_batch"])
def test_a_recheck_that_dies_anywhere_is_made_up_for_and_nothing_lands_twice(home, monkeypatch, where):
    drop(home, "a.csv", [firm(1), firm(2, name="")])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
    loosened(home)

    def die(*_, **__):
        raise KeyboardInterrupt

    with opened(home) as wired:
        with monkeypatch.context() as patch:
            patch.setattr(f"runs.{'recheck' if where == 'keep' else 'steps'}.{where}", die)
            with pytest.raises(KeyboardInterrupt):
                again(wired)
        assert set(landed(wired)) == {code(1)}
        again(wired, "recheck-2")
        drop(home, "b.csv", [firm(3)])
        wired.steps.ingest(FIRMS, "r2")
        assert set(landed(wired)) == {code(1), code(2), code(3)}
        assert len(shown(wired, "std_scjg.firms")) == 3
        assert len(Holds(wired.state.engine).returned(FIRMS)) == 1


def test_what_the_reader_said_of_a_row_is_shown_with_it_be_its_batch_landed_or_held(home):
    drop(home, "a.csv", [firm(1), [code(2), "多", "2024-01-01", "杭州", "多出的一列"]])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        resource = wired.deployment.resource(FIRMS)
        (row,) = quarantine(wired, resource, clear=True)
        assert row["rules"] == ["row_shape"]
        assert "5" in str(row["detail"])
        assert "detail" not in quarantine(wired, resource)[0], "it may quote what was received"
    add_resource(home, csv_source(), standard="small_firm@1", percent=0)
    drop(home, "a.csv", [firm(1), firm(4, name=""), [code(2), "多", "2024-02-01", "杭州", "多出的一列"]])
    with opened(home) as wired:
        assert wired.steps.ingest(FIRMS, "r2", everything=True).held == 3
        rows = quarantine(wired, wired.deployment.resource(FIRMS), clear=True)
        assert [(row["_row"], row["rules"]) for row in rows[:2]] == [(2, ["ent_name_required"]), (3, ["row_shape"])]
        assert "5" in str(rows[1]["detail"])
        assert rows[0]["key"] == code(4)
        assert json.loads(str(rows[0]["received"]))["统一社会信用代码"] == code(4)
        assert rows[2]["_run"] == "r1"
