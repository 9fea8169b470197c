"""A followed library answers with what has landed, by itself; one follower at a time, and errors are waited out."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import pytest
from click.testing import CliRunner
from small_deployment import (
    SMALL_STANDARD,
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    lay_out,
    looked_up,
    opened,
    write_small_standard,
)

from runs import library_follow
from runs.errors import RunError
from runs.library_follow import LibraryFollower
from runs.resources import Serve, load_resource
from schemas.errors import ShutongError, StandardError
from shutong.cli import main
from shutong.wiring import new_run_id
from warehouse.serving import ServingStore

LIBRARY = "legal_person"


@pytest.fixture
def home(tmp_path):
    folder = lay_out(tmp_path / "home")
    write_small_standard(folder)
    add_resource(folder, csv_source(), standard=SMALL_STANDARD)
    drop(folder, "1.csv", [firm(n, name=f"企业{n}") for n in range(20)])
    return folder


@contextmanager
def following(wired):
    """The library followed in a thread, and what it told."""
    news = []
    follower = LibraryFollower(wired.parts, LIBRARY, tell=news.append, new_run=new_run_id)
    thread = threading.Thread(target=follower.follow)
    thread.start()
    try:
        yield news
    finally:
        follower.stop.set()
        thread.join(timeout=60)
    assert not thread.is_alive()


def until(met, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_lands_is_answered_without_anybody_asking_for_it(home):
    with opened(home) as wired, following(wired) as news:
        wired.steps.ingest("scjg.firms", "r1")
        until(lambda: news)
        assert (news[0].report.records, looked_up(home, 3)["ent_name"]) == (20, "企业3")
        drop(home, "2.csv", [firm(3, name="改名有限公司", day="2025-01-01")])
        wired.steps.ingest("scjg.firms", "r2")
        until(lambda: len(news) == 2)
        assert looked_up(home, 3)["ent_name"] == "改名有限公司"
        with pytest.raises(RunError, match="library-legal_person"):
            LibraryFollower(wired.parts, LIBRARY, tell=print, new_run=new_run_id).follow()
    assert [one.what for one in news] == ["published", "published"]


def test_an_error_is_told_and_tried_again(home, monkeypatch):
    merge, failing = library_follow.Steps.merge, [True]

    def once(steps, library, run):
        if failing.pop() if failing else False:
            raise ShutongError("WH-CONTENDED", zh="忙", en="busy", fix_zh="稍后", fix_en="later")
        return merge(steps, library, run)

    monkeypatch.setattr(library_follow.Steps, "merge", once)
    monkeypatch.setattr(library_follow, "_BACKOFF", (0.05, 0.1))
    with opened(home) as wired:
        wired.steps.ingest("scjg.firms", "r1")
        with following(wired) as news:
            until(lambda: len(news) == 2)
    assert [one.what for one in news] == ["failed", "published"]


def test_a_library_nobody_contributes_to_is_refused(home):
    with opened(home) as wired, pytest.raises(RunError, match="legal_person"):
        LibraryFollower(wired.parts, "nothing", tell=print, new_run=new_run_id)


def test_verifying_finds_a_flipped_byte_and_publishing_mends_it(home, monkeypatch):
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    with opened(home) as wired:
        wired.steps.ingest("scjg.firms", "r1")
        wired.steps.merge(LIBRARY, "m1")
        wired.steps.publish(LIBRARY, "m1")

    def verified(code: int):
        result = CliRunner().invoke(main, ["library", "verify", LIBRARY, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)["damaged"]

    assert verified(0) == {}
    path = next((home / "serving" / LIBRARY).glob("*.lmdb"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert verified(1) == {path.name: "sha256"}
    with opened(home) as wired:
        assert wired.steps.publish(LIBRARY, "m2").changed
    assert verified(0) == {}


def test_a_resource_that_says_so_is_looked_up_as_soon_as_it_has_landed(home):
    path = home / "resources" / "scjg" / "firms.yaml"
    path.write_text(path.read_text() + "serve: {index: [ent_name]}\n")
    with opened(home) as wired:
        wired.steps.ingest("scjg.firms", "r1")
        store = ServingStore(home / "serving", "scjg.firms", check_every=0)
        assert (store.info().rows, store.info().indexed) == (20, ("ent_name",))
        drop(home, "2.csv", [firm(3, name="改名有限公司", day="2025-01-01")])
        wired.steps.ingest("scjg.firms", "r2")
        assert [one["uscc"] for one in store.find("ent_name", "改名有限公司")] == [code(3)]
        assert (store.info().rows, store.info().base) == (20, 1)


@pytest.mark.parametrize(("said", "wrong"), [("{index: [nothing]}", "nothing"), ("{key: x}", "key")])
def test_what_a_resource_file_says_of_looking_up_is_checked(home, said, wrong):
    path = home / "resources" / "scjg" / "firms.yaml"
    kept = path.read_text()
    path.write_text(kept + f"serve: {said}\n")
    with pytest.raises(StandardError, match=wrong):
        load_resource(path, (home / "standards",))
    for words, index in (("true", Serve()), ("false", None), ("{}", Serve())):
        path.write_text(kept + f"serve: {words}\n")
        assert load_resource(path, (home / "standards",)).serve == index
