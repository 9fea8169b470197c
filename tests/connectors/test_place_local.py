"""Which files of a folder count, which wait and why, and what is said when a folder or file cannot be read."""

import errno
import hashlib
import logging
import os
import time

import pyarrow as pa
import pytest

from connectors import SourceError, SourceRefused, SourceUnavailable, open_source
from connectors.files.local import LocalPlace


def source(folder, **options):
    where = {} if "path" in options else {"folder": str(folder)}
    return open_source("csv", {**where, **options}, {"folder": str(folder)}, secrets=None)


def drop(folder, name, text="a\n1\n", age=3600.0):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def planned(src, position=None):
    return [split.options["file"] for split in src.plan(position)]


def taken(src, position=None):
    batches = [batch for split in src.plan(position) for batch in src.read(split)]
    return pa.Table.from_batches([batch.rows for batch in batches]), batches[-1].position


def test_files_still_being_written_under_another_name_are_never_taken(tmp_path):
    for name in (
        "a.csv",
        "DATA.CSV",
        "b.csv.tmp",
        "c.csv.filepart",
        "d.csv~",
        "~$e.csv",
        ".f.csv",
        "g.part",
        "h.csv.uploading",
    ):
        drop(tmp_path, name)
    assert planned(source(tmp_path)) == ["DATA.CSV", "a.csv"]
    assert planned(source(tmp_path, pattern="*")) == ["DATA.CSV", "a.csv"]
    (tmp_path / "b.csv.tmp").rename(tmp_path / "b.csv")
    assert planned(source(tmp_path)) == ["DATA.CSV", "a.csv", "b.csv"]


def test_a_file_waits_until_it_has_been_left_alone_for_as_long_as_settle_says(tmp_path, caplog):
    drop(tmp_path, "old.csv", age=120)
    drop(tmp_path, "new.csv", age=5)
    drop(tmp_path, "clock ahead.csv", age=-3600)
    src = source(tmp_path, settle="60s")
    with caplog.at_level(logging.INFO, "connectors.files"):
        assert planned(src) == ["clock ahead.csv", "old.csv"]
    assert "new.csv waits: changed less than 60 seconds ago" in caplog.text
    [line] = [line for line in src.check() if not line.ok]
    assert "new.csv" in line.zh
    assert "60 秒内有改动" in line.zh
    os.utime(tmp_path / "new.csv", (1, 1))
    assert len(planned(src)) == 3


@pytest.mark.parametrize("name", ["a.csv.done", "a.done"])
def test_any_ending_may_seal_a_file_and_its_content_need_not_be_ours(tmp_path, name):
    drop(tmp_path, "a.csv")
    src = source(tmp_path, seal=".done")
    assert planned(src) == []
    assert any("a.csv" in line.en and ".done" in line.en for line in src.check() if not line.ok)
    drop(tmp_path, name, "finished at 23:05, 完成")
    assert taken(src)[0].num_rows == 1
    assert planned(source(tmp_path, seal=".done", pattern="*")) == ["a.csv"]


@pytest.mark.parametrize("where", [{}, {"path": "a.csv"}])
def test_the_seal_of_yesterday_is_none_for_the_file_that_is_written_today(tmp_path, where):
    drop(tmp_path, "a.csv", "a\n1\n2\n", age=7200)
    drop(tmp_path, "a.csv.ok", "", age=7200)
    table, position = taken(source(tmp_path, seal=".ok", **where))
    assert table.num_rows == 2
    drop(tmp_path, "a.csv", "a\n1\n", age=60)  # written as far as this
    src = source(tmp_path, seal=".ok", **where)
    assert planned(src, position) == []
    assert any("a.csv" in line.zh and ".ok 文件早于该文件" in line.zh for line in src.check() if not line.ok)
    drop(tmp_path, "a.csv.ok", "rows=1", age=7200)  # what it says can be compared
    assert taken(src, position)[0].num_rows == 1
    drop(tmp_path, "a.csv.ok", "", age=60)
    assert taken(source(tmp_path, seal=".ok", **where), position)[0].num_rows == 1


@pytest.mark.parametrize(("seal", "digest"), [(".md5", hashlib.md5), (".sha256", hashlib.sha256)])
def test_a_digest_file_as_the_usual_tools_write_it_is_verified(tmp_path, seal, digest):
    path = drop(tmp_path, "a.csv")
    right = digest(path.read_bytes()).hexdigest()
    for said in (f"{right.upper()}", f"{right}  a.csv\n", f"\ufeff{right} *a.csv\r\n"):
        drop(tmp_path, f"a.csv{seal}", said)
        assert taken(source(tmp_path, seal=seal))[0].num_rows == 1
    drop(tmp_path, f"a.csv{seal}", "0" * len(right))
    src = source(tmp_path, seal=seal)
    [split] = src.plan(None)
    with pytest.raises(SourceError, match=rf"SRC-FILE-MANIFEST.*{right}"):
        assert all(batch.position is None for batch in src.read(split))


def test_a_late_file_is_taken_and_a_replaced_one_again_and_that_is_said(tmp_path, caplog):
    drop(tmp_path, "2026-11-02.csv", "a\n2\n")
    drop(tmp_path, "2026-11-03.csv", "a\n3\n")
    _, position = taken(source(tmp_path))
    drop(tmp_path, "2026-11-01.csv", "a\n1\n", age=9_000_000)
    drop(tmp_path, "2026-11-02.csv", "a\nII\n", age=60)
    src = source(tmp_path)
    with caplog.at_level(logging.INFO, "connectors.files"):
        table, position = taken(src, position)
    assert table["a"].to_pylist() == ["1", "II"]
    assert "2026-11-02.csv was replaced by the department and is taken again: 1 records" in caplog.text
    assert "2026-11-01.csv was replaced" not in caplog.text
    (tmp_path / "2026-11-03.csv").unlink()
    assert planned(source(tmp_path), position) == []
    drop(tmp_path, "2026-11-03.csv", "a\n3\n", age=1)
    assert planned(source(tmp_path), position) == []
    drop(tmp_path, "2026-11-02.csv", "a\n2\n", age=50)
    assert planned(source(tmp_path), position) == ["2026-11-02.csv"]


def test_a_pattern_reaches_into_subfolders_through_links_and_never_twice(tmp_path):
    drop(tmp_path, "in/2026/11/a.csv")
    drop(tmp_path, "in/b.csv")
    drop(tmp_path, "elsewhere/c.csv")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "2026" / "round").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "dangling.csv").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "in" / "pipe.csv")
    assert planned(source(tmp_path / "in")) == ["b.csv"]
    assert planned(source(tmp_path / "in", pattern="**/*.csv")) == ["2026/11/a.csv", "b.csv", "linked/c.csv"]
    assert planned(source(tmp_path / "in", pattern="2026/*/a.csv")) == ["2026/11/a.csv"]


def test_names_that_are_no_utf8_are_shown_as_chinese_and_opened(tmp_path):
    path = os.fsencode(tmp_path) + b"/" + "名单_㐂.csv".encode("gb18030")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    src = source(tmp_path)
    [split] = src.plan(None)
    assert split.options["file"] == "名单_㐂.csv"
    assert [batch.rows.num_rows for batch in src.read(split)] == [0]
    assert planned(source(tmp_path, path="名单_㐂.csv")) == ["名单_㐂.csv"]
    with pytest.raises(SourceError, match=r"SRC-FILE-MISSING.*名单_㐂\.csv"):
        source(tmp_path, path="名单_㐃.csv").plan(None)


def test_a_folder_where_a_file_is_meant_and_the_other_way_round_is_said(tmp_path):
    drop(tmp_path, "drops/a.csv")
    with pytest.raises(SourceError, match=r"SRC-FILE-FOLDER.*is a folder.*source\.folder"):
        source(tmp_path, path="drops").plan(None)
    with pytest.raises(SourceError, match=r"SRC-FILE-FOLDER.*is a file.*source\.path"):
        source(tmp_path / "drops" / "a.csv").plan(None)
    [line] = source(tmp_path, path="drops").check()
    assert "source.folder" in line.en


def test_a_folder_or_file_that_vanishes_during_a_run_is_for_the_next_one(tmp_path):
    drop(tmp_path, "in/a.csv")
    drop(tmp_path, "in/b.csv")
    src = source(tmp_path / "in")
    first, second = src.plan(None)
    assert list(src.read(first))[-1].position is not None
    (tmp_path / "in").rename(tmp_path / "moved")
    with pytest.raises(SourceUnavailable, match=r"SRC-FILE-CHANGING.*b\.csv") as caught:
        list(src.read(second))
    assert caught.value.retryable
    with pytest.raises(SourceError, match=r"SRC-FILE-MISSING.*moved"):
        src.plan(None)


@pytest.mark.parametrize(
    "fault",
    [
        (errno.EACCES, "SRC-FILE-REFUSED", SourceRefused),
        (errno.EIO, "SRC-FILE-UNREADABLE", SourceUnavailable),
        (errno.ESTALE, "SRC-FILE-UNREADABLE.*mount has gone stale", SourceUnavailable),
        (errno.ENOENT, "SRC-FILE-CHANGING", SourceUnavailable),
    ],
)
@pytest.mark.parametrize("when", ["listing", "opening", "reading"])
def test_what_the_system_says_of_a_file_names_it_and_the_next_step(tmp_path, monkeypatch, fault, when):
    number, code, kind = fault
    drop(tmp_path, "a.csv")
    failure = OSError(number, os.strerror(number))

    class Failing:
        def __init__(self, *_):
            pass

        def readinto(self, _):
            raise OSError(number, os.strerror(number))

        def seekable(self):
            return True

        def close(self):
            pass

    def failing(*_args, **_kwargs):
        raise failure

    src = source(tmp_path)
    if when == "listing":
        monkeypatch.setattr("connectors.files.local.os.scandir", failing)
        with pytest.raises(kind, match=code):
            src.plan(None)
        return
    [split] = src.plan(None)
    if when == "opening":
        monkeypatch.setattr("connectors.files.local.Path.open", failing)
    else:
        monkeypatch.setattr(LocalPlace, "open", Failing)
    with pytest.raises(kind, match=rf"{code}.*|a\.csv") as caught:
        list(src.read(split))
    assert "a.csv" in caught.value.zh


def test_a_file_that_grows_while_it_is_read_is_not_remembered(tmp_path):
    path = drop(tmp_path, "a.csv", "a\n" + "1\n" * 200_000)
    src = source(tmp_path)
    [split] = src.plan(None)
    batches = src.read(split)
    assert next(batches).position is None
    with path.open("a") as file:
        file.write("2\n")
    with pytest.raises(SourceUnavailable, match="SRC-FILE-CHANGING"):
        assert all(batch.position is None for batch in batches)


def test_many_files_are_estimated_from_some_of_them(tmp_path):
    for number in range(95):
        drop(tmp_path, f"{number}.csv", "a\n" + f"{number:05}\n" * 50)
    assert source(tmp_path).estimate() == pytest.approx(95 * 50, rel=0.02)
    drop(tmp_path, "large/l.csv", "a,b\n" + "".join(f"{n:09},{n:09}\n" for n in range(400_000)))
    assert source(tmp_path / "large").estimate() == pytest.approx(400_000, rel=0.05)


def test_the_newest_file_shows_what_is_read_now(tmp_path):
    drop(tmp_path, "2016.csv", "老\n1\n", age=9_000_000)
    drop(tmp_path, "2026.csv", "新,列\n1,2\n", age=1)
    assert list(source(tmp_path).stream().columns) == ["新", "列"]
    assert list(source(tmp_path, manifest="ok").stream().columns) == []
    drop(tmp_path, "2016.csv.ok", "")
    assert list(source(tmp_path, manifest="ok").stream().columns) == ["老"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"settle": "soon"}, r"source\.settle"),
        ({"seal": "ok"}, r"source\.seal.*\.md5"),
        ({"manifest": "never"}, r"source\.manifest"),
        ({"pattern": "/etc/*.csv"}, r"source\.pattern"),
        ({"member": 3}, r"source\.member"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, options, said):
    with pytest.raises(SourceError, match=rf"SRC-OPTION.*{said}"):
        source(tmp_path, **options)
