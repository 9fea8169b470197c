"""A file of keys is answered beside the server: each key counted once, by the rights of that moment, whatever dies."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sharing_town import FIRM, GRANTS, PERSON, Town, build, firm, uscc

from sharing import bulk_files, bulk_store
from sharing.bulk_files import KeyFile
from sharing.bulk_store import JobStore
from sharing.bulk_work import Worker, folder_of
from sharing.calls import SHANGHAI
from sharing.clients import Clients
from sharing.errors import MalformedError, UnavailableError
from sharing.ledger import Ledger
from sharing.receipts import check

CODES = [uscc(f"91330100MA2J{number:05d}") for number in range(25)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_files, "CHUNK", 4)


def file(town: Town, text: str | bytes, query: str = "", who: str = "tax", library: str = "legal_person"):
    return town.ask(f"/v1/libraries/{library}/jobs{query}", who, "POST", content=text,
                    headers={"Content-Type": "text/csv"})  # fmt: skip


def filed(town: Town, codes: list[str], query: str = "", who: str = "tax", library: str = "legal_person") -> str:
    told = file(town, "\n".join(codes), query, who, library)
    assert told.status_code == 202, told.text
    return told.json()["job"]["id"]


def work(town: Town, turns: int = 50, worker: Worker | None = None) -> Worker:
    worker = worker or Worker(town.desk, JobStore(town.config.engine))

    async def go() -> None:
        for _ in range(turns):
            if not await worker.turn():
                return

    asyncio.run(go())
    return worker


def status(town: Town, job: str, who: str = "tax") -> dict:
    return town.ask(f"/v1/jobs/{job}", who).json()["job"]


def result(town: Town, job: str, who: str = "tax"):
    return town.ask(f"/v1/jobs/{job}/result", who)


def bulk_calls(town: Town) -> list:
    return [call for call in town.calls() if call.operation == "bulk"]


def stock(town: Town, codes: list[str] = CODES) -> None:
    town.firms.rows |= {code: firm(code, "330106" if place % 5 else "330299") for place, code in enumerate(codes)}


def test_a_file_of_keys_is_answered_with_each_key_charged_once_and_a_row_each(town: Town) -> None:
    stock(town)
    told = file(town, "﻿key,memo\r\n" + "".join(f'"{code}",x\r\n' for code in [*CODES[:9], "not-a-key", FIRM]))
    job = told.json()["job"]
    assert (told.status_code, told.headers["location"], job["keys"]) == (202, f"/v1/jobs/{job['id']}", 11)
    assert (town.calls()[-1].operation, town.calls()[-1].units, town.calls()[-1].grant) == ("job", 0, "tax-firms")
    assert result(town, job["id"]).json()["code"] == "SHR-JOB-STATE"
    work(town)
    done = status(town, job["id"])
    assert (done["state"], done["done"], done["found"], done["units"]) == ("done", 11, 8, 10)
    calls = bulk_calls(town)
    assert [(len(call.keys), call.units, call.fields) for call in calls] == [(4, 4, 21), (4, 4, 21), (2, 2, 14)]
    assert len({call.client_id for call in calls}) == 3
    got = result(town, job["id"])
    assert got.headers["content-disposition"].endswith('.csv"')
    assert hashlib.sha256(got.content).hexdigest() == done["sha256"]
    assert check(got.headers["x-receipt"], town.desk.receipts.public(), answer=got.content).operation == "job-result"
    rows = list(csv.DictReader(io.StringIO(got.text)))
    assert [row["_key"] for row in rows] == [*CODES[:9], "not-a-key", FIRM]
    assert [row["_found"] for row in rows] == ["false", *["true"] * 4, "false", *["true"] * 3, "false", "true"]
    assert (rows[9]["_problem"], rows[1]["phone"], rows[1]["ent_name"]) == (
        "SHR-KEY-FORMAT", "138****5678", "杭州𠮷野家餐饮有限公司",
    )  # fmt: skip
    receipts = town.ask(f"/v1/jobs/{job['id']}/receipts", "tax").text.split()
    assert sum(check(one, town.desk.receipts.public()).units for one in receipts) == 10
    assert sorted(path.name for path in (folder_of(town.desk) / job["id"]).iterdir()) == [
        "lock", "receipts", "result", "rights",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_the_result_comes_as_parquet_or_arrow_too(town: Town, form: str) -> None:
    stock(town)
    job = filed(town, CODES[:6], f"?format={form}&fields=uscc,ent_name")
    work(town)
    raw = io.BytesIO(result(town, job).content)
    table = pq.read_table(raw) if form == "parquet" else pa.ipc.open_stream(raw).read_all()
    assert table.column_names == ["_key", "_found", "uscc", "ent_name", "_problem", "_generation"]
    assert table.column("uscc").to_pylist() == [None, *CODES[1:5], None]


def test_a_quota_is_used_to_its_end_and_the_rest_waits_for_the_next_day(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = filed(town, [PERSON] * 5, who="school", library="population")
    work(town)
    told = status(town, job, "school")
    assert (told["state"], told["code"], told["done"], told["units"]) == ("waiting", "SHR-QUOTA", 3, 3)
    assert datetime.fromisoformat(told["retry_at"]) > datetime.now(SHANGHAI)
    work(town)
    assert status(town, job, "school")["done"] == 3, "not before its time"
    text = town.config.grants.read_text("utf-8")
    town.config.grants.write_text(text.replace("per_day: 3", "per_day: 30"), "utf-8")
    JobStore(town.config.engine).change(job, retry_at="2026-01-01T00:00:00+08:00")
    work(town)
    assert (status(town, job, "school")["state"], status(town, job, "school")["units"]) == ("done", 5)
    assert all(call.keys[0].startswith("hmac:") for call in bulk_calls(town)), "persons are hidden"
    assert PERSON not in town.calls()[-1].payload().decode()


def test_rights_are_those_of_each_chunk_and_a_revoked_grant_stops_the_job_and_its_result(town: Town) -> None:
    stock(town)
    job, text = filed(town, CODES[:12], "?fields=uscc,phone"), town.config.grants.read_text("utf-8")
    worker = work(town, 1)
    town.config.grants.write_text(text.replace("clear: [legal_rep_name]", "clear: [legal_rep_name, phone]"), "utf-8")
    work(town, 1, worker)
    town.config.grants.write_text(text.replace("id: tax-firms", "id: tax-others"), "utf-8")
    work(town, 5, worker)
    told = status(town, job)
    assert (told["state"], told["code"], told["done"], told["units"]) == ("failed", "SHR-NO-GRANT", 8, 8)
    assert result(town, job).json()["code"] == "SHR-NO-GRANT", "nothing is handed out any more"
    town.config.grants.write_text(text, "utf-8")
    refused = result(town, job)
    assert (refused.status_code, refused.json()["code"]) == (403, "SHR-JOB-RIGHTS"), "telephones are masked now"
    town.config.grants.write_text(text.replace("clear: [legal_rep_name]", "clear: [legal_rep_name, phone]"), "utf-8")
    phones = [row["phone"] for row in csv.DictReader(io.StringIO(result(town, job).text))]
    assert phones == ["", *["138****5678"] * 3, "13812345678", "", *["13812345678"] * 2]


def test_a_field_taken_from_the_grant_or_a_key_revoked_stops_the_job(town: Town) -> None:
    job, other = filed(town, CODES[:4]), filed(town, CODES[:4], "?fields=uscc")
    text = town.config.grants.read_text("utf-8")
    town.config.grants.write_text(text.replace("phone, secret_note, division]", "division]"), "utf-8")
    work(town)
    assert (status(town, job)["state"], status(town, job)["code"]) == ("failed", "SHR-FIELD")
    assert (status(town, other)["state"], status(town, job)["units"]) == ("done", 0)
    assert result(town, job).json()["code"] == "SHR-JOB-STATE"
    last = JobStore(town.config.engine).get(filed(town, CODES[:4], "?fields=uscc"))
    assert last is not None
    town.desk.keys.revoke(last.key_id)
    work(town)
    ended = JobStore(town.config.engine).get(last.id)
    assert ended is not None
    assert (ended.state, ended.code) == ("failed", "SHR-WRONG-KEY")


def test_a_job_is_its_callers_alone_and_a_cancelled_one_keeps_what_was_paid_for(town: Town) -> None:
    job = filed(town, CODES[:12])
    for path in ("", "/result", "/receipts"):
        assert town.ask(f"/v1/jobs/{job}{path}", "school").json()["code"] == "SHR-NO-JOB"
    assert town.ask(f"/v1/jobs/{job}/cancel", "school", "POST").json()["code"] == "SHR-NO-JOB"
    assert (town.ask("/v1/jobs", "school").json()["jobs"], len(town.ask("/v1/jobs", "tax").json()["jobs"])) == ([], 1)
    assert town.ask(f"/v1/jobs/{job}", None).json()["code"] == "SHR-NO-KEY"
    worker = work(town, 1)
    assert town.ask(f"/v1/jobs/{job}/cancel", "tax", "POST").json()["job"]["state"] == "cancelled"
    work(town, 3, worker)
    assert status(town, job)["units"] == 4
    assert len(result(town, job).text.splitlines()) == 5
    assert town.ask(f"/v1/jobs/{job}/cancel", "tax", "POST").json()["code"] == "SHR-JOB-STATE"


@pytest.mark.parametrize(
    ("text", "line"),
    [("", 1), ("key\n\n", 3), (b"\xff\xfe\n", 1), ("a\n" + "x" * 5000, 2), ('"a\nb"\n"c\rd"', 3),
     ("a,\rb", 1)],
)  # fmt: skip
def test_a_file_that_is_no_list_of_keys_is_refused_with_its_line(town: Town, text: str | bytes, line: int) -> None:
    told = file(town, text)
    assert (told.status_code, told.json()["code"]) == (422, "SHR-JOB-FILE")
    assert f"Line {line}:" in told.json()["en"]["detail"]
    assert list(folder_of(town.desk).iterdir()) == [], "nothing is left of it"


def test_more_keys_bytes_or_jobs_than_there_may_be_are_refused(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_files, "MOST_KEYS", 3)
    assert file(town, "a\nb\nc\nd\n").json()["code"] == "SHR-JOB-FILE"
    monkeypatch.setattr("sharing.bulk.LARGEST", 10)
    assert file(town, "a" * 11).json()["code"] == "SHR-TOO-LARGE"
    monkeypatch.setattr("sharing.bulk.ROOM", 1 << 60)
    assert file(town, "a").json()["code"] == "SHR-JOB-ROOM"
    monkeypatch.setattr("sharing.bulk.ROOM", 0)
    jobs = [filed(town, ["a"]) for _ in range(bulk_store.MOST_OPEN)]
    assert (file(town, "a").status_code, file(town, "a").json()["code"]) == (429, "SHR-JOBS")
    assert file(town, "a", "?fields=never").json()["code"] == "SHR-FIELD"
    assert file(town, "a", who="bank").json()["code"] == "SHR-GRANT-EXPIRED"
    assert file(town, "a", library="nothing").json()["code"] == "SHR-NO-LIBRARY"
    assert len(list(folder_of(town.desk).iterdir())) == len(jobs)


def test_what_fails_for_the_moment_is_tried_again_and_counted_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    stock(town)
    job, meter = filed(town, CODES[:4]), town.desk.meter

    async def broken(_call: object) -> None:
        raise UnavailableError.meter()

    town.firms.broken = UnavailableError.state()
    work(town)
    town.firms.broken = None
    assert (status(town, job)["state"], status(town, job)["code"]) == ("waiting", "SHR-STORE")
    for _ in range(2):
        monkeypatch.setattr(town.desk, "meter", type("Broken", (), {"record": staticmethod(broken)})())
        JobStore(town.config.engine).change(job, retry_at="2026-01-01T00:00:00+08:00")
        work(town)
        monkeypatch.setattr(town.desk, "meter", meter)
    assert status(town, job)["code"] == "SHR-METER"
    JobStore(town.config.engine).change(job, retry_at="2026-01-01T00:00:00+08:00")
    work(town)
    assert (status(town, job)["state"], status(town, job)["units"], len(bulk_calls(town))) == ("done", 4, 1)


def test_results_are_taken_away_after_their_days(town: Town) -> None:
    job, store = filed(town, CODES[:2]), JobStore(town.config.engine)
    worker = work(town)
    assert worker.sweep() == 0
    old = (datetime.now(SHANGHAI) - timedelta(days=bulk_store.KEEP_DAYS, hours=1)).isoformat(timespec="microseconds")
    store.keep(job, changed_at=old)
    assert worker.sweep() == 1
    assert (status(town, job)["state"], result(town, job).json()["code"]) == ("expired", "SHR-JOB-STATE")
    assert not (folder_of(town.desk) / job).exists()


def test_an_application_that_is_shut_off_gets_no_more(town: Town) -> None:
    clients = Clients(town.config.engine)
    client = clients.add("tax", "batch-app")
    assert client is not None
    town.keys["app"] = town.desk.keys.issue("tax", "batch-app", client=client.id)
    job = filed(town, CODES[:4], who="app")
    assert town.ask(f"/v1/jobs/{job}", "tax").json()["code"] == "SHR-NO-JOB", "another application of the department"
    clients.disable(client.id)
    work(town)
    ended = JobStore(town.config.engine).get(job)
    assert ended is not None
    assert (ended.state, ended.code) == ("failed", "SHR-WRONG-KEY")


def test_keys_are_read_in_whatever_pieces_they_come(tmp_path: Path) -> None:
    raw = '﻿uscc\r\n甲𠮷\r\n"带,逗号"\n\n  b  \nlast'.encode()
    for size in (1, 2, 3, 7, 1000):
        out = io.BytesIO()
        keys = KeyFile(out, "uscc")
        for place in range(0, len(raw), size):
            keys.take(raw[place : place + size])
        assert keys.end() == 4
        assert out.getvalue().decode().splitlines() == ["甲𠮷", "带,逗号", "b", "last"]
    with pytest.raises(MalformedError):
        KeyFile(io.BytesIO(), "uscc").end()


WORK = """
import asyncio, sys
from sharing import bulk_files, bulk_work
from sharing.bulk_store import JobStore
from sharing.desk import Desk
from sharing_town import FIRMS, firm, served
bulk_files.CHUNK = 4
config = served()
shelf = config.libraries["legal_person"].records
shelf.rows |= {code: firm(code, "330106") for code in sys.argv[1].split(",")}
asyncio.run(bulk_work.run(Desk(config), JobStore(config.engine), asyncio.Event(), 0.01))
"""


def test_a_chunk_that_was_recorded_and_not_written_down_is_not_answered_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(town)
    job = filed(town, CODES[:6])

    def died(*_told: object, **_said: object) -> bool:
        raise MemoryError

    monkeypatch.setattr(Worker, "_progress", died)
    with monkeypatch.context() as one:
        one.setattr(Worker, "_wait", died)
        with pytest.raises(MemoryError):
            work(town, 1)
    monkeypatch.undo()
    monkeypatch.setattr(bulk_files, "CHUNK", 4)
    assert (len(bulk_calls(town)), status(town, job)["done"]) == (1, 0)
    work(town)
    told = status(town, job)
    assert (told["state"], told["units"], told["found"], sum(call.units for call in bulk_calls(town))) == (
        "done",
        6,
        4,
        6,
    )


@pytest.mark.prove
@pytest.mark.kills
def test_a_worker_killed_at_any_instant_leaves_no_key_uncounted_or_counted_twice(tmp_path: Path) -> None:
    town = build(tmp_path, GRANTS)
    codes = [uscc(f"91330100MB{number:07d}") for number in range(200)]
    job = filed(town, codes)
    town.desk.close()
    store = JobStore(town.config.engine)
    env = os.environ | {"TOWN_FOLDER": str(tmp_path), "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}

    def run_until(reached: Callable[[], bool]) -> None:
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-c", WORK, ",".join(codes)], env=env, stderr=log)
        end = time.monotonic() + 90
        while not reached() and time.monotonic() < end:
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait(20)

    def done() -> int:
        found = store.get(job)
        return found.done if found is not None else 0

    for _ in range(4 if os.environ.get("SHUTONG_PROVE") else 1):
        before = done()
        run_until(lambda before=before: done() >= min(before + 24, 180))
    run_until(lambda: (store.get(job) or town).state == "done")  # type: ignore[union-attr]
    calls = [call for call in Ledger(town.config.meter).records() if call.operation == "bulk"]
    asked = [key for call in calls for key in call.keys]
    assert (len(asked), sum(call.units for call in calls), sorted(asked)) == (200, 200, sorted(codes))
    folder = bulk_files.JobFolder(tmp_path / "jobs", job)
    rows = list(csv.DictReader(io.StringIO(folder.result.read_text("utf-8"))))
    assert [row["_key"] for row in rows] == codes
    assert all(row["_found"] == "true" for row in rows)
    ended = store.get(job)
    assert ended is not None
    assert (ended.units, ended.found) == (200, 200)
    assert Ledger(town.config.meter).verify().sound
    town.config.engine.dispose()
