"""What a follower does and says over a real PostgreSQL: order, refusals, a source that goes away, a log kept too long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from click.testing import CliRunner
from departmental_table import MAP
from follow_kills import FAST, TABLE
from present import needs
from small_deployment import (
    SMALL_STANDARD,
    add_resource,
    code,
    connect,
    landed,
    lay_out,
    looked_up,
    opened,
    write_small_standard,
)

from connectors import SourceChanged
from infra.testing import postgres
from runs import follow
from runs.errors import RunError
from runs.follow import Follower
from schemas.errors import StandardError
from shutong.cli import main
from shutong.wiring import new_run_id

LOOKS = "SELECT pg_current_wal_insert_lsn()%"  # what a session that waits for changes does
FOLLOWED = "{mode: cdc, max_deletes: 100}"


@pytest.fixture(scope="module")
def server():
    needs(postgres)
    with postgres.running("plain", settings={"wal_level": "logical"}) as running:
        yield running


@pytest.fixture
def db(server):
    with psycopg.connect(server.url(driver="postgresql"), autocommit=True) as connection:
        connection.execute(TABLE)
        yield connection
        connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
        for (name,) in connection.execute("SELECT pubname FROM pg_publication").fetchall():
            connection.execute(f"DROP PUBLICATION {name}")
        connection.execute("DROP TABLE ent")


@pytest.fixture
def home(server, tmp_path):
    home = lay_out(tmp_path / "home")
    write_small_standard(home)
    connect(home, "db", server.url())
    return home


def resource(home, read=FOLLOWED, source="{kind: sql, table: ent}"):
    add_resource(home, source, standard=SMALL_STANDARD, percent=99, more=f"connection: db\n{MAP}read: {read}\n")
    return home


def put(db, *numbers, name="甲", day="2024-01-01"):
    for number in numbers:
        db.execute(
            "INSERT INTO ent VALUES (%s, %s, %s, '杭州') ON CONFLICT (uniscid) DO UPDATE SET entname = %s, apprdate = %s",
            [code(number), name, day, name, day],
        )


def followed(home, *heard, in_full=False, **changed):
    """Follow until all of `heard` (what, act) happened; what was told, and what is landed then."""
    waiting, told = list(heard), []
    with opened(home) as wired:
        chosen = wired.deployment.resource("scjg.firms")
        object.__setattr__(chosen.reading, "following", replace(FAST, **changed))

        def tell(news):
            told.append(news)
            if waiting and waiting[0][0] == news.what:
                waiting.pop(0)[1]()
            if not waiting:
                follower.stop.set()

        follower = Follower(wired.parts, chosen, wired.open_changes(chosen), tell=tell, new_run=new_run_id)
        follower.follow(in_full=in_full)
        return told, landed(wired)


def nothing():
    """Just go on."""


def test_the_newest_change_counts_whatever_its_dates_say(home, db):
    resource(home)
    put(db, 1, 2, 3, name="旧", day="2024-05-01")

    def change():
        with db.transaction():
            put(db, 1, name="新", day="2020-01-01")
            db.execute("DELETE FROM ent WHERE uniscid = %s", [code(2)])

    told, have = followed(home, ("full", change), ("changes", nothing))
    assert have == {code(1): "新", code(3): "旧"}
    assert looked_up(home, 1)["ent_name"] == "新"
    assert looked_up(home, 2) is None
    last = [one for one in told if one.what == "changes"][-1]
    assert last.report.deleted == 1
    assert last.lag.bytes < 1 << 20


def test_the_next_follower_goes_on_where_the_last_one_was(home, db):
    resource(home)
    put(db, 1)
    followed(home, ("full", nothing))
    put(db, 2)
    told, have = followed(home, ("changes", nothing))
    assert set(have) == {code(1), code(2)}
    assert [one.report.pulled for one in told if one.report] == [1]


def test_nobody_else_reads_a_followed_resource(home, db):
    with opened(resource(home)) as wired, pytest.raises(RunError, match="shutong follow") as error:
        wired.steps.pull("scjg.firms", "a-run")
    assert error.value.code == "RUN-FOLLOWED"


def test_a_second_follower_is_told_of_the_first(home, db):
    resource(home)

    def second():
        with pytest.raises(RunError, match=str(os.getpid())) as error:
            followed(home, ("full", nothing))
        assert error.value.code == "RUN-FOLLOWED-TWICE"

    followed(home, ("full", second))


def test_a_key_that_the_log_does_not_name_is_refused_before_anything_is_reserved(home, db):
    db.execute("ALTER TABLE ent DROP CONSTRAINT ent_pkey, ADD COLUMN id serial PRIMARY KEY")
    with pytest.raises(RunError, match="uniscid") as error:
        followed(resource(home), ("full", nothing))
    assert error.value.code == "RUN-FOLLOW-KEY"
    assert db.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)


def test_an_emptied_table_is_read_in_full_once_more_and_what_is_gone_goes(home, db):
    resource(home)
    put(db, 1, 2)

    def empty():
        db.execute("TRUNCATE ent")
        put(db, 2, 3)

    with pytest.raises(SourceChanged, match="--full"):
        followed(home, ("full", empty), ("changes", nothing))
    _, have = followed(home, ("full", nothing), in_full=True)
    assert set(have) == {code(2), code(3)}


def test_a_source_that_goes_away_is_waited_for(home, db, server, monkeypatch):
    monkeypatch.setattr(follow, "_BACKOFF", (0.1, 1.0))
    resource(home)
    put(db, 1)

    heard = threading.Event()

    def end_sessions():
        with psycopg.connect(server.url(driver="postgresql"), autocommit=True) as own:
            while not heard.wait(0.05):
                own.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE %s", [LOOKS])

    def back():
        heard.set()
        put(db, 2)

    ending = threading.Thread(target=end_sessions)
    told, have = followed(home, ("full", ending.start), ("waiting", back), ("changes", nothing))
    ending.join()
    assert {code(1), code(2)} <= set(have)
    assert [one.error.retryable for one in told if one.what == "waiting"]


def test_a_log_that_is_kept_too_long_is_let_go_of_where_the_file_says_so(home, db, monkeypatch):
    monkeypatch.setattr(follow, "_LOOKS", 0.0)
    resource(home)
    followed(home, ("full", nothing))
    db.execute("CREATE TABLE other AS SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
    db.execute("DROP TABLE other")
    with pytest.raises(RunError, match="--full") as error:
        followed(home, ("never", nothing), max_lag=1_000_000, drop_slot_after=2_000_000)
    assert error.value.code == "RUN-SLOT-DROPPED"
    assert db.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)
    put(db, 7)
    with pytest.raises(SourceChanged, match="cannot go on"):
        followed(home, ("never", nothing))
    assert set(followed(home, ("full", nothing), in_full=True)[1]) == {code(7)}


def test_a_check_of_what_can_be_followed_passes_and_warns_of_what_to_ask_for(home, db):
    resource(home)
    put(db, 1)
    asked = CliRunner().invoke(
        main, ["resource", "check", "firms"], env={"SHUTONG_HOME": str(home), "SHUTONG_LANG": "en"}
    )
    marks = {line.split()[1]: line.split()[2] for line in asked.stdout.splitlines() if line.strip().startswith("scjg.")}
    assert (asked.exit_code, marks["retention"], marks["replication"]) == (0, "!", "✓")
    assert "ask for max_slot_wal_keep_size" in asked.stdout


def test_the_command_stops_when_it_is_asked_to(home, db):
    resource(home)
    put(db, 1)
    command = [sys.executable, "-m", "shutong", "follow", "firms"]
    environment = {**os.environ, "SHUTONG_HOME": str(home), "SHUTONG_LANG": "en", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("read in full"):
                process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, said
    assert "read in full: 1 rows, landed 1" in "".join(said)
    assert said[-1].startswith("Stopped")
    given_up = subprocess.run([*command, "--drop-slot"], env=environment, capture_output=True, text=True, check=True)
    assert "dropped" in given_up.stdout
    assert db.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)


@pytest.mark.parametrize(
    ("read", "source", "said"),
    [
        ("{mode: cdc}", '{kind: csv, folder: "{home}/drops"}', "no database log"),
        ("{mode: full, every: 1s}", "{kind: sql, table: ent}", "belongs to mode: cdc"),
        ("{mode: cdc, max_lag: much}", "{kind: sql, table: ent}", "10GB"),
        ("{mode: cdc, deletes: {detect: key_sweep}}", "{kind: sql, table: ent}", "from the log"),
        ("{mode: cdc}", "{kind: sql, table: ent, cursor: {column: x}}", "cannot have source.cursor"),
    ],
)
def test_what_does_not_go_together_is_said(tmp_path, read, source, said):
    home = lay_out(tmp_path / "home")
    write_small_standard(home)
    (home / "connections.yaml").write_text('connections:\n  db: {url: "sqlite://"}\n')
    resource(home, read, source)
    with pytest.raises(StandardError, match=said), opened(home):
        pass


def test_times_are_as_the_file_says_them(home):
    resource(home, "{mode: cdc, every: 5s, merge_every: 2m, max_lag: 3GB, drop_slot_after: 500MB, slot: theirs}")
    with opened(home) as wired:
        following = wired.deployment.resource("firms").reading.following
    assert (following.every, following.merge_every) == (timedelta(seconds=5), timedelta(minutes=2))
    assert (following.max_lag, following.drop_slot_after, following.slot) == (3 * 10**9, 500 * 10**6, "theirs")
