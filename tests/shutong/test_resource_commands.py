"""A data manager goes from a connection to a checked resource without writing YAML, and hears what changed."""

import json
import sqlite3

import pytest
from click.testing import CliRunner

from shutong.cli import main
from shutong.layout import init


@pytest.fixture
def run(tmp_path):
    home = tmp_path / "home"
    init(home, "enterprises")
    with sqlite3.connect(tmp_path / "registry.db") as db:
        db.execute(
            "CREATE TABLE e_baseinfo (pripid TEXT PRIMARY KEY, uniscid TEXT, entname TEXT, cerno TEXT, memo TEXT)"
        )
        db.execute("INSERT INTO e_baseinfo VALUES ('1', '91440300708461136t', '杭州𠮷公司', '330106199001011234', 'x')")
    db.close()
    (home / "connections.yaml").write_text(f'connections:\n  registry: {{url: "sqlite:///{tmp_path}/registry.db"}}\n')
    department = json.loads(
        CliRunner(env={"SHUTONG_HOME": str(home)}).invoke(main, ["resource", "list", "--json"]).stdout
    )
    name = department["resources"][0]["resource"].partition(".")[0]

    def invoke(*words):
        return CliRunner(env={"SHUTONG_HOME": str(home)}).invoke(
            main, [word.format(dept=name) for word in words], catch_exceptions=False
        )

    invoke.home, invoke.db, invoke.dept = home, tmp_path / "registry.db", name
    return invoke


def new(run, *more):
    return run("resource", "new", "{dept}.firms", "-c", "registry", "-s", "e_baseinfo", *more)


def test_the_tables_of_a_system_are_listed_first(run):
    listed = json.loads(run("resource", "new", "{dept}.firms", "-c", "registry", "--json").stdout)
    assert [(one["stream"], one["columns"], one["key"]) for one in listed["streams"]] == [("e_baseinfo", 5, ["pripid"])]


def test_a_proposal_is_shown_with_its_confidence_and_written_only_when_asked(run):
    path = run.home / "resources" / run.dept / "firms.yaml"
    shown = new(run)
    assert "uscc: uniscid  # 0.98" in shown.output
    assert not path.exists()
    assert new(run, "--write").exit_code == 0
    assert path.exists()
    again = new(run, "--write")
    assert (again.exit_code, "SYS-RESOURCE-EXISTS" in again.output) == (1, True)
    assert sorted(one.name for one in path.parent.iterdir() if one.name.startswith(".")) == []


def test_what_was_written_passes_the_check_which_says_what_feeds_what(run):
    new(run, "--write")
    checked = json.loads(run("resource", "check", "firms", "--json").stdout)
    assert checked["ok"]
    told = next(line for line in checked["checks"] if line["name"] == "map")
    assert "uscc←uniscid" in told["en"]
    assert "memo" in told["zh"]


def test_options_given_on_the_command_line_are_what_a_file_would_hold(run):
    given = ("--set", "split_rows=1000", "--set", "columns=[pripid, uniscid]", "--set", "order_by=pripid")
    assert new(run, *given, "--set", "timeouts={{statement: 60}}", "--write").exit_code == 0
    text = (run.home / "resources" / run.dept / "firms.yaml").read_text()
    assert "split_rows: 1000, columns: [pripid, uniscid], order_by: pripid, timeouts: {statement: 60}" in text
    assert run("resource", "check", "firms").exit_code == 0
    new_one = ("resource", "new", "{dept}.other", "-c", "registry", "-s", "e_baseinfo")
    for command, wrong, said in (
        (new_one, "split_rows=many", "source.split_rows must be a whole number"),
        (new_one, 'split_rows="1000"', "source.split_rows must be a whole number"),
        (new_one, "columns=[pripid", "--set columns:1:8: this is not YAML"),
        (("ingest", "firms"), "splitrows=9", "source.splitrows does not exist; did you mean split_rows"),
    ):
        answer = run(*command, "--set", wrong, "--json")
        assert (answer.exit_code, said in json.loads(answer.stdout)["error"]["en"]) == (1, True), answer.output


def test_a_resource_that_is_pushed_passes_the_check_before_its_first_batch(run):
    path = run.home / "resources" / run.dept / "pushed.yaml"
    path.write_text(
        "resource: pushed\ntitle: {zh: 推送, en: Pushed}\nstandard: legal_person@1\n"
        "source: {kind: push, secret: firms_push}\n"
    )
    assert "SYS-SECRET-MISSING" in run("resource", "check", "pushed").output
    (run.home / "secrets.yaml").write_text('firms_push: "k"\n')
    checked = run("resource", "check", "pushed", "--json")
    assert (checked.exit_code, json.loads(checked.stdout)["ok"]) == (0, True)
    assert json.loads(run("resource", "preview", "pushed", "--json").stdout)["records"] == []


def test_a_preview_shows_received_beside_standardised_and_hides_personal_data(run):
    new(run, "--write")
    fields = json.loads(run("resource", "preview", "firms", "--json").stdout)["records"][0]["fields"]
    by_name = {one["field"]: one for one in fields}
    assert (by_name["uscc"]["received"], by_name["uscc"]["value"], by_name["uscc"]["mark"]) == (
        "91440300708461136t",
        "91440300708461136T",
        "repaired",
    )
    hidden = by_name["legal_rep_id_no"]
    assert (hidden["received"], hidden["value"]) == ("***", "***")
    assert "330106199001011234" not in run("resource", "preview", "firms").output
    assert "330106199001011234" in run("resource", "preview", "firms", "--clear").output


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("resource", "new", "nobody.firms", "-c", "registry"), "SYS-DEPARTMENT-UNKNOWN"),
        (("resource", "new", "{dept}.firms", "-c", "nowhere"), "SYS-CONNECTION-UNKNOWN"),
        (("resource", "new", "{dept}.firms", "-c", "registry", "-s", "e_basinfo"), "SRC-CHANGED"),
        (("resource", "new", "{dept}.firms", "-c", "registry", "-s", "e_baseinfo", "--standard", "x@1"), "STD-UNKNOWN"),
    ],
)
def test_what_cannot_be_proposed_is_explained(run, words, code):
    answer = run(*words)
    assert (answer.exit_code, code in answer.output) == (1, True)


def test_a_vanished_column_stops_the_next_ingest_until_it_is_accepted(run):
    new(run, "--write")
    assert run("ingest", "firms").exit_code == 0
    with sqlite3.connect(run.db) as db:
        db.execute("ALTER TABLE e_baseinfo DROP COLUMN entname")
        db.execute("ALTER TABLE e_baseinfo ADD COLUMN fax TEXT")
    db.close()
    path = run.home / "resources" / run.dept / "firms.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "ent_name" not in line))
    stopped = run("ingest", "firms")
    assert (stopped.exit_code, "RUN-DRIFT" in stopped.output) == (1, True)
    assert "entname" in run("resource", "drift", "firms").output
    assert json.loads(run("resource", "drift", "firms", "--accept", "--json").stdout)["accepted_now"]
    assert "RUN-DRIFT" not in run("ingest", "firms").output


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ("read: {deletes: {detect: flag, column: gone}}", "SRC-CHANGED"),
        ("read: {key: [pripid]}", "RUN-READ-KEY"),
        ("cursor: {column: memo}", "cursor"),
    ],
)
def test_the_check_finds_what_would_stop_the_first_reads(run, read, said):
    new(run, "--write")
    path = run.home / "resources" / run.dept / "firms.yaml"
    written = path.read_text().split("read: {mode: snapshot_diff}", 1)
    text = f"{written[0]}{read}{written[1]}"
    if said == "cursor":
        text = f"{written[0]}{written[1]}".replace("e_baseinfo}", "e_baseinfo, " + read + "}")
    path.write_text(text)
    checked = run("resource", "check", "{dept}.firms", "--json")
    lines = json.loads(checked.stdout)["checks"]
    assert checked.exit_code == 1
    assert [line["name"] for line in lines if not line["ok"]] == [said]
    assert {"login", "table", "read"} <= {line["name"] for line in lines if line["ok"]}
