"""Each database as far as it goes here: driver, engine, the wire, and a real server where there is one."""

import contextlib
import gc
import importlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from present import needs
from ruamel.yaml import YAML

from connectors import SourceError, SourceUnavailable, open_source
from connectors.databases.choice import chosen
from connectors.databases.engines import engine_for
from connectors.databases.reader import ReaderOptions
from infra.testing import mariadb

DATABASES = YAML(typ="safe").load(Path(__file__).with_name("databases.yaml").read_text("utf-8"))
PATIENCE = 1.0  # seconds given to a server
SPOKEN_TO = [one for one in DATABASES if "port" in one]
EXTRA = [one for one in DATABASES if one["id"] not in ("sqlite", "odbc")]
# Some drivers are written with what newer Pythons warn of.
pytestmark = [
    pytest.mark.filterwarnings("ignore:invalid escape sequence"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # and leave sockets to be found
]
every = pytest.mark.parametrize("database", DATABASES, ids=lambda one: one["id"])
spoken_to = pytest.mark.parametrize("database", SPOKEN_TO, ids=lambda one: one["id"])


class Vault:
    def get(self, name):
        return "a test's own"


@pytest.fixture(scope="module", autouse=True)
def _swept():
    """What a driver left lying is found here, not in the tests of another file."""
    yield
    for thread in threading.enumerate():
        if thread.name == "shutong-connect":
            thread.join(2)
    gc.collect()


def address(database, port=None):
    return sa.engine.make_url(database["url"].replace("{port}", str(port or database.get("port"))))


def opened(database, port, user="shutong", **options):
    connection = {"password_secret": "p", "user": user}
    if "connect" in database:
        return open_source(
            "odbc",
            {"table": "ent", **options},
            connection | {"connect": database["connect"].replace("{port}", str(port))},
            Vault(),
        )
    url = address(database, port).set(username=user)
    return open_source(
        "sql", {"table": "ent", **options}, {"url": url.render_as_string(), "password_secret": "p"}, Vault()
    )


def registered():
    if shutil.which("odbcinst") is None:
        return False
    listed = subprocess.run(["odbcinst", "-q", "-d"], check=False, capture_output=True, text=True)
    return "[PostgreSQL Unicode]" in listed.stdout


def needs_driver(database):
    if database["id"] == "odbc" and not registered() and os.environ.get("CI") != "true":
        pytest.skip("odbc-postgresql is not installed")


@every
def test_the_driver_can_be_imported(database):
    for name in database["drivers"]:
        importlib.import_module(name)


@every
def test_an_engine_is_built_and_the_fastest_reader_chosen(database):
    if "connect" in database:
        opened(database, 1).close()
        return
    if database["id"] != "sqlite":
        engine_for(address(database).set(password="x"), ReaderOptions()).dispose()
    assert chosen(address(database), "auto", ReaderOptions()).name == database["reader"]


@spoken_to
def test_the_socket_is_reached_and_a_silent_server_given_up(database):
    needs_driver(database)
    reached = threading.Event()
    held = []

    def listen():
        with contextlib.suppress(OSError):
            while True:
                held.append(listener.accept()[0])
                reached.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE"):
            opened(database, listener.getsockname()[1], timeouts={"connect": PATIENCE, "silence": PATIENCE}).stream()
        assert time.monotonic() - began < 30
    assert reached.is_set()
    for each in held:
        each.close()


@spoken_to
def test_a_port_nobody_listens_on_may_be_tried_again(database):
    needs_driver(database)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE") as caught:
            opened(database, free.getsockname()[1]).stream()
    assert caught.value.retryable
    assert "a test's own" not in str(caught.value)


@pytest.mark.parametrize("database", EXTRA, ids=lambda one: one["id"])
def test_without_its_driver_the_exact_command_is_said(database, monkeypatch):
    monkeypatch.setitem(sys.modules, database["drivers"][0], None)
    with pytest.raises(SourceError, match="SRC-DRIVER") as caught:
        engine_for(address(database), ReaderOptions())
    assert f"pip install 'shutong[{database['extra']}]'" in caught.value.fix_en
    assert f"pip install 'shutong[{database['extra']}]'" in caught.value.fix_zh


@pytest.fixture(scope="module")
def servers(request, tmp_path_factory):
    """A table of each database that can be started here: (port or file, account) by id."""
    with contextlib.ExitStack() as running:

        def sqlite():
            file = tmp_path_factory.mktemp("sqlite") / "aic.db"
            with contextlib.closing(sqlite3.connect(file)) as db:
                db.execute("create table ent (id integer primary key, 名称 text)")
                db.execute("insert into ent values (330100199001011234, '企业𠮷㐂')")
                db.commit()
            return file, None

        def postgresql():
            server = request.getfixturevalue("postgres_server")
            login = {"host": "127.0.0.1", "port": server.port, "user": server.user, "password": server.password}
            with psycopg.connect(**login, dbname="postgres", autocommit=True) as db:
                db.execute("create database aic")
            with psycopg.connect(**login, dbname="aic") as db:
                db.execute("create table ent (id bigint primary key, 名称 text)")
                db.execute("insert into ent values (330100199001011234, '企业𠮷㐂')")
            return server.port, server.user

        def maria():
            needs(mariadb)
            server = running.enter_context(mariadb.running())
            login = {"host": "127.0.0.1", "port": server.port, "user": server.user, "password": server.password}
            with pymysql.connect(**login, autocommit=True) as db, db.cursor() as cursor:
                cursor.execute("create database aic character set utf8mb4")
                cursor.execute("create table aic.ent (id bigint primary key, 名称 varchar(20))")
                cursor.execute("insert into aic.ent values (330100199001011234, '企业𠮷㐂')")
            return server.port, server.user

        start = {"postgresql": postgresql, "odbc": postgresql, "mariadb": maria, "sqlite": sqlite}
        known = {}

        def server(name):
            if name not in start:
                pytest.skip("此处没有这种服务器 no server of this kind can be had here")
            if start[name] not in known:
                known[start[name]] = start[name]()
            return known[start[name]]

        yield server


@every
def test_a_real_server_answers_with_exact_text(database, servers):
    needs_driver(database)
    where, user = servers(database["id"])
    if user is None:
        src = open_source("sql", {"table": "ent"}, {"url": f"sqlite:///{where}"}, Vault())
    else:
        src = opened(database, where, user)
    with contextlib.closing(src):
        (batch,) = [batch for split in src.plan(None) for batch in src.read(split)]
    (row,) = batch.rows.to_pylist()
    assert (row["id"], row["名称"], row["_reject"]) == ("330100199001011234", "企业𠮷㐂", None)
