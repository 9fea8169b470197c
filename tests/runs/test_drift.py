"""Changed columns are seen before anything is read; what feeds a field stops the run until somebody has looked."""

from types import SimpleNamespace

import pytest

from runs.drift import DriftPolicy, compare, read_drift, watch
from runs.errors import RunError
from schemas.errors import StandardError
from schemas.lines import read
from schemas.load import find_standard
from schemas.values import StreamInfo
from warehouse.state import State
from warehouse.state.streams import Streams

STANDARD = find_standard("legal_person@1")
BEFORE = {"uniscid": "VARCHAR(18)", "entname": "TEXT", "memo": "TEXT"}


@pytest.fixture
def streams(tmp_path):
    state = State(f"sqlite:///{tmp_path}/state.db")
    state.migrate()
    yield Streams(state.engine)
    state.close()


def seen(streams, columns, policy=None, run="r", declared=True):
    stream = StreamInfo("t", columns, declared=declared)
    resource = SimpleNamespace(id="gsj.base", checked=STANDARD, columns={}, drift=policy or DriftPolicy())
    return watch(streams, resource, run, stream)


def test_new_missing_and_retyped_columns_are_told_apart():
    now = {"uniscid": "CHAR(18)", "entname": "TEXT", "fax": "TEXT"}
    changes = compare(BEFORE, now, {"uniscid"})
    assert [(one.kind, one.column, one.feeds) for one in changes] == [
        ("missing_column", "memo", False),
        ("type_change", "uniscid", True),
        ("new_column", "fax", False),
    ]
    assert changes[1].said()["zh"] == "列 uniscid 的类型由 VARCHAR(18) 变为 CHAR(18)"


def test_the_first_run_and_an_unchanged_source_have_nothing_to_tell(streams):
    assert seen(streams, BEFORE) == []
    assert seen(streams, BEFORE, run="r2") == []
    assert len(streams.history("gsj.base")) == 1


def test_a_column_that_feeds_nothing_may_come_and_go_with_a_word(streams):
    seen(streams, BEFORE)
    told = seen(streams, {"uniscid": "VARCHAR(18)", "entname": "TEXT", "fax": "TEXT"}, run="r2")
    assert [one.kind for one in told] == ["missing_column", "new_column"]
    assert seen(streams, {"uniscid": "VARCHAR(18)", "entname": "TEXT", "fax": "TEXT"}, run="r3") == []


def test_a_missing_column_that_feeds_a_field_stops_every_run_until_it_is_accepted(streams):
    seen(streams, BEFORE)
    gone = {"uniscid": "VARCHAR(18)", "memo": "TEXT"}
    for run in ("r2", "r2", "r3"):
        with pytest.raises(RunError, match=r"RUN-DRIFT.*entname.*--accept") as raised:
            seen(streams, gone, run=run)
    assert not raised.value.retryable
    assert len(streams.history("gsj.base")) == 2
    assert streams.accept("gsj.base").columns == gone
    assert seen(streams, gone, run="r4") == []
    assert streams.accept("gsj.base") is None


def test_the_column_coming_back_needs_no_accepting(streams):
    seen(streams, BEFORE)
    with pytest.raises(RunError):
        seen(streams, {"uniscid": "VARCHAR(18)"}, run="r2")
    assert seen(streams, BEFORE, run="r3") == []


def test_columns_only_seen_in_records_are_not_judged(streams):
    seen(streams, BEFORE)
    assert seen(streams, {"a": "json"}, declared=False) == []


def test_the_policy_is_read_from_the_resource_file(tmp_path, streams):
    path = tmp_path / "r.yaml"
    path.write_text("drift: {new_column: stop, missing_column: ignore}\n")
    policy = read_drift(read(path))
    assert policy == DriftPolicy("stop", "ignore", "warn")
    seen(streams, BEFORE)
    assert seen(streams, {"uniscid": "VARCHAR(18)"}, policy, "r2") == []
    with pytest.raises(RunError, match="new column x"):
        seen(streams, {"uniscid": "VARCHAR(18)", "x": "INT"}, policy, "r3")
    path.write_text("drift: {new_column: shout}\n")
    with pytest.raises(StandardError, match=r"r\.yaml"):
        read_drift(read(path))
