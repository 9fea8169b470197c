"""Ask the sharing API as two departments with different grants, and as callers it must refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from shutong.demo.ledger import Ledger
from shutong.demo.observe import masked_well
from shutong.demo.truth import uscc_check


@dataclass(frozen=True, slots=True)
class Question:
    """One call: who asks (None: nobody), for what, the status it must get, the fields seen clear and those masked."""

    department: str | None
    library: str
    key: str
    status: int
    zh: str
    en: str
    fields: tuple[str, ...] = ()
    clear: str = ""
    masked: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, and what is wrong with it (nothing, if all is well)."""

    question: Question
    status: int
    body: dict[str, Any]
    wrong: tuple[str, ...]


def questions(ledger: Ledger) -> list[Question]:
    """The demo's questions: a firm and a person as each department sees them, and five refusals."""
    firm = str(ledger.libraries["legal_person"].sample["uscc"])
    person = str(ledger.libraries["population"].sample["id_no"])
    unknown = next(code for code in _codes() if code != firm)
    return [
        Question("swj", "legal_person", firm, 200, "税务查企业：法定代表人脱敏", "tax asks for a firm: masked",
                 clear="uscc ent_name reg_state reg_capital reg_capital_ccy est_date domicile",
                 masked="legal_rep_name phone"),
        Question("mzj", "legal_person", firm, 200, "民政查企业：法定代表人不脱敏", "civil affairs: clear",
                 clear="uscc ent_name org_code reg_state legal_rep_name est_date reg_org_name domicile op_scope"),
        Question("rsj", "population", person, 200, "人社查人口：姓名与证件脱敏", "social security: masked",
                 clear="sex", masked="id_no name birth_date domicile_county_code domicile_addr death_flag"),
        Question("mzj", "population", person, 200, "民政查人口：姓名不脱敏", "civil affairs: name clear",
                 clear="name sex marital", masked="id_no ethnic birth_date domicile_addr"),
        Question("swj", "population", person, 403, "税务无人口授权", "tax has no grant for persons"),
        Question("swj", "legal_person", firm, 403, "字段不在授权内", "a field outside the grant", ("legal_rep_id_no",)),
        Question("mzj", "legal_person", unknown, 404, "没有这家企业", "no such firm"),
        Question("mzj", "legal_person", firm[:-1], 422, "代码少一位", "a malformed code"),
        Question(None, "legal_person", firm, 401, "没有密钥", "no key"),
    ]  # fmt: skip


def _codes() -> Iterator[str]:
    """Valid codes that no firm of the generated world has: its divisions all lie in Zhejiang (33)."""
    for number in range(1, 1000):
        body = f"91110000MA{number:07d}"
        yield body + uscc_check(body)


def ask(api_url: str, keys: dict[str, str], asked: list[Question], ledger: Ledger) -> list[Reply]:
    """Put each question; a person's key travels in the body, a firm's in the path."""
    replies = []
    with httpx.Client(base_url=api_url, timeout=10.0, trust_env=False) as client:
        for one in asked:
            headers = {"x-api-key": keys[one.department]} if one.department else {}
            base = f"/v1/libraries/{one.library}/records"
            if one.library == "population":
                answer = client.post(base, json={"key": one.key}, headers=headers)
            else:
                params = {"fields": ",".join(one.fields)} if one.fields else {}
                answer = client.get(f"{base}/{one.key}", params=params, headers=headers)
            wrong = [] if answer.status_code == one.status else [f"状态 {answer.status_code}，应为 {one.status}"]
            body = answer.json()
            if answer.status_code == httpx.codes.OK:
                wrong += [*shown_well(one, body), *masked_well(body, ledger.libraries[one.library].sample)]
            replies.append(Reply(one, answer.status_code, body, tuple(wrong)))
    return replies


def shown_well(question: Question, body: dict[str, Any]) -> list[str]:
    """Where an answer shows other fields than the question expects, or masks others."""
    masked = {*question.masked.split()}
    lines = []
    for what, wanted, got in (
        ("字段 fields", masked | {*question.clear.split()}, {*body["data"]}),
        ("脱敏 masked", masked, {*body["masked"]}),
    ):
        if wanted != got:
            lines.append(f"{what}: 应为 {sorted(wanted)}，实为 {sorted(got)} | expected {sorted(wanted)}")
    return lines


def usage(api_url: str, keys: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Each department's own usage as the API tells it."""
    with httpx.Client(base_url=api_url, timeout=10.0, trust_env=False) as client:
        told = {}
        for department, key in keys.items():
            answer = client.get("/v1/usage", headers={"x-api-key": key})
            answer.raise_for_status()
            told[department] = answer.json()["calls"]
    return told


def usage_differences(asked: list[Question], told: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Where a department's counted look-ups are not exactly those it made."""
    lines = []
    for department, calls in told.items():
        for status in sorted({one.status for one in asked} | {line["status"] for line in calls if line["library"]}):
            made = sum(1 for one in asked if one.department == department and one.status == status)
            counted = sum(line["calls"] for line in calls if line["status"] == status and line["library"])
            if made != counted:
                lines.append(f"{department} {status}: 发出 {made}，记账 {counted} | made {made}, counted {counted}")
    return lines
