"""Who is told of what: the people of a deployment as their file says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from alarm_people import PEOPLE

from runs.alarms.people import Directory, Person, read_people
from schemas.errors import StandardError

FIRMS, LIBRARY = "scjg.firms", "legal_person"


def test_people_have_what_is_usual_for_their_role_unless_they_say_otherwise(tmp_path):
    path = tmp_path / "people.yaml"
    assert read_people(path, ()) == Directory()
    path.write_text(
        PEOPLE + "  - {id: oa, name: 系统, department: swj, webhook: oa}\n"
        "webhooks: {oa: {url: 'https://oa.example.gov.cn/hook', secret: oa_key}}\n"
        "alarms: {grace: 30m, remind: 2d}\n",
        encoding="utf-8",
    )
    found = read_people(path, {"scjg", "swj"})
    assert (found.grace, found.remind) == (timedelta(minutes=30), timedelta(days=2))
    chen, oa = found.find("chen"), found.find("oa")
    assert isinstance(chen, Person)
    assert (chen.resources, chen.channels, oa.channels) == (("*",), ("mail",), ("webhook",))
    assert chen.hears("failed", LIBRARY)
    assert oa.hears("late", "swj.taxes")
    assert not oa.hears("late", FIRMS)
    assert not oa.hears("failed", "swj.taxes")


@pytest.mark.parametrize(
    "line",
    [
        "{id: chen, name: 陈二, roles: [data_manager]}",
        "{id: a, name: 甲, department: mzj}",
        "{id: a, name: 甲}",
        "{id: a, name: 甲, department: scjg, roles: [boss]}",
        "{id: a, name: 甲, department: scjg, mail: 'x@y\\nBcc: z'}",
        "{id: a, name: 甲, department: scjg, webhook: none}",
        "{id: a, name: 甲, department: scjg, alarms: {kinds: [loud]}}",
        "{id: 'a b', name: 甲, department: scjg}",
    ],
)
def test_a_slip_in_people_yaml_is_told_with_its_line(tmp_path, line):
    path = tmp_path / "people.yaml"
    path.write_text(f"{PEOPLE}  - {line}\n", encoding="utf-8")
    with pytest.raises(StandardError, match=r"people\.yaml:7"):
        read_people(path, {"scjg", "swj"})
