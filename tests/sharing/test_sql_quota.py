"""Queries in SQL and calls of the API share a grant's quota: a unit for each row, one at least, exactly counted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sql_town import BASE, Town, firm

from sharing.analysts import Analyst
from sharing.errors import QuotaSpentError
from sharing.sql_log import SQL_QUERY
from warehouse.errors import WarehouseError


@pytest.fixture(scope="module")
def asked_before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("quota"))
    made.put(BASE, [firm(number) for number in range(4)])
    yield made
    made.close()


@pytest.fixture
def town(asked_before: Town) -> Town:
    """Where nobody has asked anything yet."""
    shutil.rmtree(asked_before.folder / "meter", ignore_errors=True)
    with asked_before.state.engine.begin() as connection:
        connection.execute(sa.delete(SQL_QUERY))
    return asked_before


def used(town: Town) -> int:
    return town.analysts().quota.used("school", "school-few")


def test_a_query_costs_a_unit_for_each_row_and_one_at_least(town: Town) -> None:
    town.ask(f"SELECT uscc FROM {BASE} LIMIT 3", "school")
    assert used(town) == 3
    town.ask(f"SELECT uscc FROM {BASE} WHERE uscc = 'none'", "school")
    assert used(town) == 4
    town.ask(f"SELECT count(*) FROM {BASE} a JOIN {BASE} b USING (uscc)", "school")
    assert used(town) == 5, "a grant by which two of its tables are read is asked once"


def test_an_answer_that_does_not_fit_is_not_given_and_costs_nothing(town: Town) -> None:
    town.ask(f"SELECT uscc FROM {BASE} LIMIT 4", "school")
    with pytest.raises(QuotaSpentError) as raised:
        town.ask(f"SELECT uscc FROM {BASE}", "school")
    assert (raised.value.code, raised.value.retryable) == ("SHR-QUOTA", True)
    assert town.analysts().log.newest(1)[0].outcome == "SHR-QUOTA"
    assert used(town) == 4
    assert town.ask(f"SELECT uscc FROM {BASE} LIMIT 2", "school").rows.num_rows == 2
    with pytest.raises(QuotaSpentError):
        town.ask(f"SELECT count(*) FROM {BASE}", "school")


def test_a_query_that_fails_costs_nothing(town: Town) -> None:
    for sql in (f"SELECT nothing FROM {BASE}", f"SELECT uscc::INTEGER FROM {BASE}"):
        with pytest.raises(WarehouseError):
            town.ask(sql, "school")
    assert used(town) == 0


def test_whoever_needs_no_grant_or_has_one_without_a_quota_is_not_counted(town: Town) -> None:
    for department in (None, "tax"):
        assert town.ask(f"SELECT uscc FROM {BASE}", department).rows.num_rows == 4
    assert not (town.folder / "meter" / "quota").exists()


def test_counters_that_are_lost_are_counted_again_from_what_was_answered(town: Town) -> None:
    town.ask(f"SELECT uscc FROM {BASE} LIMIT 2", "school")
    with pytest.raises(WarehouseError):
        town.ask(f"SELECT nothing FROM {BASE}", "school")
    town.ask(f"SELECT uscc FROM {BASE} WHERE uscc = 'none'", "school")
    town.ask(f"SELECT uscc FROM {BASE}", "tax")
    shutil.rmtree(town.folder / "meter" / "quota")
    assert used(town) == 3


def test_queries_at_once_take_no_more_than_there_is(town: Town) -> None:
    service = town.analysts()

    def asked(_: int) -> bool:
        try:
            return service.ask(Analyst("wang", "school"), f"SELECT uscc FROM {BASE} LIMIT 2").rows.num_rows == 2
        except QuotaSpentError:
            return False

    with ThreadPoolExecutor(3) as together:
        assert sum(together.map(asked, range(8))) <= 3
    assert used(town) <= 6
