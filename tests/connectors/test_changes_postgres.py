"""A real replication slot: changes agree with a full read, none is lost, and what cannot be followed is said."""

import contextlib
import random
import threading

import psycopg
import pytest
import sqlalchemy as sa
from present import needs

from connectors import SourceChanged, SourceError
from connectors.changes import postgres_slot
from connectors.changes.postgres_slot import SlotFeed, SlotOptions
from connectors.databases.source import open_sql
from infra.testing import postgres
from schemas.values import DELETED, OP, RAW_COLUMNS, ROW, Position

SLOT = "shutong_test"
HARD = """
CREATE TABLE ent (seq int, code varchar(20), no bigint, 名 text, flag boolean, ip inet, raw bytea, amount numeric,
  f double precision, at timestamptz, period interval, j jsonb, tags text[], PRIMARY KEY (code, no))
"""


@pytest.fixture(scope="module")
def server():
    needs(postgres)
    with postgres.running(settings={"wal_level": "logical", "max_replication_slots": "4"}) as running:
        yield running


def login(server):
    return {"host": "127.0.0.1", "port": server.port, "user": server.user, "password": server.password,
            "dbname": "postgres"}  # fmt: skip


@pytest.fixture
def db(server):
    with psycopg.connect(**login(server), autocommit=True) as connection:
        connection.execute(HARD)
        yield connection
        connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
        connection.execute("DROP PUBLICATION IF EXISTS shutong_test")
        connection.execute("DROP TABLE IF EXISTS ent, parted, other CASCADE")


def feed(server, url=None, **options):
    named = {"table": "ent", "slot": SLOT, "publication": SLOT, **options}
    return SlotFeed(sa.engine.make_url(url or server.url()), SlotOptions(**named))


def read(following, position, wait=0.3, at_most=None):
    """The batches until nothing comes, each let go of as it is read."""
    batches = []
    with contextlib.closing(following.changes(position, lambda: False, wait)) as found:
        for batch in found:
            batches.append(batch)
            if batch.position is not None:
                following.done(batch.position)
            if at_most and len(batches) >= at_most:
                break
    return batches


def rows_of(batches):
    return [row for batch in batches for row in batch.rows.to_pylist()]


def applied(state, batches, key=("code", "no")):
    """`state` (key → record as text) after the batches."""
    for row in rows_of(batches):
        name = tuple(row[one] for one in key)
        if row[OP] == DELETED:
            state.pop(name, None)
        else:
            state[name] = {column: value for column, value in row.items() if column not in (*RAW_COLUMNS, OP)}
    return state


def in_full(server, table="ent", key=("code", "no"), **options):
    """What a full read gives."""
    source = open_sql({"table": table, **options}, {"url": server.url()}, {})
    batches = [batch for split in source.plan(None) for batch in source.read(split)]
    source.close()
    return {tuple(row[one] for one in key): {k: v for k, v in row.items() if k not in RAW_COLUMNS}
            for row in rows_of(batches)}  # fmt: skip


def last(batches, position):
    return next((batch.position for batch in reversed(batches) if batch.position is not None), position)


def slots(db):
    return db.execute("SELECT count(*) FROM pg_replication_slots").fetchone()[0]


INSERT = "INSERT INTO ent (seq, code, no, 名, flag, ip, raw, amount, f, at, period, j, tags) VALUES "
HARD_ROW = (
    r"(1, 'A\''B', 123456789012345678, '𠮷㐂１２ \\ \"', true, '10.0.0.1', '\xdeadbeef', 1.10, 0.1,"
    " '2024-01-02 03:04:05.6+08', '1 year 2 days', '{\"a\": [1, null]}', '{甲,NULL,\"x,y\"}')"
).replace(r"\''", "''")


def test_a_change_is_the_same_text_as_a_full_read(server, db):
    following = feed(server)
    position = following.start()
    db.execute(INSERT + HARD_ROW)
    db.execute("INSERT INTO ent (code, no, 名) VALUES ('', 0, ''), (E'back\\\\slash', 1, NULL)")
    batches = read(following, position)
    assert applied({}, batches) == in_full(server)
    assert [name for name in batches[0].rows.schema.names if name not in RAW_COLUMNS][-1] == OP
    assert batches[0].rows.column(ROW).to_pylist() == [1, 2, 3]


def test_updates_deletes_and_changed_keys_reach_the_same_end_as_a_full_read(server, db):
    db.execute("INSERT INTO ent (code, no, 名) SELECT 'C' || n, n, '企业' || n FROM generate_series(1, 50) n")
    following = feed(server)
    position = following.start()
    state = in_full(server)
    db.execute("UPDATE ent SET 名 = '改' WHERE no < 10")
    db.execute("DELETE FROM ent WHERE no BETWEEN 20 AND 29")
    db.execute("UPDATE ent SET no = no + 1000 WHERE no > 45")
    db.execute("INSERT INTO ent (code, no) VALUES ('new', 1)")
    db.execute("DELETE FROM ent WHERE code = 'new'")
    batches = read(following, position)
    gone = [row for row in rows_of(batches) if row[OP] == DELETED]
    assert {row["code"] for row in gone} >= {"C20", "C50", "new"}
    assert {row["名"] for row in gone} == {None}
    assert applied(state, batches) == in_full(server)


def test_a_long_value_the_log_leaves_out_is_not_lost(server, db):
    db.execute("ALTER TABLE ent ALTER 名 SET STORAGE EXTERNAL")
    db.execute("INSERT INTO ent (code, no, seq, 名) VALUES ('long', 1, 1, repeat('长', 20000))")
    following = feed(server)
    position = following.start()
    db.execute("UPDATE ent SET seq = 2")
    [row] = rows_of(read(following, position))
    assert (row["seq"], row["名"]) == ("2", "长" * 20000)


def test_what_happened_during_the_full_read_comes_again_and_nothing_is_missed(server, db):
    following = feed(server)
    position = following.start()
    db.execute("INSERT INTO ent (code, no) VALUES ('a', 1), ('b', 2)")
    state = in_full(server)
    db.execute("DELETE FROM ent WHERE code = 'a'")
    batches = read(following, position)
    assert applied(state, batches) == in_full(server)


def test_a_transaction_larger_than_a_step_can_only_be_resumed_after_its_end(server, db, monkeypatch):
    monkeypatch.setattr(postgres_slot, "KEYS", 50)
    monkeypatch.setattr(postgres_slot, "_MOST", 100)
    following = feed(server)
    position = following.start()
    db.execute("INSERT INTO ent (code, no) SELECT 'C', n FROM generate_series(1, 450) n")
    db.execute("UPDATE ent SET seq = 1 WHERE no < 5")
    batches = read(following, position)
    sizes = [batch.rows.num_rows for batch in batches]
    assert sizes[:4] == [100] * 4
    assert [batch.position is None for batch in batches[:5]] == [True] * 4 + [False]
    assert applied({}, batches) == in_full(server)


def test_reading_goes_on_after_the_last_position_that_was_kept(server, db):
    following = feed(server)
    position = following.start()
    db.execute("INSERT INTO ent (code, no) VALUES ('a', 1)")
    first = list(following.changes(position, lambda: False, 0.3))  # not let go of: as if killed before that
    db.execute("INSERT INTO ent (code, no) VALUES ('b', 2)")
    again = list(feed(server).changes(position, lambda: False, 0.3))
    assert {row["code"] for row in rows_of(again)} == {"a", "b"}
    on = read(feed(server), last(first, position))
    assert [row["code"] for row in rows_of(on)] == ["b"]
    assert following.lag(last(on, position)).bytes < 1 << 16


def test_the_slot_moves_on_while_only_other_tables_change(server, db, monkeypatch):
    monkeypatch.setattr(postgres_slot, "_IDLE", 0.2)
    db.execute("CREATE TABLE other (x text)")
    following = feed(server)
    position = following.start()
    db.execute("INSERT INTO other SELECT repeat('x', 100) FROM generate_series(1, 20000)")
    for wait in (1.5, 5, 20):  # where the server has much to do, it gets through so much log later
        batches = read(following, position, wait=wait)
        assert not rows_of(batches)
        position = last(batches, position)
        if following.lag(position).bytes < 1 << 16:
            break
    assert following.lag(position).bytes < 1 << 16
    db.execute("INSERT INTO ent (code, no) VALUES ('after', 1)")
    assert [row["code"] for row in rows_of(read(following, position))] == ["after"]


def test_columns_added_and_dropped_in_the_middle_come_as_they_are_now(server, db):
    following = feed(server)
    position = following.start()
    db.execute("INSERT INTO ent (code, no) VALUES ('a', 1)")
    db.execute("ALTER TABLE ent DROP COLUMN f, ADD COLUMN 新 text DEFAULT '旧'")
    db.execute("INSERT INTO ent (code, no, 新) VALUES ('b', 2, '新')")
    batches = read(following, position)
    assert applied({}, batches) == in_full(server)


def test_records_outside_the_condition_are_deleted(server, db):
    db.execute("INSERT INTO ent (code, no, seq) VALUES ('in', 1, 1), ('out', 2, 0)")
    following = feed(server, where="seq = 1", columns=("名", "code", "no"))
    position = following.start()
    db.execute("UPDATE ent SET seq = 1 - seq")
    batches = read(following, position)
    assert {row["code"]: row[OP] for row in rows_of(batches)} == {"in": DELETED, "out": None}
    assert set(batches[0].rows.schema.names) == {"名", "code", "no", OP, *RAW_COLUMNS}


def test_a_replica_identity_index_names_the_records(server, db):
    db.execute("CREATE TABLE other (id int PRIMARY KEY, uscc char(6) NOT NULL UNIQUE, name text)")
    db.execute("ALTER TABLE other REPLICA IDENTITY USING INDEX other_uscc_key")
    following = feed(server, table="other")
    position = following.start()
    db.execute("INSERT INTO other VALUES (1, 'ab', '甲'), (2, 'cd', '乙')")
    db.execute("DELETE FROM other WHERE id = 2")
    rows = {row["uscc"]: (row[OP], row["name"]) for row in rows_of(read(following, position))}
    assert rows == {"ab    ": (None, "甲"), "cd    ": (DELETED, None)}


def test_the_partitions_of_a_table_are_followed_as_one(server, db):
    db.execute("CREATE TABLE parted (id int PRIMARY KEY, x text) PARTITION BY RANGE (id)")
    db.execute("CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100)")
    db.execute("CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200)")
    following = feed(server, table="parted")
    position = following.start()
    db.execute("INSERT INTO parted SELECT n, 'x' FROM generate_series(50, 150) n")
    db.execute("UPDATE parted SET id = id - 100 WHERE id = 149")  # to the other partition
    batches = read(following, position)
    assert applied({}, batches, ("id",)) == in_full(server, "parted", ("id",))


def test_an_emptied_table_asks_for_a_full_read(server, db):
    db.execute("INSERT INTO ent (code, no) VALUES ('a', 1)")
    following = feed(server)
    position = following.start()
    db.execute("TRUNCATE ent")
    with pytest.raises(SourceChanged, match="TRUNCATE") as error:
        read(following, position)
    assert error.value.code == "SRC-LOG-TRUNCATED"


@pytest.mark.parametrize("how", ["dropped", "read on"])
def test_a_slot_that_does_not_reach_back_asks_for_a_full_read(server, db, how):
    following = feed(server)
    position = following.start()
    db.execute("INSERT INTO ent (code, no) VALUES ('a', 1)")
    if how == "dropped":
        following.drop()
        assert slots(db) == 0
    else:
        db.execute("SELECT * FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version', '1',"
                   " 'publication_names', 'shutong_test')", [SLOT])  # fmt: skip
    with pytest.raises(SourceChanged, match="cannot go on") as error:
        read(following, position)
    assert error.value.code == "SRC-LOG-GONE"


def test_a_table_without_a_key_cannot_be_followed(server, db):
    db.execute("CREATE TABLE other (x boolean PRIMARY KEY)")
    for change in ("SELECT 1", "ALTER TABLE other DROP CONSTRAINT other_pkey"):
        db.execute(change)
        with pytest.raises(SourceError) as error:
            feed(server, table="other").start()
        assert error.value.code == "SRC-LOG-KEY"
        assert {line.name for line in feed(server, table="other").check() if not line.ok} == {"key"}
    assert slots(db) == 0


def test_an_account_without_rights_is_told_what_to_ask_for(server, db):
    db.execute("DROP ROLE IF EXISTS reads")
    db.execute("CREATE ROLE reads LOGIN PASSWORD 'pw'")
    db.execute("GRANT SELECT ON ent TO reads")
    url = server.url().replace("shutong:a test's own", "reads:pw")
    lines = {line.name: line for line in feed(server, url).check()}
    assert not lines["replication"].ok
    assert "ALTER ROLE reads REPLICATION" in lines["replication"].en
    assert 'CREATE PUBLICATION "shutong_test" FOR TABLE ent' in lines["publication"].en
    with pytest.raises(SourceError) as error:
        feed(server, url).start()
    assert error.value.code == "SRC-LOG-PUBLICATION"
    db.execute("CREATE PUBLICATION shutong_test FOR TABLE ent")
    db.execute("ALTER ROLE reads REPLICATION")
    assert [line.name for line in feed(server, url).check() if not line.ok or line.warns] == ["retention"]
    db.execute("ALTER PUBLICATION shutong_test DROP TABLE ent")
    (line,) = [line for line in feed(server, url).check() if not line.ok]
    with pytest.raises(SourceError, match="SRC-LOG-PUBLICATION") as error:
        feed(server, url).start()
    statement = 'ALTER PUBLICATION "shutong_test" ADD TABLE ent'
    assert line.en.endswith(statement)
    assert statement in error.value.fix_en
    db.execute(statement)
    assert all(line.ok for line in feed(server, url).check())
    position = feed(server, url).start()
    db.execute("INSERT INTO ent (code, no) VALUES ('a', 1)")
    assert len(rows_of(read(feed(server, url), position))) == 1
    db.execute("DROP OWNED BY reads")
    db.execute("DROP ROLE reads")


def test_random_changes_by_several_writers_are_all_seen(server, db):
    db.execute("INSERT INTO ent (code, no) SELECT 'C', n FROM generate_series(1, 40) n")
    following = feed(server)
    position = following.start()
    state, writing = in_full(server), threading.Event()

    def write(seed):
        chance = random.Random(seed)
        with psycopg.connect(**login(server)) as own:
            for step in range(80):
                for _ in range(chance.randint(1, 6)):
                    no = chance.randint(1, 60) * 2 + seed
                    own.execute(chance.choice([
                        f"INSERT INTO ent (code, no, seq) VALUES ('C', {no}, {step}) ON CONFLICT DO NOTHING",
                        f"UPDATE ent SET seq = {step} WHERE no = {no}",
                        f"DELETE FROM ent WHERE no = {no}",
                    ]))  # fmt: skip
                own.rollback() if chance.random() < 0.2 else own.commit()

    writers = [threading.Thread(target=write, args=[seed]) for seed in (0, 1)]
    for one in writers:
        one.start()
    while any(one.is_alive() for one in writers):
        batches = read(following, position, wait=0.1, at_most=3)
        state, position = applied(state, batches), last(batches, position)
    writing.set()
    batches = read(following, position)
    assert applied(state, batches) == in_full(server)
    assert isinstance(last(batches, position), Position)
