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


def test_a_query_that_is_not_run_costs_nothing_and_one_whose_error_may_repeat_a_value_one_unit(town: Town) -> None:
    with pytest.raises(WarehouseError):
        town.ask(f"SELECT error(uscc) FROM {BASE}", "school")
    assert used(town) == 0
    with pytest.raises(WarehouseError, match="USCC-"):
        town.ask(f"SELECT uscc::INTEGER FROM {BASE}", "school")
    assert used(town) == 1
    shutil.rmtree(town.folder / "meter" / "quota")
    assert used(town) == 1


def test_an_error_repeats_the_beginning_of_a_value_only(town: Town) -> None:
    long = " || ".join(["string_agg(uscc, ',')"] * 12)
    with pytest.raises(WarehouseError) as raised:
        town.ask(f"SELECT ({long})::INTEGER FROM {BASE}", "school")
    assert raised.value.code == "WH-SQL-FAILED"
    assert "USCC-0#" in raised.value.en
    assert len(raised.value.en) < 400


@pytest.mark.parametrize("packed", ["string_agg(uscc || ent_name, ',')", "list(uscc || ent_name)"])
def test_records_that_are_put_into_one_row_cost_by_their_length(town: Town, packed: str) -> None:
    often = ", ".join(f"{BASE} t{number}" for number in range(5))
    sql = f"SELECT {packed} FROM (SELECT t0.* FROM {often})"  # 1,024 records in one row: more than 6 KiB
    assert len(town.rows(sql, "tax")) == 1
    with pytest.raises(QuotaSpentError):
        town.ask(sql, "school")
    assert used(town) == 0
    town.ask(f"SELECT {packed} FROM {BASE}", "school")
    assert used(town) == 1


def test_whoever_needs_no_grant_or_has_one_without_a_quota_is_not_counted(town: Town) -> None:
    for department in (None, "tax"):
        assert town.ask(f"SELECT uscc FROM {BASE}", department).rows.num_rows == 4
    assert not (town.folder / "meter" / "quota").exists()


def test_counters_that_are_lost_are_counted_again_from_what_was_answered(town: Town) -> None:
    town.ask(f"SELECT uscc FROM {BASE} LIMIT 2", "school")
    with pytest.raises(WarehouseError):
        town.ask(f"SELECT error(uscc) FROM {BASE}", "school")
    town.ask(f"SELECT uscc FROM {BASE} WHERE uscc = 'none'", "school")
    town.ask(f"SELECT uscc FROM {BASE}", "tax")
    shutil.rmtree(town.folder / "meter" / "quota")
    assert used(town) == 3


def test_what_is_counted_again_is_what_was_charged_and_not_the_rows(town: Town) -> None:
    long = "长" * 400
    town.ask(f"SELECT uscc || '{long}' AS told FROM {BASE} LIMIT 2", "school")
    charged = used(town)
    assert charged > 2
    assert town.analysts().log.newest(1)[0].units == charged
    shutil.rmtree(town.folder / "meter" / "quota")
    assert used(town) == charged
    with town.state.engine.begin() as connection:  # as a version before wrote it
        connection.execute(sa.update(SQL_QUERY).values(units=None))
    shutil.rmtree(town.folder / "meter" / "quota")
    assert used(town) == 2


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
