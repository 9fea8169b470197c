"""The commands that take releases back: they list, say what would change, do it when told to, and say who may."""

from __future__ import annotations

from test_cli import run, told

from tests.runs.small_deployment import add_resource, code, csv_source, drop, firm, lay_out, write_small_standard

ROLLBACK = ("warehouse", "rollback", "firms", "--to")


def test_a_release_is_looked_at_taken_back_and_told(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=write_small_standard(home))
    (home / "people.yaml").write_text("people:\n  - {id: wang, name: 王伟, roles: [data_manager]}\n", "utf-8")
    for rows in ([firm(1, "一号")], [firm(1, "错", "2025-01-01"), firm(2, "二号")]):
        drop(home, f"{len(rows)}.csv", rows)
        told(home, "ingest", "firms", "--new-only")
    newest, first = told(home, "warehouse", "releases", "firms")["releases"]
    assert (newest["current"], list(newest["rows"].values())) == (True, [2, None])
    number = str(first["release"])
    said = told(home, *ROLLBACK, number)
    assert (said["changes"], said["release"], said["tables"][0]["rows_then"]) == (True, None, 1)
    assert "--yes" in run(home, *ROLLBACK, number).stdout
    unsaid = run(home, *ROLLBACK, number, "--yes")
    assert (unsaid.exit_code, "--by" in unsaid.stderr, "理由" in unsaid.stderr or "为何" in unsaid.stderr) == (
        2,
        True,
        True,
    )
    done = told(home, *ROLLBACK, number, "--yes", "--by", "wang", "--why", "误报送")
    assert done["library"] == "legal_person"
    assert [one["run"] for one in done["taken_back"]] == [newest["run"]]
    assert told(home, "library", "show", "legal_person", code(1))["record"]["ent_name"] == "一号"
    listed = run(home, "warehouse", "releases", "firms", lang="zh").stdout
    assert "误报送" in listed
    assert "回退" in listed
    assert "没有变更" in run(home, *ROLLBACK, number, lang="zh").stdout
    undone = [one["run"] for one in told(home, "runs", "firms")["runs"] if one["status"] == "undone"]
    assert undone == [newest["run"]]
    assert told(home, "ingest", "firms", "--run", undone[0])["landed"] == 2
    for none in ("9999", "0", "9" * 30):
        assert told(home, *ROLLBACK, none, code=1)["error"]["code"] == "WH-ROLLBACK-UNKNOWN"
