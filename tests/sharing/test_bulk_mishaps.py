"""Bulk jobs when something goes wrong at the worst moment: what is counted is in the result, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from sharing_town import PERSON, Town
from test_bulk import CODES, bulk_calls, filed, result, status, stock, work

from sharing import bulk_files, bulk_work
from sharing.bulk_files import JobFolder
from sharing.bulk_store import JobStore
from sharing.bulk_work import Worker, folder_of


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_files, "CHUNK", 4)


def again(town: Town, job: str) -> None:
    JobStore(town.config.engine).change(job, retry_at="2026-01-01T00:00:00+08:00")


def used(town: Town) -> int:
    return town.desk.quota.used("school", "school-small")


def in_a_thread(ask: Callable[..., Any]) -> Callable[..., Any]:
    """The same call from elsewhere, as this thread has its event loop running."""

    def asked(*told: object, **said: object) -> object:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(ask, *told, **said).result()

    return asked


def test_a_receipt_that_cannot_be_written_does_not_have_its_chunk_counted_twice(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(town)
    job = filed(town, CODES[:6])

    def full(*_told: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(JobFolder, "receipt", full)
    work(town)
    told = status(town, job)
    assert (told["state"], told["units"], [call.units for call in bulk_calls(town)]) == ("done", 6, [4, 2])
    assert len(result(town, job).text.splitlines()) == 7


def test_an_error_nobody_thought_of_gives_the_units_back(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    job = filed(town, [PERSON] * 3, who="school", library="population")

    def broken(*_told: object, **_said: object) -> pa.Table:
        raise pa.ArrowInvalid

    with monkeypatch.context() as now:
        now.setattr(bulk_work, "table_of", broken)
        for _ in range(3):
            work(town, 1)
            again(town, job)
    assert (used(town), status(town, job, "school")["code"]) == (0, "SHR-INTERNAL")
    work(town)
    assert (status(town, job, "school")["state"], used(town)) == ("done", 3)


def test_a_job_cancelled_while_a_chunk_is_answered_has_that_chunk_in_its_result(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(town)
    job, put = filed(town, CODES[:12]), JobFolder.put

    def cancelled(folder: JobFolder, chunk: int, table: pa.Table) -> bytes:
        assert town.ask(f"/v1/jobs/{job}/cancel", "tax", "POST").json()["job"]["state"] == "cancelled"
        return put(folder, chunk, table)

    with monkeypatch.context() as now:
        now.setattr(JobFolder, "put", cancelled)
        now.setattr(town, "ask", in_a_thread(town.ask))
        work(town, 1)
    work(town)
    told = status(town, job)
    assert (told["state"], told["units"], sum(call.units for call in bulk_calls(town))) == ("cancelled", 4, 4)
    assert len(result(town, job).text.splitlines()) == 5


def test_a_chunk_recorded_by_a_process_that_died_is_found_by_one_that_knows_the_job(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(town)
    job = filed(town, CODES[:8])
    ours = work(town, 1)

    def died(*_told: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as now:
        now.setattr(Worker, "_progress", died)
        with pytest.raises(KeyboardInterrupt):
            work(town, 1)
    work(town, 5, ours)
    assert (status(town, job)["units"], [call.units for call in bulk_calls(town)]) == (8, [4, 4])


def test_a_result_is_not_handed_out_for_rows_the_grant_does_not_show_any_more(town: Town) -> None:
    stock(town)
    job = filed(town, CODES[:4])
    work(town)
    text = town.config.grants.read_text("utf-8")
    assert result(town, job).status_code == 200
    town.config.grants.write_text(text.replace("'3301*'", "'3302*'"), "utf-8")
    assert town.config.grants.read_text("utf-8") != text
    assert result(town, job).json()["code"] == "SHR-JOB-RIGHTS"
    folder = JobFolder(folder_of(town.desk), job)
    assert len(folder.rights()) == 1
