"""What a resource file may say of reading again, and what it is told when two things do not go together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from runs.reading import FLAGS, Deletes, Reading, read_reading
from schemas.errors import StandardError
from schemas.lines import read

CURSOR = {"cursor": {"column": "updated_at"}}


def said(folder: Path, text: str, kind: str = "sql", options: dict | None = None) -> Reading:
    path = folder / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return read_reading(read(path), kind, options or {})


def test_a_file_that_says_nothing_reads_in_full_or_by_its_cursor(tmp_path):
    assert said(tmp_path, "resource: r\n") == Reading()
    assert said(tmp_path, "resource: r\n", options=CURSOR).mode == "cursor"


def test_where_there_is_no_cursor_a_snapshot_is_compared(tmp_path):
    expected = Reading("snapshot_diff", deletes=Deletes("snapshot_diff"), max_deletes=20)
    assert said(tmp_path, "read: {max_deletes: 20}\n") == expected
    assert said(tmp_path, "read: {mode: snapshot_diff, key: [id]}\n").key == ("id",)


def test_a_change_log_with_control_columns_is_read_whole(tmp_path):
    assert said(tmp_path, "read: {control: dsc}\n").mode == "full"


def test_deletes_are_noticed_as_the_file_says(tmp_path):
    flag = said(tmp_path, 'read: {mode: full, deletes: {column: gone, values: [" Y", "01"]}}\n')
    assert flag.deletes == Deletes("flag", "gone", ("y", "01"))
    assert said(tmp_path, "read: {mode: full, deletes: {column: gone}}\n").deletes.values == FLAGS
    sweep = said(tmp_path, "read: {deletes: {detect: key_sweep, every: 12h}}\n", options=CURSOR)
    assert (sweep.mode, sweep.deletes.every) == ("cursor", timedelta(hours=12))


WRONG = {
    "a cursor beside a snapshot": ("{mode: snapshot_diff}", "sql", CURSOR, "source.cursor"),
    "a cursor beside a full read": ("{mode: full}", "sql", CURSOR, "source.cursor"),
    "no cursor": ("{mode: cursor}", "sql", {}, "cursor: <column>"),
    "an unknown mode": ("{mode: snapshot}", "sql", {}, "snapshot_diff"),
    "an unknown key": ("{modes: full}", "sql", {}, "mode"),
    "snapshot deletes without a snapshot": ("{deletes: {detect: snapshot_diff}}", "sql", CURSOR, "key_sweep"),
    "a sweep of a snapshot": ("{mode: snapshot_diff, deletes: {detect: key_sweep}}", "sql", {}, "snapshot_diff"),
    "a sweep of files": ("{mode: full, deletes: {detect: key_sweep}}", "csv", {}, "snapshot_diff"),
    "a flag without its column": ("{mode: full, deletes: {detect: flag}}", "sql", {}, "is_deleted"),
    "a column without a flag": ("{mode: full, deletes: {detect: none, column: x}}", "sql", {}, "detect: flag"),
    "a time without a sweep": ("{mode: full, deletes: {detect: none, every: 1d}}", "sql", {}, "detect: key_sweep"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_go_together_is_told_with_the_line_and_what_to_write(tmp_path, case):
    text, kind, options, fix = WRONG[case]
    with pytest.raises(StandardError) as caught:
        said(tmp_path, f"read: {text}\n", kind, options)
    assert fix in caught.value.fix_en
    assert caught.value.zh
    assert caught.value.fix_zh
    assert "r.yaml:1" in str(caught.value)


@pytest.mark.parametrize("grows", ["window", "since"])
def test_a_service_read_by_time_needs_no_other_cursor(tmp_path, grows):
    path = tmp_path / "r.yaml"
    path.write_text("read: {control: none}\n")
    assert read_reading(read(path), "rest", {grows: {"x": "y"}}).mode == "cursor"
    path.write_text("read: {mode: snapshot_diff}\n")
    with pytest.raises(StandardError, match=rf"source\.{grows}"):
        read_reading(read(path), "rest", {grows: {"x": "y"}})


def test_pushed_batches_are_never_taken_for_all_there_is(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("read: {control: none}\n")
    assert read_reading(read(path), "push", {}).mode == "full"
    path.write_text("read: {mode: snapshot_diff}\n")
    with pytest.raises(StandardError, match="push"):
        read_reading(read(path), "push", {})
