"""The nightly round: compact, expire, sweep and verify a deployment, from the command line as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_deployment import (
    LIBRARY,
    SMALL_STANDARD,
    add_resource,
    csv_source,
    drop,
    firm,
    landed,
    lay_out,
    opened,
    write_small_standard,
)

from runs.errors import RunError
from runs.nightly import Nightly
from shutong.cli import main

FIRMS, TABLE = "scjg.firms", "std_scjg.firms"
BAD = ["911101084X", "乙公司", "2024-01-01", "杭州"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two landings, merged and published twice."""
    made = tmp_path_factory.mktemp("nightly")
    lay_out(made)
    write_small_standard(made)
    add_resource(made, csv_source(), standard=SMALL_STANDARD)
    with opened(made) as wired:
        for number, rows in enumerate(([firm(1), firm(2), BAD], [firm(2, "新", "2025-01-01"), firm(3)])):
            drop(made, f"{number}.csv", rows)
            wired.steps.ingest(FIRMS, f"r{number}")
            wired.steps.merge(LIBRARY, f"m{number}")
            wired.steps.publish(LIBRARY, f"p{number}")
    return made


def asked(monkeypatch: pytest.MonkeyPatch, home: Path, *words: str) -> tuple[int, dict]:
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    done = CliRunner().invoke(main, ["warehouse", *words, "--json"])
    return done.exit_code, json.loads(done.output)


def test_tables_are_compacted_and_what_is_read_stays_the_same(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(home) as wired:
        before, merged = landed(wired), wired.state.released(f"base.{LIBRARY}")
    code, told = asked(monkeypatch, home, "compact", "--always")
    changed = {one["table"]: one["changed"] for one in told["tables"]}
    assert (code, changed[TABLE], changed[f"base.{LIBRARY}"]) == (0, True, True)
    assert not any(one["changed"] for one in asked(monkeypatch, home, "compact")[1]["tables"])
    with opened(home) as wired:
        assert landed(wired) == before
        assert wired.state.released(f"base.{LIBRARY}") != merged
        assert wired.steps.publish(LIBRARY, "p9").records == 3
        assert wired.steps.merge(LIBRARY, "m9").records == 3
        drop(home, "9.csv", [firm(3, "改", "2026-01-01")])
        wired.steps.ingest(FIRMS, "r9")
        report = wired.steps.merge(LIBRARY, "m10")
        assert (report.records, report.changed) == (3, True)
        with pytest.raises(RunError, match=r"RUN-TABLE-UNKNOWN.*std_scjg\.none"):
            Nightly(wired.parts).tables(["std_scjg.none"])


def test_snapshots_are_expired_and_their_files_swept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUTONG_KEEP_RELEASES", "1")
    monkeypatch.setenv("SHUTONG_KEEP_DAYS", "0")
    with opened(home) as wired:
        before = landed(wired)
        assert all(one.changed for one in Nightly(wired.parts).compact([TABLE, TABLE], always=True))
    assert asked(monkeypatch, home, "expire")[0] == 0
    assert asked(monkeypatch, home, "sweep")[1]["tables"][0] == {"table": TABLE, "count": 0}
    with opened(home) as wired:
        assert sum(one.count for one in Nightly(wired.parts).sweep(hours=-1)) > 0
        assert landed(wired) == before


def test_verify_finds_nothing_wrong_and_then_each_damage(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = asked(monkeypatch, home, "verify")
    assert (code, told["ok"], told["errors"]) == (0, True, [])
    assert {one["kind"] for one in told["looked"]} == {"raw", "table", "serving"}
    with opened(home) as wired:
        manifest = wired.state.manifests(FIRMS)[0]
        raw = wired.store.local(manifest.files[0])
        planned = wired.tables.plan(TABLE, wired.state.released(TABLE))
    assert raw is not None
    content = raw.read_bytes()
    raw.chmod(0o600)
    raw.write_bytes(content[:-9] + b"x" + content[-8:])
    file = Path(planned.data[0].file_path.removeprefix("file://"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    code, told = asked(monkeypatch, home, "verify")
    assert (code, {one["code"] for one in told["errors"]}) == (1, {"WH-RAW-DAMAGED", "WH-TABLE-FILE"})
    raw.unlink()
    file.unlink()
    assert {one["code"] for one in asked(monkeypatch, home, "verify", "--days", "0")[1]["errors"]} == {
        "WH-RAW-DAMAGED",
        "WH-TABLE-FILE",
    }
    raw.write_bytes(content)
    file.write_bytes(whole)
    assert asked(monkeypatch, home, "verify")[0] == 0
