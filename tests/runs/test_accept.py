"""A pushed batch is durable under its id, kept as it came, and landed by the resource's next run."""

import hashlib
import json

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from small_deployment import HEADER, add_resource, code, firm, landed, lay_out, looked_up, opened, quarantined

from connectors import SourceError
from connectors.services.push import batches_of
from runs.accept import PushConflict, Pushed, accept
from shutong.cli import main
from shutong.session import HELD
from warehouse.keep import keep, received

SOURCE = "{kind: push, secret: scjg_push}"


@pytest.fixture
def wired(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, SOURCE)
    with opened(home, scjg_push="s" * 32) as one:
        yield one


def pushed(batch, records, content_type="application/json"):
    body = records if isinstance(records, bytes) else json.dumps(records, ensure_ascii=False).encode()
    return Pushed(batch, content_type, body, hashlib.sha256(body).hexdigest())


def take(wired, *args):
    return accept(wired.store, wired.state, wired.deployment.resource("scjg.firms"), pushed(*args))


def firms(*rows):
    return [dict(zip(HEADER, row, strict=True)) for row in rows]


def ingest(wired, run):
    for step in (wired.steps.pull, wired.steps.check, wired.steps.land):
        step("scjg.firms", run)


def test_a_batch_is_kept_as_it_came_landed_by_the_next_run_and_answered_the_same_ever_after(wired):
    records = firms(firm(1, "𠮷野家有限公司"), firm(2))
    first = take(wired, "b1", records)
    assert (first.batch, first.rows, first.rejected, first.already) == ("b1", 2, 0, False)
    (manifest,) = wired.state.manifests("scjg.firms")
    assert received(wired.store, manifest)["企业名称"].to_pylist() == ["𠮷野家有限公司", "甲有限公司"]
    assert (wired.state.run(first.run).trigger, wired.state.run(first.run).pulled) == ("push", 2)
    again = take(wired, "b1", records)
    wired.steps.pull("scjg.firms", "died")  # a run that pulls, finds nothing and never checks
    ingest(wired, "nightly")
    assert landed(wired) == {code(1): "𠮷野家有限公司", code(2): "甲有限公司"}
    later = take(wired, "b1", records)
    for one in (again, later):
        assert one.already
        assert (one.run, one.rows, one.sha256, one.accepted_at) == (first.run, 2, first.sha256, first.accepted_at)
    assert len(wired.state.manifests("scjg.firms")) == 1
    assert wired.state.run(first.run).status == "done"


def test_the_same_id_with_other_content_is_refused_and_changes_nothing(wired):
    take(wired, "b1", firms(firm(1)))
    with pytest.raises(PushConflict, match=r"RUN-PUSH-CONFLICT.*b1.*other content"):
        take(wired, "b1", firms(firm(1, "改名有限公司")))
    (manifest,) = wired.state.manifests("scjg.firms")
    assert received(wired.store, manifest)["企业名称"].to_pylist() == ["甲有限公司"]


def test_batches_wait_together_the_last_word_counts_and_earlier_content_under_a_new_id_lands_again(wired):
    take(wired, "b1", firms(firm(1, "甲有限公司"), firm(2)))
    take(wired, "b2", firms(firm(1, "乙有限公司")))
    wired.steps.pull("scjg.firms", "first")
    assert wired.steps.check("scjg.firms", "first").pulled == 3
    report = wired.steps.land("scjg.firms", "first")
    assert (report.pulled, report.landed, report.superseded, report.changed) == (3, 3, 0, True)
    assert landed(wired) == {code(1): "乙有限公司", code(2): "甲有限公司"}
    take(wired, "b3", firms(firm(1, "甲有限公司"), firm(2)))
    ingest(wired, "second")
    assert landed(wired) == {code(1): "甲有限公司", code(2): "甲有限公司"}
    assert len(wired.state.manifests("scjg.firms")) == 3


def test_rows_of_a_wrong_shape_are_named_in_the_answer_and_kept(wired):
    records = [*firms(firm(1)), "stray", 17, {}, *firms(*map(firm, range(2, 9)))]
    done = take(wired, "b1", records)
    assert (done.rows, done.rejected) == (11, 2)
    assert [(one.row, one.rule) for one in done.rejects] == [(2, "row_shape"), (3, "row_shape")]
    assert "no JSON object" in done.rejects[0].detail
    assert take(wired, "b1", records).rejects == done.rejects
    ingest(wired, "nightly")
    assert set(quarantined(wired)) == {2, 3, 4}


def test_a_run_that_begins_while_a_batch_is_written_does_not_leave_it_marked_as_failed(wired, monkeypatch):
    def slowly(*args, **named):
        wired.steps.pull("scjg.firms", "meanwhile")
        return keep(*args, **named)

    monkeypatch.setattr("runs.accept.keep", slowly)
    run = wired.state.run(take(wired, "b1", firms(firm(1))).run)
    assert (run.status, run.step, run.error) == ("running", "pull", None)


def test_the_command_says_what_became_of_every_batch_that_waited(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, SOURCE, percent=0)
    with opened(home, scjg_push="s" * 32) as wired:
        take(wired, "b1", firms(firm(1), firm(2)))
        take(wired, "b2", firms(firm(3), ["91330300MA00000000", *firm(4)[1:]]))
        take(wired, "b3", firms(firm(5)))
    said = CliRunner().invoke(main, ["ingest", "firms"], env={"SHUTONG_HOME": str(home), "SHUTONG_LANG": "en"})
    assert said.exit_code == HELD
    assert "pulled 5 = landed 3 + quarantined 0 + superseded 0 + held 2" in said.stdout
    assert "checking the batches that wait" in said.stderr
    assert "landing 5 rows" in said.stderr
    assert [looked_up(home, number) is not None for number in (1, 3, 5)] == [True, False, True]


def test_a_pushed_record_may_say_that_it_was_deleted(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, SOURCE, more='read: {mode: full, deletes: {detect: flag, column: gone, values: ["Y"]}}\n')
    with opened(home, scjg_push="s" * 32) as wired:
        take(wired, "b1", [one | {"gone": gone} for one, gone in zip(firms(firm(1), firm(2)), "YN", strict=True)])
        (manifest,) = wired.state.manifests("scjg.firms")
        assert received(wired.store, manifest)["_op"].to_pylist() == ["D", None]
        with pytest.raises(SourceError, match=r"SRC-CHANGED.*gone"):
            take(wired, "b2", firms(firm(1)))


def test_a_batch_that_is_no_json_is_not_kept_and_its_id_stays_free(wired):
    with pytest.raises(SourceError, match=r"SRC-PUSH-JSON.*line 3 of b1"):
        take(wired, "b1", b'[\n{"a": "1"},\n{"a": ]')
    assert wired.state.manifests("scjg.firms") == []
    assert take(wired, "b1", firms(firm(1))).rows == 1


def test_an_empty_batch_and_records_without_fields_are_batches(wired):
    assert take(wired, "b1", []).rows == 0
    assert take(wired, "b2", [{}, "stray"]).rows == 2


# the three ways of writing a batch


def texts(batches):
    rows = [row for batch in batches for row in batch.rows.to_pylist()]
    return [(row["编号"], row["名"], row["_reject"]) for row in rows]


RECORDS = [("330127199001011234", "王镕𠮷", None), ("００１", "㐂", None)]


@pytest.mark.parametrize("charset", ["", "utf-8", "gbk", "gb18030"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", "text/csv"])
def test_each_way_of_writing_gives_the_same_text_in_every_encoding(kind, charset):
    said = [{"编号": number, "名": name} for number, name, _ in RECORDS]
    text = {
        "application/json": json.dumps(said, ensure_ascii=False),
        "application/x-ndjson": "\n".join(json.dumps(one, ensure_ascii=False) for one in said) + "\r\n\n",
        "text/csv": "编号,名\n" + "".join(f"{number},{name}\n" for number, name, _ in RECORDS),
    }[kind]
    body = text.encode("gb18030" if charset.startswith("gb") else "utf-8")
    assert texts(batches_of(body, f"{kind}; charset={charset}" if charset else kind, "b")) == RECORDS


def test_numbers_in_json_keep_their_digits():
    (batch,) = batches_of(b'[{"id": 330127199001011234, "c": 1.10}]', "application/json", "b")
    assert (batch.rows["id"][0].as_py(), batch.rows["c"][0].as_py()) == ("330127199001011234", "1.10")


def test_ragged_and_undecodable_csv_rows_are_rejects_with_their_lines():
    body = "编号,名\n1,甲\n2\n3,".encode() + b"\xff\n"
    rows = [row for batch in batches_of(body, "text/csv", "b") for row in batch.rows.to_pylist()]
    assert [row["_reject"] for row in rows] == [None, "row_shape", "bad_bytes"]
    assert "line 3" in rows[1]["_detail"]


def test_whoever_pushes_csv_is_told_what_they_can_change():
    body = "编号,名\n1,张三\n2,李四\n".encode("gb18030")
    with pytest.raises(SourceError, match=r"SRC-HEADER.*charset=gb18030") as torn:
        list(batches_of(body, "text/csv", "b"))
    rows = [row for batch in batches_of(b"a,b\n" + body, "text/csv", "b") for row in batch.rows.to_pylist()]
    assert "charset=gb18030" in rows[0]["_detail"]
    with pytest.raises(SourceError, match="SRC-HEADER") as twice:
        list(batches_of(b"a,a\n1,2\n", "text/csv", "b"))
    for error in (torn, twice):
        assert "push it again" in error.value.fix_en
        assert "encoding:" not in str(error.value) + str(rows)


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        ("application/xml", b"<a/>", "SRC-PUSH-TYPE.*application/xml.*text/csv"),
        ("", b"[]", "SRC-PUSH-TYPE"),
        ("application/json; charset=ebcdic-9", b"[]", "SRC-PUSH-TYPE.*ebcdic-9"),
        ("application/json", b'{"a": 1}', "SRC-PUSH-JSON.*line 1.*no JSON array"),
        ("application/json", b"[" * 100_000, "SRC-PUSH-JSON"),
        ("application/x-ndjson", b'{"a": 1}\n\n{"a": 1\n{}', "SRC-PUSH-JSON.*line 3"),
        ("application/json", b'[{"_row": "1"}]', "SRC-HEADER.*_row"),
        ("text/csv; charset=latin-1", b"a\n1\n", "SRC-PUSH-TYPE.*latin-1"),
        ("application/json", b"[" + b"1," * 6_000_000 + b"1]", "SRC-PUSH-MANY.*several batches"),
        ("application/x-ndjson", b"1\n" * 6_000_000, "SRC-PUSH-MANY"),
        ("application/json", json.dumps([{f"k{n}": 1} for n in range(8_000)]).encode(), "SRC-PUSH-MANY.*fields"),
        ("text/csv", b"a" + b"," * 100_000 + b"\n1" * 1_000, "SRC-PUSH-MANY"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not_what_its_type_says_is_refused_with_its_line(content_type, body, said):
    with pytest.raises(SourceError, match=said):
        list(batches_of(body, content_type, "b"))


@settings(deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "名"]), st.none() | st.text(st.characters(exclude_categories=["Cs"])))
    )
)
def test_whatever_is_pushed_as_json_lines_comes_out_as_it_was(records):
    body = "\n".join(json.dumps(one, ensure_ascii=False) for one in records).encode()
    rows = [row for batch in batches_of(body, "application/jsonl", "b") for row in batch.rows.to_pylist()]
    assert [{name: row.get(name) for name in ("a", "名")} for row in rows] == [
        {name: one.get(name) for name in ("a", "名")} for one in records
    ]
