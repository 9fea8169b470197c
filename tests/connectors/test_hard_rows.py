"""Every reader gives the exact text of every hard value, or a reject that names it; no row beside it is harmed."""

import contextlib
import sqlite3
from pathlib import Path

import psycopg
import pyarrow as pa
import pymysql
import pytest
from present import needs
from ruamel.yaml import YAML

from connectors import open_source
from infra.testing import mariadb, postgres

CASES = YAML(typ="safe").load(Path(__file__).with_name("hard_rows.yaml"))
READERS = [
    ("postgres", "native"),
    ("postgres", "sqlalchemy"),
    ("postgres", "odbc"),
    ("mariadb", "native"),
    ("mariadb", "sqlalchemy"),
    ("sqlite", "sqlalchemy"),
]
ORDINARY = "ordinary"
# SQLAlchemy says so of types it has no class for; they are read all the same.
pytestmark = pytest.mark.filterwarnings("ignore:Did not recognize type")


class Vault:
    def get(self, name):
        return "a test's own"


def expected(case):
    text, times = case.get("repeat", (case.get("text"), 1))
    return text * times


def column(at):
    return f"c{at}"


def statements(database):
    """A table with one column and one row for each case; the first and the last row are ordinary."""
    cases = CASES[database]
    words = "text" if database != "mariadb" else "varchar(20)"
    columns = [f"{column(at)} {case['type']} NULL" for at, case in enumerate(cases)]
    yield f"CREATE TABLE hard (id INT PRIMARY KEY, plain {words}, {', '.join(columns)})"
    for at, case in enumerate(cases):
        yield f"INSERT INTO hard (id, plain, {column(at)}) VALUES ({at + 1}, '{ORDINARY}', {case['sql']})"
    for at in (0, len(cases) + 1):
        yield f"INSERT INTO hard (id, plain) VALUES ({at}, '{ORDINARY}')"


@contextlib.contextmanager
def started(database, folder):
    """The URL of a database that holds the table, without its password."""
    if database == "sqlite":
        with contextlib.closing(sqlite3.connect(folder / "hard.db")) as db:
            for statement in statements(database):
                db.execute(statement)
            db.commit()
        yield f"sqlite:///{folder / 'hard.db'}"
        return
    module = {"postgres": postgres, "mariadb": mariadb}[database]
    needs(module)
    with module.running() as server:
        login = {"host": "127.0.0.1", "port": server.port, "user": server.user, "password": server.password}
        if database == "postgres":
            with psycopg.connect(**login, dbname="postgres") as db:
                for statement in statements(database):
                    db.execute(statement)
            yield f"postgresql+psycopg://{server.user}@127.0.0.1:{server.port}/postgres"
            return
        with pymysql.connect(**login, database="test", autocommit=True) as db, db.cursor() as cursor:
            cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
            for statement in statements(database):
                cursor.execute(statement)
        yield f"mysql+pymysql://{server.user}@127.0.0.1:{server.port}/test"


@pytest.fixture(scope="module")
def urls(tmp_path_factory):
    with contextlib.ExitStack() as servers:
        known = {}

        def url(database):
            if database not in known:
                known[database] = servers.enter_context(started(database, tmp_path_factory.mktemp("hard")))
            return known[database]

        yield url


@pytest.fixture(scope="module")
def read(urls):
    """The whole table through one reader, read once."""
    done = {}

    def rows(database, reader):
        if (database, reader) not in done:
            codes = [column(at) for at, case in enumerate(CASES[database]) if case.get("identifiers")]
            options = {"table": "hard", "reader": reader, "identifiers": codes}
            connection = {"url": urls(database), **({} if database == "sqlite" else {"password_secret": "p"})}
            try:
                with contextlib.closing(open_source("sql", options, connection, Vault())) as source:
                    batches = [batch.rows for split in source.plan(None) for batch in source.read(split)]
                done[database, reader] = pa.Table.from_batches(batches).to_pylist()
            except Exception as error:  # noqa: BLE001 - each test of this reader shall see it
                done[database, reader] = error
        if isinstance(done[database, reader], Exception):
            raise done[database, reader]
        return done[database, reader]

    return rows


@pytest.mark.parametrize(("database", "reader"), READERS, ids=["-".join(each) for each in READERS])
def test_every_row_arrives_around_the_hard_ones(read, database, reader):
    rows = read(database, reader)
    assert [row["id"] for row in rows] == [str(at) for at in range(len(CASES[database]) + 2)]
    assert [row["_row"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["plain"] for row in rows} == {ORDINARY}
    for at, row in enumerate(rows):
        filled = {name for name, value in row.items() if name.startswith("c") and value is not None}
        assert filled <= {column(at - 1)}, row


@pytest.mark.parametrize(
    ("database", "reader", "at"),
    [(database, reader, at) for database, reader in READERS for at in range(len(CASES[database]))],
    ids=lambda value: str(value).replace(" ", "_"),
)
def test_a_hard_value_is_exact_or_a_reject_that_names_it(read, database, reader, at):
    case = CASES[database][at]
    row = read(database, reader)[at + 1]
    if "reject" in case:
        assert row["_reject"] == case["reject"], case["name"]
        assert column(at) in row["_detail"]
        assert case["shown"] in row["_detail"]
        assert case["shown"] in (row[column(at)] or "")
        assert row["_line"]
    else:
        assert row[column(at)] == expected(case), case["name"]
        assert row["_reject"] is None
