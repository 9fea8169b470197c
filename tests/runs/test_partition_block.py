"""`warehouse: {partition: …}` of a resource file: what it may say, what it is refused for, and that landing follows it."""

from __future__ import annotations

import pytest

from runs.resources import load_resource
from schemas.errors import StandardError
from schemas.partition import Partition
from tests.runs.small_deployment import (
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    landed,
    lay_out,
    opened,
    write_small_standard,
)

FIRMS = "scjg.firms"


def partition(home, said):
    path = add_resource(home, csv_source(), standard=write_small_standard(home), more=f"warehouse: {said}\n")
    return load_resource(path, (home / "standards",)).partition


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("{partition: none}", None),
        ("{}", None),
        ("{partition: {period: appr_date, by: month}}", Partition("appr_date", "month")),
        ("{partition: {period: appr_date, by: year}}", Partition("appr_date", "year")),
        ("{partition: {division: reg_no, level: province}}", Partition("reg_no", "province")),
        ("{partition: {division: reg_no, level: city}}", Partition("reg_no", "city")),
    ],
)
def test_what_the_block_may_say(tmp_path, said, found):
    assert partition(lay_out(tmp_path), said) == found


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{partition: {period: appr_dat, by: month}}", "appr_date"),
        ("{partition: {period: ent_name, by: month}}", "date"),
        ("{partition: {period: appr_date, by: week}}", "month"),
        ("{partition: {period: appr_date}}", "by"),
        ("{partition: {division: appr_date, level: city}}", "code"),
        ("{partition: {division: reg_no, level: county}}", "city"),
        ("{partition: {bucket: 16}}", "division"),
        ("{partition: monthly}", "division"),
        ("{parts: none}", "partition"),
    ],
)
def test_what_it_is_refused_for_names_file_line_and_what_to_write(tmp_path, said, told):
    with pytest.raises(StandardError, match=r"firms\.yaml") as caught:
        partition(lay_out(tmp_path), said)
    assert told in caught.value.fix_en + caught.value.en
    assert caught.value.fix_zh


def test_landing_divides_files_as_the_block_says(tmp_path):
    home = lay_out(tmp_path / "home")
    partition(home, "{partition: {period: appr_date, by: year}}")
    drop(home, "a.csv", [firm(1, day="2023-05-01"), firm(2, day="2024-05-01"), firm(3, day="2024-06-01")])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        assert divided(wired) == [[53], [54]]  # years since 1970
        assert landed(wired) == dict.fromkeys(map(code, (1, 2, 3)), "甲有限公司")


def divided(wired):
    name = wired.parts.resources[FIRMS].table
    return sorted(list(one.partition) for one in wired.tables.plan(name, wired.state.released(name)).data)
