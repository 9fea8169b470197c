"""Arrange the same firms in every kind of departmental system, each a real server: a resource over them can be killed.

All of them hold PARTS parts, which are pieces of a pull: ranges of a key, files, windows of time, pushed batches. Later
parts say something newer of some firms of earlier ones; each has a row that is wrong.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import psycopg
import pyarrow.fs as pafs
import pymysql
from departmental_table import MAP
from forks import done, started
from small_deployment import HEADER, SMALL_STANDARD, add_resource, firm, lay_out, write_small_standard

from infra.testing import mariadb, postgres, seaweed, sshd

PARTS, EACH = 4, 24  # rows of a part without the wrong one
IDS = EACH + 1
FOLDER = "firms"
CREATE = (
    "CREATE TABLE ent (id {number} PRIMARY KEY, uniscid varchar(40), entname varchar(100), apprdate varchar(20),"
    " dom varchar(100))"
)
TODAY = datetime.now(ZoneInfo("Asia/Shanghai")).replace(hour=0, minute=0, second=0, microsecond=0)
START = TODAY - timedelta(days=PARTS)


@dataclass(frozen=True, slots=True)
class Arranged:
    """What the deployment must know: `source` and `connection` are YAML, `secrets` what opens the system."""

    source: str
    connection: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)
    more: str = ""
    pushed: bool = False
    remembers: bool = True  # False: read from the beginning each time

    def deployment(self, home: Path) -> None:
        """A deployment with this one resource, into which nothing came yet."""
        lay_out(home)
        write_small_standard(home)
        if self.connection:
            (home / "connections.yaml").write_text(f"connections: {{db: {self.connection}}}\n", encoding="utf-8")
        more = ("connection: db\n" if self.connection else "") + self.more
        add_resource(home, self.source, standard=SMALL_STANDARD, percent=90, more=more)


def rows(part: int) -> list[list[str]]:
    """The rows of one part; none beyond the last."""
    if not 0 <= part < PARTS:
        return []
    first = part * (EACH - 6)
    firms = [firm(n, f"公司{part}𠮷", f"2024-0{part + 1}-01") for n in range(first, first + EACH)]
    return [*firms, ["错码", f"错{part}", "2025-01-01", "宁波"]]


def numbered() -> list[tuple[object, ...]]:
    """All rows with an id counting from 1."""
    return list(enumerate_rows())


def enumerate_rows() -> Iterator[tuple[object, ...]]:
    """The rows of all parts in turn."""
    for number, row in enumerate((row for part in range(PARTS) for row in rows(part)), 1):
        yield (number, *row)


def as_csv(part: int) -> str:
    """A part as a CSV file with its header."""
    text = io.StringIO()
    csv.writer(text).writerows([HEADER, *rows(part)])
    return text.getvalue()


def as_json(part: int) -> bytes:
    """A part as a JSON array."""
    return json.dumps([dict(zip(HEADER, row, strict=True)) for row in rows(part)], ensure_ascii=False).encode()


@contextmanager
def in_postgres() -> Iterator[Arranged]:
    """A table of PostgreSQL, read in ranges of its key as of one moment."""
    with postgres.running() as server:
        address = server.url(driver="postgresql")
        with psycopg.connect(address.replace(" ", "%20")) as database, database.cursor() as cursor:
            cursor.execute(CREATE.format(number="int"))
            cursor.executemany("INSERT INTO ent VALUES (%s, %s, %s, %s, %s)", numbered())
        with psycopg.connect(address.replace(" ", "%20"), autocommit=True) as database:
            database.execute("ANALYZE ent")
        url = f"postgresql+psycopg://{server.user}@127.0.0.1:{server.port}/postgres"
        yield _table(url, server.password)


@contextmanager
def in_mariadb() -> Iterator[Arranged]:
    """A table of MariaDB, read in ranges of its key."""
    with mariadb.running() as server:
        login = {"host": "127.0.0.1", "port": server.port, "user": server.user, "password": server.password}
        with pymysql.connect(**login, database="test", charset="utf8mb4", autocommit=True) as database:
            cursor = database.cursor()
            cursor.execute(CREATE.format(number="int"))
            cursor.executemany("INSERT INTO ent VALUES (%s, %s, %s, %s, %s)", numbered())
            cursor.execute("ANALYZE TABLE ent")
        # Each range starts a process: two are enough.
        yield _table(f"mysql+pymysql://{server.user}@127.0.0.1:{server.port}/test", server.password, 2 * IDS)


def _table(url: str, password: str, each: int = IDS) -> Arranged:
    source = f"{{kind: sql, table: ent, split_rows: {each}}}"
    return Arranged(source, f'{{url: "{url}", password_secret: db}}', {"db": password}, MAP, remembers=False)


@contextmanager
def on_sftp() -> Iterator[Arranged]:
    """CSV files on an SSH server."""
    with sshd.running() as server:
        folder = server.drops / FOLDER
        folder.mkdir()
        for part in range(PARTS):
            (folder / f"{part}.csv").write_text(as_csv(part), encoding="utf-8", newline="")
        login = {
            "host": "127.0.0.1", "port": server.port, "user": server.user, "key_secret": "key",
            "known_host": server.host_key, "folder": str(server.drops),
        }  # fmt: skip
        yield Arranged(f"{{kind: csv, folder: {FOLDER}}}", json.dumps({"sftp": login}), {"key": server.key})


@contextmanager
def in_s3() -> Iterator[Arranged]:
    """CSV objects in a bucket."""
    with seaweed.running() as store:

        def put() -> None:  # in a process of its own: Arrow's S3 does not outlive a fork
            files = pafs.S3FileSystem(
                access_key=store.access_key,
                secret_key=store.secret_key,
                scheme="http",
                endpoint_override=store.endpoint.removeprefix("http://"),
                region="us-east-1",
                allow_bucket_creation=True,
            )
            files.create_dir("drops")
            for part in range(PARTS):
                with files.open_output_stream(f"drops/{FOLDER}/{part}.csv") as file:
                    file.write(as_csv(part).encode())

        assert done(put) == 0
        place = {"endpoint": store.endpoint, "bucket": "drops", "access_key_secret": "id", "secret_key_secret": "key"}
        secrets = {"id": store.access_key, "key": store.secret_key}
        yield Arranged(f"{{kind: csv, folder: {FOLDER}}}", json.dumps({"s3": place}), secrets)


@contextmanager
def as_a_service() -> Iterator[Arranged]:
    """A service that is asked day by day; every day has two pages."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Days)
    child = started(server.serve_forever)
    try:
        window = f"{{from_param: from, to_param: to, start: {START.date()}, span: 1d, lag: 0s, format: '%Y-%m-%d'}}"
        page = f"{{style: page, size: {IDS // 2 + 1}}}"
        yield Arranged(
            f"{{kind: rest, path: /firms, records: data, window: {window}, page: {page}}}",
            f'{{url: "http://127.0.0.1:{server.server_port}"}}',
        )
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        server.server_close()


class _Days(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        day = (datetime.fromisoformat(asked["from"]).replace(tzinfo=TODAY.tzinfo) - START).days
        records = _records(day)
        size = int(asked["size"])
        start = (int(asked["page"]) - 1) * size
        body = json.dumps({"data": records[start : start + size]}, ensure_ascii=False).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@cache
def _records(part: int) -> list[object]:
    return list(json.loads(as_json(part)))


@contextmanager
def pushed() -> Iterator[Arranged]:
    """A department that pushes its batches, each again until it is answered."""
    yield Arranged("{kind: push, secret: firms_push}", secrets={"firms_push": "s" * 32}, pushed=True)


PLACES: Mapping[str, Callable[[], AbstractContextManager[Arranged]]] = {
    "postgres": in_postgres,
    "mariadb": in_mariadb,
    "rest": as_a_service,
    "sftp": on_sftp,
    "s3": in_s3,
    "push": pushed,
}
