"""The nightly care of the warehouse as Airflow calls it: each task does its step, and what is wrong fails the task."""

from __future__ import annotations

import pytest

from shutong import accounts
from shutong.settings import read
from tests.sharing.books_town import called, on, record
from warehouse.errors import WarehouseError
from warehouse.verify import Looked


def test_each_task_of_the_night_does_its_step_over_the_deployment(airflow, home):
    from dags import care_in_airflow as care

    assert (care.compact(), care.expire(), care.sweep(), care.verify()) == (
        {},
        {},
        {},
        dict.fromkeys(care.verify(), 0),
    )
    made = care.back_up()
    assert (read().storage.backups / str(made["name"]) / "state.db").exists()


def test_what_verifying_finds_wrong_fails_the_task_and_says_what_to_do(airflow, home, monkeypatch):
    from airflow.sdk.exceptions import AirflowFailException

    from dags import care_in_airflow as care
    from runs import nightly

    wrong = WarehouseError("WH-TABLE-FILE", zh="坏了", en="it is damaged", fix_zh="恢复", fix_en="Restore it")
    monkeypatch.setattr(nightly.Nightly, "verify", lambda *_: iter([Looked("table", "std_a.b", 1, (wrong,))]))
    with pytest.raises(AirflowFailException, match=r"WH-TABLE-FILE.*Restore it"):
        care.verify()


def test_call_records_are_sealed_put_away_and_stated_once_the_month_is_over(airflow, home, monkeypatch):
    from dags import care_in_airflow as care

    monkeypatch.setenv("SHUTONG_SECRET_DEPLOYMENT", "d" * 32)
    with monkeypatch.context() as patch:
        on(patch, "2026-01-31")
        record(home / "meter", [called("2026-01-31", n, department="swj") for n in range(3)])
        monkeypatch.setattr(accounts, "today", lambda: "2026-02-02")
        assert (care.seal(), care.put_away()) == ({}, {"files_removed": 0}), "the day goes on"
        assert care.issue() == {}
        on(patch, "2026-02-02")
        assert care.seal() == {"2026-01-31": 3}
        assert care.put_away() == {"2026-01-31": 3, "files_removed": 0}
        assert sum(care.issue().values()) == 3
        assert (care.seal(), care.put_away(), care.issue()) == ({}, {"files_removed": 0}, {})
