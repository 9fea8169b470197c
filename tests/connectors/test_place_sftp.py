"""Files on a real OpenSSH server are taken like local ones, and every way it can fail is said with what to do."""

import os
import random
import socket
import threading
from pathlib import Path

import pyarrow as pa
import pytest

from connectors import SourceError, SourceRefused, SourceUnavailable, open_source
from connectors.files import place_ahead
from infra.testing import sshd
from schemas.values import RAW_COLUMNS


class Held:
    """Secrets by name."""

    def __init__(self, **values):
        self.values = values

    def get(self, name):
        return self.values[name]


@pytest.fixture(scope="module")
def server():
    with sshd.running() as started:
        yield started


@pytest.fixture
def drops(server):
    folder = server.drops / os.urandom(4).hex()
    folder.mkdir()
    return folder


@pytest.fixture
def opened(server):
    sources = []

    def of(folder, secrets=None, login=None, **options):
        said = {
            "host": "127.0.0.1",
            "port": server.port,
            "user": server.user,
            "key_secret": "key",
            "known_host": server.host_key,
            "folder": str(server.drops),
            "timeout": "5s",
        }
        said = {key: value for key, value in (said | (login or {})).items() if value is not None}
        where = {} if "path" in options else {"folder": str(folder)}
        source = open_source(
            "csv", {**where, **options}, {"sftp": said}, secrets or Held(key=server.key, password=server.password)
        )
        sources.append(source)
        return source

    yield of
    for source in sources:
        source.close()
        source.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "shutong-sftp"]


def taken(source, position=None):
    batches = [batch for split in source.plan(position) for batch in source.read(split)]
    return pa.Table.from_batches([batch.rows for batch in batches]), batches[-1].position


def test_files_are_taken_once_and_come_as_they_are(opened, drops):
    (drops / "b.csv").write_text("名,号\n𠮷㐂,0123\n", "gb18030")
    (drops / "A.CSV").write_bytes(b"\xc3\xfb,\xba\xc5\n\xbc\xd7,330127199001011234\n")
    (drops / "c.csv.part").write_text("名,号\n没写完")
    (drops / "sub").mkdir()
    source = opened(drops, encoding="gbk")
    table, position = taken(source)
    assert table.select(["名", "号"]).to_pylist() == [
        {"名": "甲", "号": "330127199001011234"},
        {"名": "𠮷㐂", "号": "0123"},
    ]
    assert table.column_names == ["名", "号", *RAW_COLUMNS]
    assert opened(drops).plan(position) == []
    assert source.estimate() == 2
    lines = source.check()
    assert lines[0].name == "login"
    assert all(line.ok for line in lines)
    (drops / "sub" / "late.csv").write_text("名,号\n乙,1\n", "gb18030")
    deep = opened(drops, encoding="gbk", pattern="**/*.csv")
    assert [split.options["file"] for split in deep.plan(position)] == ["sub/late.csv"]


def test_links_are_followed_and_each_folder_is_entered_once(opened, drops):
    (drops / "in").mkdir()
    (drops / "elsewhere").mkdir()
    (drops / "elsewhere" / "c.csv").write_text("a\n1\n")
    (drops / "in" / "linked").symlink_to(drops / "elsewhere")
    (drops / "in" / "round").symlink_to(drops / "in")
    (drops / "elsewhere" / "back").symlink_to(drops / "in")
    (drops / "in" / "one.csv").symlink_to(drops / "elsewhere" / "c.csv")
    (drops / "in" / "dangling.csv").symlink_to(drops / "nowhere")
    os.mkfifo(drops / "in" / "pipe.csv")
    source = opened(drops / "in", pattern="**/*.csv")
    assert [split.options["file"] for split in source.plan(None)] == ["linked/c.csv", "one.csv"]


def test_a_name_that_is_no_utf8_is_shown_as_meant_and_can_be_opened(opened, drops):
    path = Path(os.fsdecode(os.fsencode(drops) + "/企业/名单".encode("gb18030") + b".csv"))
    path.parent.mkdir()
    path.write_bytes(b"a\n1\n")
    source = opened(drops, pattern="**/*.csv")
    [split] = source.plan(None)
    assert split.options["file"] == "企业/名单.csv"
    assert [batch.rows["a"].to_pylist() for batch in source.read(split)] == [["1"]]
    by_path = opened(path.parent, path=f"{drops.name}/名单.csv")
    with pytest.raises(SourceError, match="SRC-FILE-MISSING"):
        by_path.plan(None)
    path.rename(drops / path.name)
    assert len(by_path.plan(None)) == 1


def test_a_file_of_many_blocks_comes_whole_and_hashed(opened, drops, monkeypatch):
    monkeypatch.setattr(place_ahead, "BLOCK", 100_001)
    noise = random.Random(1)
    rows = [f"{n},{noise.randbytes(20).hex()}" for n in range(40_000)]
    (drops / "big.csv").write_text("a,b\n" + "\n".join(rows) + "\n")
    table, position = taken(opened(drops, manifest="optional"))
    assert [f"{a},{b}" for a, b in zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True)] == rows
    assert position.cursor["taken"]["files"]["big.csv"]["size"] == (drops / "big.csv").stat().st_size


def test_a_zip_is_put_aside_and_read_member_by_member(opened, drops):
    import zipfile

    with zipfile.ZipFile(drops / "all.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("一.csv", "a\n1\n")
        packed.writestr("二.csv", "a\n2\n")
    table, position = taken(opened(drops, pattern="*.zip"))
    assert table["a"].to_pylist() == ["1", "2"]
    assert table["_row"].to_pylist() == [1, 2]
    assert set(position.cursor["taken"]["files"]) == {"all.zip", "all.zip!一.csv", "all.zip!二.csv"}


def test_a_password_lets_in_and_a_rotated_one_is_refused_once_without_showing_it(server, opened, drops):
    if not server.passwords:
        pytest.skip("sshd checks passwords only when root starts it")
    (drops / "a.csv").write_text("a\n1\n")
    secrets, login = Held(password=server.password), {"key_secret": None, "password_secret": "password"}
    assert taken(opened(drops, secrets, login))[0].num_rows == 1
    server.rotate("一个新的 password")
    source = opened(drops, secrets, login)
    with pytest.raises(SourceRefused, match="SRC-SFTP-LOGIN") as caught:
        source.plan(None)
    assert not caught.value.retryable
    assert "password" in caught.value.fix_en
    [line] = source.check()
    for text in (str(caught.value), repr(caught.value), line.zh, line.en, repr(source._where.place._login)):
        assert "a test's own" not in text
    secrets.values["password"] = server.password
    assert len(source.plan(None)) == 1


@pytest.mark.parametrize("secret", ["not a key", None])
def test_a_secret_that_is_no_key_or_missing_is_said(server, opened, drops, secret):
    secrets = Held(key=secret) if secret else Held()
    with pytest.raises(SourceError, match=r"SRC-SFTP-KEY|SRC-SECRET"):
        opened(drops, secrets).plan(None)


def test_an_unknown_host_key_is_named_with_how_to_add_it_and_nothing_is_accepted(server, opened, drops):
    (drops / "a.csv").write_text("a\n1\n")
    with pytest.raises(SourceRefused, match=r"SRC-SFTP-HOSTKEY.*not known yet.*SHA256:") as caught:
        opened(drops, login={"known_host": None}).plan(None)
    assert f'known_host: "{server.host_key}"' in caught.value.fix_en
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    for wrong in (other, "SHA256:" + "A" * 43):
        with pytest.raises(SourceRefused, match=r"SRC-SFTP-HOSTKEY.*somebody may pose"):
            opened(drops, login={"known_host": wrong}).plan(None)


def test_the_host_may_be_known_by_key_by_fingerprint_and_by_a_file(server, opened, drops, tmp_path):
    (drops / "a.csv").write_text("a\n1\n")
    import subprocess

    shown = subprocess.run(["ssh-keygen", "-lf", server.folder / "host_key.pub"], capture_output=True, check=True)
    fingerprint = shown.stdout.decode().split()[1]
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    for said in ({"known_host": fingerprint}, {"known_host": None, "known_hosts": str(known)}):
        assert len(opened(drops, login=said).plan(None)) == 1
    known.write_text("elsewhere ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n")
    with pytest.raises(SourceRefused, match="SRC-SFTP-HOSTKEY"):
        opened(drops, login={"known_host": None, "known_hosts": str(known)}).plan(None)


def test_what_is_not_there_or_not_permitted_is_said(server, opened, drops):
    (drops / "persons_2026.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match=r"SRC-FILE-MISSING.*persons_2026\.csv"):
        opened(drops, path=f"{drops.name}/person_2026.csv").plan(None)
    with pytest.raises(SourceError, match=rf"SRC-FILE-MISSING.*{drops.name}"):
        opened(drops.parent / (drops.name + "x")).plan(None)
    with pytest.raises(SourceError, match=r"SRC-FILE-FOLDER.*source\.folder"):
        opened(drops, path=drops.name).plan(None)
    with pytest.raises(SourceError, match=r"SRC-FILE-FOLDER.*source\.path"):
        opened(drops / "persons_2026.csv").plan(None)
    if server.passwords:
        (drops / "persons_2026.csv").chmod(0)
        source = opened(drops)
        [split] = source.plan(None)
        with pytest.raises(SourceRefused, match=r"SRC-FILE-REFUSED.*persons_2026\.csv"):
            list(source.read(split))


def test_a_file_replaced_or_removed_after_planning_is_not_remembered(opened, drops):
    path = drops / "a.csv"
    path.write_text("a\n1\n")
    source = opened(drops)
    [split] = source.plan(None)
    path.write_text("a\n1\n2\n")
    with pytest.raises(SourceUnavailable, match="SRC-FILE-CHANGING"):
        list(source.read(split))
    path.unlink()
    with pytest.raises(SourceUnavailable, match="SRC-FILE-CHANGING"):
        list(source.read(split))
    assert source.plan(None) == []


def test_a_server_that_dies_inside_a_file_leaves_it_for_the_next_run(server, opened, drops, monkeypatch):
    monkeypatch.setattr(place_ahead, "BLOCK", 100_000)
    rows = 60_000
    (drops / "big.csv").write_text("a,b\n" + "".join(f"{n:0100},{n:0100}\n" for n in range(rows)))
    source = opened(drops)
    [split] = source.plan(None)
    batches = source.read(split)
    try:
        assert next(batches).position is None
        server.kill()
        with pytest.raises(SourceUnavailable, match="SRC-SFTP-UNREACHABLE"):
            assert all(batch.position is None for batch in batches)
        with pytest.raises(SourceUnavailable, match="SRC-SFTP-UNREACHABLE"):
            opened(drops).plan(None)
    finally:
        server.start()
    assert taken(opened(drops))[0].num_rows == rows
    source.close()
    assert len(source.plan(None)) == 1


def test_a_server_that_accepts_and_says_nothing_is_given_up(opened, drops):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        source = opened(drops, login={"port": mute.getsockname()[1], "timeout": "1s"})
        with pytest.raises(SourceUnavailable, match=r"SRC-SFTP-(TIMEOUT|UNREACHABLE)") as caught:
            source.plan(None)
        assert caught.value.retryable


def test_a_server_that_stops_answering_inside_a_file_is_given_up(server, opened, drops, monkeypatch):
    monkeypatch.setattr(place_ahead, "BLOCK", 50_000)
    (drops / "big.csv").write_text("a,b\n" + "".join(f"{n:0100},{n:0100}\n" for n in range(60_000)))
    with _Relay(server.port) as relay:
        source = opened(drops, login={"port": relay.port, "timeout": "1s"})
        [split] = source.plan(None)
        batches = source.read(split)
        next(batches)
        relay.stall()
        with pytest.raises(SourceUnavailable, match="SRC-SFTP-TIMEOUT"):
            list(batches)
        source.close()


class _Relay:
    """Passes bytes on to a port, until it is told to pass nothing more."""

    def __init__(self, port):
        self.target, self.passing = port, threading.Event()
        self.passing.set()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.links = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        here, _ = self.server.accept()
        there = socket.create_connection(("127.0.0.1", self.target))
        self.links += [here, there]
        for one, other in ((here, there), (there, here)):
            threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        try:
            while data := one.recv(65536):
                self.passing.wait(20)
                other.sendall(data)
        except OSError:
            pass

    def stall(self):
        self.passing.clear()

    def __exit__(self, *_):
        self.passing.set()
        for link in [self.server, *self.links]:
            link.close()


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ({"password_secret": "p"}, r"password_secret.*key_secret"),
        ({"known_host": "??"}, r"known_host.*SHA256"),
        ({"known_hosts": "/nowhere/known_hosts"}, "known_hosts"),
        ({"hots": "x"}, r"connection\.sftp\.hots.*host"),
        ({"timeout": "soon"}, "timeout"),
    ],
)
def test_a_wrong_option_of_the_connection_is_named(opened, drops, login, said):
    with pytest.raises(SourceError, match=rf"SRC-OPTION.*{said}"):
        opened(drops, login=login)


def test_two_ways_to_one_place_are_refused(server):
    connection = {"folder": "/x", "sftp": {"host": "h"}}
    with pytest.raises(SourceError, match=r"SRC-OPTION.*only one of folder, sftp"):
        open_source("csv", {"folder": "x"}, connection, Held())
