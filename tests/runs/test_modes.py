"""What a department changes and deletes reaches the tables, whichever way its system can be read again."""

from __future__ import annotations

from pathlib import Path

import pytest
from departmental_table import CHANGING, change, delete, firm, reads, system
from small_deployment import (
    LIBRARY,
    SMALL_STANDARD,
    add_resource,
    code,
    csv_source,
    drop,
    landed,
    lay_out,
    looked_up,
    opened,
    quarantined,
    write_small_standard,
)

from connectors import SourceError
from runs.errors import RunError

FIRMS = "scjg.firms"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    lay_out(tmp_path)
    write_small_standard(tmp_path)
    return tmp_path


def fates(report) -> tuple[int, ...]:
    """pulled, landed, quarantined, superseded, deleted, held; every row has one."""
    counts = (report.landed, report.quarantined, report.superseded, report.deleted, report.held)
    assert report.pulled == sum(counts)
    return (report.pulled, *counts)


def names(wired) -> set[str]:
    return set(landed(wired))


def test_a_snapshot_tells_new_changed_and_gone_records_from_those_that_stayed(home):
    table = system(home)
    reads(home, "{mode: snapshot_diff, max_deletes: 50}")
    change(table, rows=[firm(n, f"公司{n}𠮷") for n in range(20)])
    with opened(home) as wired:
        assert fates(wired.steps.ingest(FIRMS, "r1")) == (20, 20, 0, 0, 0, 0)
        unchanged = wired.steps.ingest(FIRMS, "r2")
        assert (unchanged.batch, unchanged.pulled, unchanged.changed) == (None, 0, False)
        change(table, f"UPDATE ent SET entname = '改名' WHERE uniscid = '{code(3)}'", rows=[firm(30)])
        delete(table, 4, 5)
        assert fates(wired.steps.ingest(FIRMS, "r3")) == (4, 2, 0, 0, 2, 0)
        assert names(wired) == {code(n) for n in (*range(4), *range(6, 20), 30)}
        assert landed(wired)[code(3)] == "改名"
        assert wired.state.run("r3").deleted == 2
        assert len(wired.store.folders("snapshots")) == 2


def test_a_deleted_record_that_comes_back_lands_and_is_deleted_again(home):
    table = system(home)
    reads(home, "{mode: snapshot_diff}")
    change(table, rows=[firm(n) for n in range(20)])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        for turn in ("a", "b"):
            delete(table, 7)
            assert wired.steps.ingest(FIRMS, f"gone-{turn}").deleted == 1
            assert code(7) not in names(wired)
            change(table, rows=[firm(7)])
            assert wired.steps.ingest(FIRMS, f"back-{turn}").landed == 1
            assert code(7) in names(wired)


def test_a_table_read_as_empty_deletes_nothing_until_somebody_says_so(home):
    table = system(home)
    reads(home, "{mode: snapshot_diff}")
    change(table, rows=[firm(n) for n in range(40)])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        change(table, "DELETE FROM ent")
        held = wired.steps.ingest(FIRMS, "r2")
        assert (held.decision, fates(held)) == ("hold", (40, 0, 0, 0, 0, 40))
        assert "100.0%" in held.reason_en
        assert "max_deletes" in held.reason_zh
        assert wired.state.run("r2").status == "held"
        change(table, rows=[firm(n) for n in range(1, 41)])
        assert fates(wired.steps.ingest(FIRMS, "r3")) == (2, 1, 0, 0, 1, 0)
        assert names(wired) == {code(n) for n in range(1, 41)}


def test_held_deletions_come_again_and_land_once_the_limit_is_raised(home):
    table = system(home)
    reads(home, "{mode: snapshot_diff}")
    change(table, rows=[firm(n) for n in range(40)])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        delete(table, *range(20))
        assert wired.steps.ingest(FIRMS, "r2").held == 20
        again = wired.steps.ingest(FIRMS, "r3")
        assert (again.held, again.repeated) == (20, True)
    reads(home, "{mode: snapshot_diff, max_deletes: 60}")
    with opened(home) as wired:
        assert wired.steps.ingest(FIRMS, "r4").deleted == 20
        assert names(wired) == {code(n) for n in range(20, 40)}
        assert wired.steps.ingest(FIRMS, "r5").pulled == 0


def test_a_key_with_several_records_is_gone_with_the_last_of_them(home):
    table = system(home)
    reads(home, "{mode: snapshot_diff, max_deletes: 100}")
    change(table, rows=[firm(1, "A"), firm(1, "B"), firm(2), *(firm(n) for n in range(3, 9))])
    with opened(home) as wired:
        assert wired.steps.ingest(FIRMS, "r1").superseded == 1
        assert wired.steps.ingest(FIRMS, "r2").pulled == 0
        change(table, "DELETE FROM ent WHERE entname = 'B'")
        assert fates(wired.steps.ingest(FIRMS, "r3")) == (1, 1, 0, 0, 0, 0)
        assert landed(wired)[code(1)] == "A"
        delete(table, 1)
        assert wired.steps.ingest(FIRMS, "r4").deleted == 1
        assert code(1) not in names(wired)


def test_reading_everything_by_hand_lands_all_again_and_still_notices_what_is_gone(home):
    table = system(home)
    reads(home, "{mode: snapshot_diff}")
    change(table, rows=[firm(n) for n in range(20)])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1", everything=True)
        delete(table, 3)
        assert fates(wired.steps.ingest(FIRMS, "r2", everything=True)) == (20, 0, 0, 19, 1, 0)
        assert code(3) not in names(wired)


def test_a_file_that_is_replaced_is_compared_with_the_one_before(home):
    add_resource(
        home, '{kind: csv, path: "{home}/drops/all.csv"}', more="read: {mode: snapshot_diff, max_deletes: 100}\n"
    )
    rows = [[code(n), "甲有限公司", "2024-01-01", "杭州市西湖区"] for n in range(5)]
    drop(home, "all.csv", [*rows, [code(8), "短行"]])
    with opened(home) as wired:
        assert fates(wired.steps.ingest(FIRMS, "r1")) == (6, 5, 1, 0, 0, 0)
        drop(home, "all.csv", [*rows[1:], [code(8), "短行"]])
        assert fates(wired.steps.ingest(FIRMS, "r2")) == (1, 0, 0, 0, 1, 0)
        assert names(wired) == {code(n) for n in range(1, 5)}
        assert len(quarantined(wired)) == 1


def test_a_cursor_never_sees_deletions_and_a_sweep_of_the_keys_does(home):
    table = system(home, ", changed INTEGER")
    reads(home, "{deletes: {detect: key_sweep}, max_deletes: 50}", CHANGING)
    change(table, rows=[firm(n, "甲", "2024-01-01", n) for n in range(20)])
    with opened(home) as wired:
        assert fates(wired.steps.ingest(FIRMS, "r1")) == (20, 20, 0, 0, 0, 0)
        delete(table, 4, 19)
        change(table, rows=[firm(30, "新", "2024-01-01", 40)])
        assert fates(wired.steps.ingest(FIRMS, "r2"))[4] == 2
        assert names(wired) == {code(n) for n in (*range(4), *range(5, 19), 30)}
        assert wired.steps.ingest(FIRMS, "r3").deleted == 0


def test_a_sweep_waits_for_its_time_unless_everything_is_read(home):
    table = system(home, ", changed INTEGER")
    reads(home, "{deletes: {detect: key_sweep, every: 1d}, max_deletes: 50}", CHANGING)
    change(table, rows=[firm(n, "甲", "2024-01-01", n) for n in range(10)])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        delete(table, 4)
        change(table, rows=[firm(30, "新", "2024-01-01", 40)])
        assert wired.steps.ingest(FIRMS, "r2").deleted == 0
        assert wired.steps.ingest(FIRMS, "r3", everything=True).deleted == 1
        assert code(4) not in names(wired)


def test_a_column_of_soft_deletes_is_believed_and_its_rows_are_not_judged(home):
    table = system(home, ", is_deleted TEXT")
    reads(home, '{mode: full, deletes: {detect: flag, column: is_deleted, values: ["Y"]}, max_deletes: 50}')
    change(table, rows=[firm(n, "甲", "2024-01-01", "N") for n in range(10)])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        change(table, f"UPDATE ent SET is_deleted = ' y ', entname = NULL, dom = NULL WHERE uniscid = '{code(2)}'")
        change(table, rows=[("坏码", None, None, None, "Y"), (None, None, None, None, "Y")])
        assert fates(wired.steps.ingest(FIRMS, "r2")) == (12, 0, 1, 10, 1, 0)
        assert code(2) not in names(wired)
        assert list(quarantined(wired).values()) == [["WH-KEY-NULL"]]


def test_a_flag_column_that_is_not_there_is_named_with_those_that_are(home):
    change(system(home), rows=[firm(1)])
    reads(home, "{mode: full, deletes: {detect: flag, column: deleted}}")
    with opened(home) as wired, pytest.raises(SourceError, match="SRC-CHANGED") as caught:
        wired.steps.ingest(FIRMS, "r1")
    assert "entname" in caught.value.en


@pytest.mark.parametrize("words", [("I", "U", "D"), ("insert", "update", "delete")])
def test_shared_tables_say_by_their_control_columns_what_a_row_does_and_when(home, words):
    insert, update, remove = words
    table = system(home, ", dsc_biz_operation TEXT, DSC_BIZ_TIMESTAMP TEXT, dsc_biz_record_id TEXT")
    reads(home, "")
    day = "2024-01-01"
    change(table, rows=[
        firm(1, "后", day, update, "2024-03-02 10:00:00", "9"),
        firm(1, "先", day, insert, "2024-03-01 10:00:00", "8"),
        firm(2, "同时二", day, update, "2024-03-01 10:00:00", "10"),
        firm(2, "同时一", day, insert, "2024-03-01 10:00:00", "9"),
        firm(3, "删后", day, remove, "2024-03-05 10:00:00", "12"),
        firm(3, "删前", day, insert, "2024-03-01 10:00:00", "11"),
        firm(4, "怪", day, "X", "2024-03-01 10:00:00", "13"),
    ])  # fmt: skip
    with opened(home) as wired:
        assert fates(wired.steps.ingest(FIRMS, "r1")) == (7, 2, 1, 4, 0, 0)
        assert landed(wired) == {code(1): "后", code(2): "同时二"}
        change(table, "DELETE FROM ent", rows=[
            firm(1, "迟到", day, update, "20240301120000", "9"),
            firm(2, "删", day, remove, "2024-03-01T10:00:00.500", "14"),
            firm(3, "重录", day, insert, "2024-03-06 00:00:00", "15"),
        ])  # fmt: skip
        assert fates(wired.steps.ingest(FIRMS, "r2")) == (3, 1, 0, 1, 1, 0)
        assert landed(wired) == {code(1): "后", code(3): "重录"}


def test_tables_older_than_those_have_control_columns_of_their_own(home):
    table = system(home, ", cd_operation TEXT, cd_time TEXT, cd_id TEXT, cd_batch TEXT")
    reads(home, "{control: cd}")
    change(table, rows=[firm(1, "新", "2024-01-01", "U", "2024-03-02", "2", "b"),
                        firm(1, "旧", "2024-01-01", "I", "2024-03-01", "1", "b")])  # fmt: skip
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        assert landed(wired) == {code(1): "新"}


def test_the_key_of_a_snapshot_must_be_what_feeds_the_key_of_the_standard(home):
    change(system(home), rows=[firm(1)])
    reads(home, "{mode: snapshot_diff, key: [entname]}")
    with opened(home) as wired, pytest.raises(RunError, match="RUN-READ-KEY") as caught:
        wired.steps.ingest(FIRMS, "r1")
    assert "key: [uniscid]" in caught.value.fix_en


def test_a_firm_is_served_until_the_last_department_deletes_it(home):
    table = system(home)
    reads(home, "{mode: snapshot_diff, max_deletes: 100}")
    add_resource(home, csv_source(), "taxpayers", "swj", standard=SMALL_STANDARD)
    change(table, rows=[firm(n, "市监", "2024-01-01") for n in range(1, 4)])
    drop(home, "a.csv", [[code(2), "税务", "2023-01-01", "宁波"]])
    with opened(home) as wired:

        def publish(run: str) -> int:
            wired.steps.merge(LIBRARY, run)
            return wired.steps.publish(LIBRARY, run).records

        wired.steps.ingest(FIRMS, "r1")
        wired.steps.ingest("swj.taxpayers", "t1")
        assert publish("m1") == 3
        delete(table, 1, 2)
        assert wired.steps.ingest(FIRMS, "r2").deleted == 2
        assert publish("m2") == 2
        assert looked_up(home, 1) is None
        assert looked_up(home, 2)["ent_name"] == "税务"
        delete(table, 3)
        assert wired.steps.ingest(FIRMS, "r3").deleted == 1
        assert publish("m3") == 1
        assert looked_up(home, 3) is None
        assert looked_up(home, 2)["ent_name"] == "税务"
