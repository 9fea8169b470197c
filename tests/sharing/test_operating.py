"""What operators see: counters with few labels, a page only they may read, a log that is begun anew, the page of the API."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sharing_town import FIRM, PERSON, Town

from sharing.access_log import AccessLog
from sharing.app import create_app
from sharing.calls import Call
from sharing.docs_page import ASSETS
from sharing.metrics import BUCKETS, Tally, room
from sharing.operating import LogTerms, Operating, TraceTerms
from sharing.proxies import Trust, networks_of
from sharing.webhook_store import MESSAGE
from shutong.operating import operating_of
from shutong.settings import SettingError, read


@contextmanager
def opened(town: Town, operating: Operating, trust: Trust | None = None) -> Iterator[Town]:
    """The same town, run otherwise."""
    config = replace(town.config, operating=operating, meter=town.folder / "meter-2", trust=trust or Trust())
    other = replace(town, config=config, app=create_app(config))
    yield other
    other.desk.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10**9), max_size=60))
def test_every_call_falls_into_one_bucket_that_is_not_too_small(durations: list[int]) -> None:
    tally = Tally()
    for micros in durations:
        tally.call("get", 200, "firms", micros)
    timings = tally.read().timings.get(("seconds", "get"), [0] * (BUCKETS + 1))
    tally.close()
    assert (sum(timings[:BUCKETS]), timings[BUCKETS]) == (len(durations), sum(durations))
    for place in range(BUCKETS - 1):
        assert sum(timings[: place + 1]) == sum(micros < 64 << place for micros in durations)


def test_no_flood_of_labels_takes_more_than_its_cells() -> None:
    tally = Tally()
    for number in range(5000):
        tally.add("refusals", f"CODE-{number}")
        tally.call("get", 200, f"subject-{number}", 100)
    told = tally.read()
    tally.close()
    assert sum(told.counters.values()) == 10_000
    assert told.counters["refusals", "other"] > 0
    assert told.counters["calls", "other", "other", "other"] > 0
    assert len(told.counters) < 4096


def test_what_a_worker_counted_stays_when_it_ends_and_what_it_was_doing_does_not() -> None:
    count = (
        "import sys; from pathlib import Path; from sharing.metrics import Tally; t = Tally(Path(sys.argv[1]));"
        "t.add('refusals', 'SHR-X', by=3); t.set('calls', to=7); t.time('commits', micros=100)"
    )
    with room() as folder:
        assert folder.stat().st_mode & 0o077 == 0
        mine = Tally(folder)
        mine.add("refusals", "SHR-X")
        subprocess.run([sys.executable, "-c", count, str(folder)], check=True, cwd=Path(__file__).parents[2])
        told = mine.read()
        mine.close()
    assert told.counters["refusals", "SHR-X"] == 4
    assert (told.gauges["calls",], told.workers) == (0, 1)
    assert sum(told.timings["commits",][:BUCKETS]) == 1
    assert not folder.exists()


def test_metrics_are_for_operators(town: Town) -> None:
    trust = Trust(proxies=networks_of(("127.0.0.1",)))
    outside = Operating(metrics_from=networks_of(("10.9.0.0/16",)), metrics_token=b"operators-token")
    assert town.ask("/metrics", None).status_code == 200
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-Ip"):
        refused = town.ask("/metrics", None, headers={name: "127.0.0.1"})
        assert (refused.status_code, refused.json()["code"]) == (403, "SHR-OPERATORS"), name
    with opened(town, outside, trust) as other:
        assert other.ask("/metrics", None).status_code == 403
        assert other.ask("/metrics").status_code == 403, "a department's key opens nothing here"
        assert other.ask("/metrics", None, headers={"X-Forwarded-For": "10.9.1.1"}).status_code == 200
        assert other.ask("/metrics", None, headers={"X-Forwarded-For": "10.9.1.1, 10.8.0.1"}).status_code == 403
        assert other.ask("/metrics", None, headers={"Authorization": "Bearer operators-token"}).status_code == 200
        assert other.ask("/metrics", None, headers={"Authorization": "Bearer other"}).status_code == 403
    assert town.calls() == []


def test_the_page_of_metrics_names_no_key_and_no_unknown_subject(town: Town) -> None:
    town.post("population", key=PERSON)
    town.ask(f"/v1/libraries/legal_person/records/{FIRM}?grant=tax-firms")
    for number in range(20):
        town.ask(f"/v1/libraries/made-up-{number}/records/{FIRM}")
        town.ask(f"/v1/libraries/legal_person/records:made-up-{number}", method="POST")
        town.ask(f"/v1/resources/made-up-{number}")
        town.ask(f"/made-up-{number}")
    page = town.ask("/metrics", None).text
    assert "made-up" not in page
    assert PERSON not in page
    assert FIRM not in page
    assert 'shutong_calls_total{operation="post",status="200",subject="population"} 1.0' in page
    assert 'shutong_refusals_total{code="SHR-NO-LIBRARY"} 20.0' in page


def test_what_waits_is_told_and_a_database_that_is_away_is_told_too(town: Town) -> None:
    with town.config.engine.begin() as connection:
        message = {"id": "m1", "webhook": 1, "body": "{}", "created_at": "2026-03-01", "state": "waiting", "attempts": 2,
                   "next_at": "2026-03-01", "ended_at": None}  # fmt: skip
        connection.execute(sa.insert(MESSAGE), [message, message | {"id": "m2", "ended_at": "2026-03-02"}])
    page = town.ask("/metrics", None).text
    assert "shutong_webhook_messages 1.0" in page
    assert 'shutong_jobs{state="queued"} 0.0' in page
    assert "shutong_webhooks_failing 0.0" in page
    assert "shutong_state_up 1.0" in page
    (town.folder / "state.db").unlink()
    town.config.engine.dispose()
    page = town.ask("/metrics", None)
    assert (page.status_code, "shutong_state_up 0.0" in page.text) == (200, True)


def test_a_call_beyond_the_limit_is_refused_at_once_and_probes_are_not(town: Town) -> None:
    with opened(town, Operating(calls=0)) as other:
        refused = other.post("population", key=PERSON)
        assert (refused.status_code, refused.json()["code"]) == (503, "SHR-BUSY")
        assert refused.headers["retry-after"] == "1"
        assert [other.ask(path, None).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
        assert 'shutong_refusals_total{code="SHR-BUSY"} 1.0' in other.ask("/metrics", None).text
        assert other.calls() == []


def test_a_log_that_is_full_is_put_aside_and_an_old_one_goes(tmp_path: Path) -> None:
    terms = LogTerms(tmp_path / "access.jsonl", largest=2000, days=3)
    old = tmp_path / "access-20260101T000000000000.jsonl"
    old.write_text("{}\n")
    os.utime(old, (1, 1))

    async def write() -> int:
        first, second = AccessLog(terms), AccessLog(terms)
        for number in range(60):
            call = Call.begin()
            (first if number % 2 else second).note(call, "firms", number)
            if number % 5 == 4:
                first.flush()
                second.flush()
                await asyncio.sleep(0.002)
        first.close()
        second.close()
        return first.lost + second.lost

    assert asyncio.run(write()) == 0
    files = sorted(tmp_path.glob("access*.jsonl"))
    assert len(files) > 2
    assert old not in files
    lines = [json.loads(line) for one in files for line in one.read_text().splitlines()]
    assert sorted(line["micros"] for line in lines) == list(range(60))
    assert max(one.stat().st_size for one in files) < 2000 + 6 * 300


def test_a_log_that_cannot_be_written_stops_no_call(town: Town) -> None:
    with opened(town, Operating(log=LogTerms(town.folder / "logs" / "access.jsonl"))) as other:
        (town.folder / "logs" / "access.jsonl").mkdir()
        assert other.post("population", key=PERSON).status_code == 200
        other.app.state.watch.log.flush()
        assert other.app.state.watch.log.lost == 1


def test_a_collector_that_is_away_holds_nobody_up(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    with opened(town, Operating(traces=TraceTerms("http://127.0.0.1:9/v1/traces", 100, most=20))) as other:
        began = time.monotonic()
        answers = [other.post("population", key=PERSON) for _ in range(40)]
        traced = [one for one in answers if "traceresponse" in one.headers]
        assert [one.status_code for one in answers] == [200] * 40
        assert len({one.headers["traceresponse"] for one in traced}) == len(traced) > 0
        seconds = int(time.monotonic() - began) + 1
        assert len(traced) <= 20 * (seconds + 1), "not more than so many a second"
        closing = time.monotonic()
        other.app.state.watch.close()
        assert time.monotonic() - closing < 20
    assert PERSON not in caplog.text


def test_the_page_of_the_api_is_whole_and_asks_no_other_host(town: Town) -> None:
    for lang, word in (("zh", "接口文档"), ("en", "Authorize")):
        page = town.ask(f"/docs?lang={lang}", None)
        assert page.status_code == 200
        assert word in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"https?://|//[a-z]", page.text)
        named = re.findall(r"(?:src|href)=\"([^\"?]+)\"", page.text)
        for link in named:
            if link == "data:,":
                continue
            got = town.ask(f"/{link}", None)
            assert got.status_code == 200, link
            assert link == "openapi.json" or link.removeprefix("docs/") in ASSETS
    assert town.calls() == []


def test_assets_come_packed_or_not_and_nothing_else_is_served(town: Town) -> None:
    async def plain() -> httpx.Response:
        transport = httpx.ASGITransport(app=town.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://town") as client:
            return await client.get("/docs/swagger-ui.css", headers={"accept-encoding": "identity"})

    unpacked = asyncio.run(plain())
    assert "content-encoding" not in unpacked.headers
    packed = town.ask("/docs/swagger-ui.css", None)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == unpacked.content
    folder = Path(__file__).parents[2] / "sharing" / "docs_assets"
    assert sum(one.stat().st_size for one in folder.iterdir()) < 1_500_000
    assert gzip.decompress((folder / "swagger-ui.css.gz").read_bytes()) == unpacked.content
    for path in ("LICENSE", "..%2Fapp.py", "page.zh.html", "swagger-ui.css.gz"):
        assert town.ask(f"/docs/{path}", None).status_code in {401, 404}, path


def test_settings_become_terms_and_a_slip_is_told(tmp_path: Path) -> None:
    told = {
        "SHUTONG_HOME": str(tmp_path), "SHUTONG_API_CALLS": "9", "SHUTONG_API_BODY_SECONDS": "3",
        "SHUTONG_API_DRAIN_SECONDS": "5", "SHUTONG_API_METRICS_FROM": "10.0.0.0/8", "SHUTONG_API_ACCESS_LOG": "on",
        "SHUTONG_API_ACCESS_LOG_DAYS": "2", "SHUTONG_TRACES_URL": "http://10.0.0.9:4318/v1/traces",
        "SHUTONG_TRACES_PERCENT": "50", "SHUTONG_SECRET_METRICS": "operators-token",
    }  # fmt: skip
    terms = operating_of(read(told))
    assert terms == Operating(
        9, 3, 5, networks_of(("10.0.0.0/8",)), b"operators-token",
        LogTerms(tmp_path / "logs" / "access.jsonl", days=2), TraceTerms("http://10.0.0.9:4318/v1/traces", 50),
    )  # fmt: skip
    assert "operators-token" not in repr(terms)
    usual = operating_of(read({"SHUTONG_HOME": str(tmp_path)}))
    assert usual == Operating()
    for name, value in (("SHUTONG_TRACES_URL", "http://me:pass@host/"), ("SHUTONG_API_CALLS", "0"),
                        ("SHUTONG_API_METRICS_FROM", "here")):  # fmt: skip
        with pytest.raises(SettingError) as refused:
            read({name: value})
        assert "pass" not in str(refused.value)
