"""The commands that take releases back: they list, say what would change, do it when told to, and say who may."""

from __future__ import annotations

import csv

from test_cli import HEADER, code, firm, run, told

RESOURCE = "scjg.enterprises"


def test_a_release_is_looked_at_taken_back_and_told(tmp_path):
    home, file = tmp_path / "home", tmp_path / "firms.csv"
    assert told(home, "init", "--example", "enterprises")["example"] == "enterprises"
    resource = home / "resources" / "scjg" / "enterprises.yaml"
    text = resource.read_text(encoding="utf-8")
    resource.write_text(text.replace("{shared}/data/zhejiang-enterprises.csv.gz", str(file)), encoding="utf-8")
    (home / "people.yaml").write_text("people:\n  - {id: wang, name: 王伟, roles: [data_manager]}\n", "utf-8")
    for rows in ([firm(code(1), "一号")], [firm(code(1), "错", "2011-01-01"), firm(code(2), "二号")]):
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([HEADER, *rows])
        told(home, "ingest", "enterprises")
    newest, first = told(home, "warehouse", "releases", "enterprises")["releases"]
    assert (newest["current"], list(newest["rows"].values())) == (True, [2, None])
    number = str(first["release"])
    said = told(home, "warehouse", "rollback", "enterprises", "--to", number)
    assert (said["changes"], said["release"], said["tables"][0]["rows_then"]) == (True, None, 1)
    assert len(told(home, "warehouse", "releases", "enterprises")["releases"]) == 2
    assert "--yes" in run(home, "warehouse", "rollback", "enterprises", "--to", number).stdout
    assert run(home, "warehouse", "rollback", "enterprises", "--to", number, "--yes").exit_code == 2
    done = told(
        home, "warehouse", "rollback", "enterprises", "--to", number, "--yes", "--by", "wang", "--why", "误报送"
    )
    assert done["library"] == "legal_person"
    assert [one["run"] for one in done["taken_back"]] == [newest["run"]]
    assert told(home, "library", "show", "legal_person", code(1))["record"]["ent_name"] == "一号"
    listed = run(home, "warehouse", "releases", "enterprises", lang="zh").stdout
    assert "误报送" in listed
    assert "回退" in listed
    assert "已是" not in run(home, "warehouse", "rollback", "enterprises", "--to", number, lang="zh").stdout
    undone = [one["run"] for one in told(home, "runs", "enterprises")["runs"] if one["status"] == "undone"]
    assert undone == [newest["run"]]
    assert told(home, "ingest", "enterprises", "--run", undone[0])["landed"] == 2
    wrong = told(home, "warehouse", "rollback", "enterprises", "--to", "9999", code=1)
    assert wrong["error"]["code"] == "WH-ROLLBACK-UNKNOWN"
