"""Whatever a source does wrong is said clearly in both languages, and nothing is lost: once mended, it lands."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openpyxl
import psycopg
import pytest
from present import needs
from small_deployment import HEADER, add_resource, code, csv_source, drop, firm, landed, lay_out, opened, quarantined

from infra.testing import postgres
from runs.reports import Report
from schemas.errors import ShutongError

FIRMS = "scjg.firms"
MAP = "map: {uscc: uniscid, ent_name: entname, appr_date: apprdate}\n"
TOKEN = "tok-1234567890"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "drops").mkdir()
    return lay_out(tmp_path)


def refused(home: Path, expected: str, run: str = "bad", **secrets: str) -> ShutongError:
    """The error of a run that brings nothing: clear in both languages, kept on the run, and nothing half done."""
    with opened(home, **secrets) as wired:
        before = wired.state.release(), len(wired.state.manifests(FIRMS)), wired.state.position(FIRMS)
        with pytest.raises(ShutongError) as caught:
            wired.steps.ingest(FIRMS, run)
        error = caught.value
        assert error.code == expected
        assert any("\u4e00" <= letter <= "\u9fff" for letter in error.zh)
        assert any("\u4e00" <= letter <= "\u9fff" for letter in error.fix_zh)
        assert error.en
        assert error.fix_en
        assert "Traceback" not in str(error)
        told = wired.state.run(run)
        assert (told.status, told.error["code"]) == ("failed", expected)
        assert (wired.state.release(), len(wired.state.manifests(FIRMS)), wired.state.position(FIRMS)) == before
        for secret in secrets.values():
            assert secret not in json.dumps([error.as_dict(), told.error], ensure_ascii=False)
    return error


def lands(home: Path, run: str = "mended", **secrets: str) -> tuple[Report, dict[str, str]]:
    """What the next run reports, and the firms landed by then."""
    with opened(home, **secrets) as wired:
        report = wired.steps.ingest(FIRMS, run)
        assert wired.state.run(run).status == "done"
        assert report.pulled == report.landed + report.quarantined + report.superseded
        return report, landed(wired)


def rejected(home: Path) -> dict[int, list[str]]:
    with opened(home) as wired:
        return quarantined(wired)


# databases


@pytest.fixture
def registry(home: Path) -> Callable[[str], None]:
    """A resource over an SQLite registry; call with SQL to change it."""
    (home / "connections.yaml").write_text('connections: {db: {url: "sqlite:///{home}/registry.db"}}\n')
    add_resource(home, "{kind: sql, table: ent}", more="connection: db\n" + MAP)

    def execute(script: str) -> None:
        with closing(sqlite3.connect(home / "registry.db")) as database:
            database.executescript(script)

    execute("CREATE TABLE other (id INTEGER)")
    return execute


TABLE = f"""CREATE TABLE ent (id INTEGER PRIMARY KEY, uniscid TEXT, entname TEXT, apprdate TEXT);
INSERT INTO ent (uniscid, entname, apprdate) VALUES ('{code(1)}', '𠮷公司', '2024-01-01'),
('{code(2)}', '乙', '2024-01-02');"""


def test_a_wrong_database_password_is_refused_without_showing_it(home):
    needs(postgres)
    with postgres.running() as server:
        with psycopg.connect(
            host="127.0.0.1", port=server.port, user=server.user, password=server.password, dbname="postgres"
        ) as database:
            database.execute("CREATE TABLE ent (uniscid text, entname text, apprdate date)")
            database.execute("INSERT INTO ent VALUES (%s, '𠮷公司', '2024-01-01')", [code(1)])
        url = f"postgresql+psycopg://{server.user}@127.0.0.1:{server.port}/postgres"
        (home / "connections.yaml").write_text(f'connections: {{db: {{url: "{url}", password_secret: pg}}}}\n')
        add_resource(home, "{kind: sql, table: ent}", more="connection: db\n" + MAP)
        error = refused(home, "SRC-SQL-REFUSED", pg="quite wrong 密码")
        assert not error.retryable
        assert lands(home, pg=server.password)[1] == {code(1): "𠮷公司"}


def test_a_missing_table_is_named_with_those_there_are(home, registry):
    registry("CREATE TABLE ents (id INTEGER)")
    error = refused(home, "SRC-CHANGED")
    assert "ents" in error.zh + error.fix_zh
    assert "ents" in error.en + error.fix_en
    registry(TABLE)
    assert lands(home)[0].landed == 2


def test_a_missing_key_column_is_named_and_what_was_pulled_lands_later(home, registry):
    registry(TABLE.replace("uniscid", "creditcode"))
    with opened(home) as wired, pytest.raises(ShutongError, match="STD-COLUMN-MISSING") as caught:
        wired.steps.ingest(FIRMS, "bad")
    assert "creditcode" in caught.value.zh
    assert "uniscid" in caught.value.en
    add_resource(home, "{kind: sql, table: ent}", more="connection: db\n" + MAP.replace("uniscid", "creditcode"))
    registry("DELETE FROM ent WHERE id = 1")
    assert lands(home)[1] == {code(1): "𠮷公司", code(2): "乙"}


def test_a_column_the_resource_asks_for_and_the_table_lost_is_named(home, registry):
    add_resource(home, "{kind: sql, table: ent, columns: [uniscid, entname, apprdate]}", more="connection: db\n" + MAP)
    registry(TABLE + "ALTER TABLE ent RENAME COLUMN apprdate TO approved_date;")
    error = refused(home, "SRC-CHANGED")
    assert "apprdate" in error.zh
    assert "approved_date" in error.en + error.fix_en
    registry("ALTER TABLE ent RENAME COLUMN approved_date TO apprdate;")
    assert lands(home)[0].landed == 2


def test_a_changed_type_holds_the_batch_and_says_what_it_could_not_understand(home, registry):
    registry(TABLE)
    lands(home, "first")
    registry("DROP TABLE ent;" + TABLE.replace("apprdate TEXT", "apprdate REAL"))
    registry("UPDATE ent SET apprdate = 0.5, entname = entname || '新'")
    with opened(home) as wired:
        report = wired.steps.ingest(FIRMS, "bad")
        assert (report.decision, report.held, report.landed) == ("hold", 2, 0)
        assert report.unparsed["appr_date"] == {"0.5": 2}
        assert report.reason_zh
        assert report.reason_en
        assert wired.state.run("bad").status == "held"
        assert landed(wired) == {code(1): "𠮷公司", code(2): "乙"}
    registry("UPDATE ent SET apprdate = '2025-01-01'")
    assert lands(home)[1] == {code(1): "𠮷公司新", code(2): "乙新"}


# files


def test_a_bad_byte_a_short_row_and_a_torn_last_row_go_to_quarantine_alone(home):
    add_resource(home, csv_source(), percent=80)
    lines = [HEADER, firm(1), firm(2, "坏\0字节"), [code(3), "短行"], firm(4)]
    content = "".join(",".join(line) + "\r\n" for line in lines).encode().replace(b"\0", b"\xff\xfe")
    (home / "drops" / "a.csv").write_bytes(content + f'{code(5)},"没写完'.encode())
    report, firms = lands(home, "bad")
    assert (report.pulled, report.landed, report.quarantined) == (5, 2, 3)
    assert set(firms) == {code(1), code(4)}
    reasons = rejected(home)
    assert "bad_bytes" in reasons[2]
    assert "row_shape" in reasons[3]
    assert "torn_row" in reasons[5]
    drop(home, "a.csv", [firm(number, day="2025-01-01") for number in range(1, 6)])
    assert set(lands(home)[1]) == {code(number) for number in range(1, 6)}


def test_a_file_without_its_ok_waits_and_one_that_differs_from_it_is_refused(home):
    add_resource(home, csv_source(more=", manifest: ok"))
    path = drop(home, "a.csv", [firm(1), firm(2)])
    report, firms = lands(home, "waits")
    assert (report.pulled, firms) == (0, {})
    with opened(home) as wired:
        checks = wired.open_source(wired.deployment.resource(FIRMS)).check()
    assert any(not one.ok and "a.csv" in one.zh and ".ok" in one.en for one in checks)
    path.with_name("a.csv.ok").write_text("rows=3\n")
    assert "3" in refused(home, "SRC-FILE-MANIFEST").zh
    path.with_name("a.csv.ok").write_text("rows=2\n")
    assert lands(home)[0].landed == 2


def test_identifiers_a_workbook_keeps_as_floats_are_quarantined_not_landed_rounded(home):
    add_resource(home, '{kind: xlsx, folder: "{home}/drops", identifiers: [统一社会信用代码]}', percent=80)

    def write(first: object) -> None:
        book = openpyxl.Workbook()
        sheet = book.active
        for row in (HEADER, [first, "浮点", "2024-01-01", "杭州"], firm(2)):
            sheet.append(row)
        book.save(home / "drops" / "a.xlsx")

    write(913303001234567891.0)
    report, firms = lands(home, "bad")
    assert (report.landed, report.quarantined) == (1, 1)
    assert "float_id" in rejected(home)[1]
    assert set(firms) == {code(2)}
    write(code(1))
    assert set(lands(home)[1]) == {code(1), code(2)}


def test_a_workbook_that_is_none_is_refused(home):
    add_resource(home, '{kind: xlsx, folder: "{home}/drops"}')
    (home / "drops" / "a.xlsx").write_bytes(b"PK\x03\x04 torn")
    assert "a.xlsx" in refused(home, "SRC-FILE-WORKBOOK").zh


# REST services


@contextmanager
def serving(answers: dict[str, tuple[int, bytes]]) -> Iterator[str]:
    """A real HTTP service that answers what `answers["now"]` says, as long as the token is right."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = answers["now"]
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, content = 401, b'{"message": "token"}'
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


GOOD = (200, json.dumps({"data": [{"uniscid": code(1), "entname": "𠮷", "apprdate": "2024-01-01"}]}).encode())


@pytest.mark.parametrize(
    ("answer", "token", "expected", "retryable"),
    [
        (GOOD, "not the token", "SRC-REST-REFUSED", False),
        ((500, b'{"message": "down"}'), TOKEN, "SRC-REST-UNAVAILABLE", True),
        ((200, b'{"data": [{"uniscid": '), TOKEN, "SRC-REST-UNAVAILABLE", True),
        ((200, b"<html>login</html>"), TOKEN, "SRC-REST-JSON", False),
        ((200, b'{"items": []}'), TOKEN, "SRC-CHANGED", False),
    ],
    ids=["401", "500", "torn JSON", "no JSON", "other shape"],
)
def test_a_service_that_does_not_answer_as_agreed_brings_nothing_until_it_does(
    home, answer, token, expected, retryable
):
    answers = {"now": answer}
    with serving(answers) as url:
        (home / "connections.yaml").write_text(f'connections: {{tax: {{url: "{url}", auth: {{bearer: tax}}}}}}\n')
        add_resource(
            home,
            "{kind: rest, path: /firms, records: data, retries: {attempts: 2, wait: 0.01, max_wait: 0.02}}",
            more="connection: tax\n" + MAP,
        )
        assert refused(home, expected, tax=token).retryable is retryable
        answers["now"] = GOOD
        assert lands(home, tax=TOKEN)[1] == {code(1): "𠮷"}
