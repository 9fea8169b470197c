"""Why something cannot be done to an application or a grant, and what can."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

from schemas.validators.scalar import valid
from sharing.application_values import GRANT_STATES, STATES
from sharing.errors import SharingError

LONGEST_WORDS: Final = 2000
_NUMBER = re.compile(r"(?<![0-9])[0-9]{17}[0-9Xx](?![0-9])")


class ApplicationError(SharingError):
    """What was asked cannot be done as it was written."""

    status, title_zh, title_en = 422, "申请内容有误", "The application cannot stand like this"


class RightError(SharingError):
    """Somebody else may do that, not this caller."""

    status, title_zh, title_en = 403, "无权办理", "Not yours to do"


class StateError(SharingError):
    """The application or the grant is in a state in which that cannot be done."""

    status, title_zh, title_en = 409, "当前状态不能办理", "Not in this state"


class UnknownError(SharingError):
    """There is no such application or grant among those the caller may see."""

    status, title_zh, title_en = 404, "没有找到", "Not found"


def unknown(kind: str, number: object) -> UnknownError:
    """No application (or grant) of that number that the caller may see; `kind` is `application` or `grant`."""
    zh = {"application": "申请", "grant": "数据库授权"}[kind]
    shown = str(number)[:64]
    return UnknownError(
        "SHR-NO-APPLICATION",
        zh=f"没有编号为 {shown} 的{zh}",
        en=f"there is no {kind} {shown}",
        fix_zh=f"用 shutong {kind} list 查看；写在 grants.yaml 中的授权在文件中修改",
        fix_en=f"List them with: shutong {kind} list; grants of grants.yaml are changed in the file",
    )


def wrong_terms(zh: str, en: str) -> ApplicationError:
    """The terms do not conform to the standard, or go beyond what was asked for."""
    return ApplicationError(
        "SHR-TERMS",
        zh=zh,
        en=en,
        fix_zh="对照资源目录中的字段与共享属性修改后再提交",
        fix_en="Compare with the fields and sharing attributes in the directory, and send it again",
    )


def never_shared(fields: Iterable[str]) -> ApplicationError:
    """Fields that may not be shared with anybody."""
    names = list(dict.fromkeys(fields))
    return ApplicationError(
        "SHR-NEVER-SHARED",
        zh=f"字段 {'、'.join(names)} 属于不予共享，不能授权",
        en=f"the fields {', '.join(names)} may not be shared (N) and cannot be granted",
        fix_zh="同意其余字段，或以法律依据不予共享",
        fix_en="Grant the other fields, or refuse and name the legal basis",
    )


def wrong_purpose(zh: str, en: str) -> ApplicationError:
    """The purpose lacks the matter's code, its name or the legal basis."""
    return ApplicationError(
        "SHR-PURPOSE",
        zh=zh,
        en=en,
        fix_zh="写明事项编码（如 330107004000）、事项名称与法律依据（如 税收征收管理法第十五条）",
        fix_en="Name the matter's code (such as 330107004000), its name and the legal basis",
    )


def no_words(what_zh: str, what_en: str) -> ApplicationError:
    """A reason or a legal basis is needed, and may not name a person by number."""
    return ApplicationError(
        "SHR-WORDS",
        zh=f"{what_zh}不能为空，不超过 {LONGEST_WORDS} 字，且不得写公民身份号码",
        en=f"{what_en} may not be empty, nor longer than {LONGEST_WORDS} characters, nor name a citizen's number",
        fix_zh=f"写明{what_zh}",
        fix_en=f"Say {what_en}",
    )


def no_subject(name: str) -> ApplicationError:
    """There is no such library or resource."""
    return ApplicationError(
        "SHR-NO-SUBJECT",
        zh=f"没有名为 {name[:128]} 的基础库或资源",
        en=f"there is no library or resource {name[:128]}",
        fix_zh="用 GET /v1/libraries 与 GET /v1/resources 查看",
        fix_en="See GET /v1/libraries and GET /v1/resources",
    )


def wrong_until(until: str, least: date, most: date) -> ApplicationError:
    """The last day is too early, or too far away."""
    return ApplicationError(
        "SHR-UNTIL",
        zh=f"有效期至 {until[:32]}：应不早于 {least}，不晚于 {most}",
        en=f"valid until {until[:32]}: that should be {least} or later, and no later than {most}",
        fix_zh="改写截止日；需要更久的到期前申请续期",
        fix_en="Name another last day; what is needed for longer is renewed before it ends",
    )


def wrong_days(most: int) -> ApplicationError:
    """More days are asked for than one may."""
    return ApplicationError(
        "SHR-DAYS",
        zh=f"延期应为 1 到 {most} 个工作日",
        en=f"an extension is 1 to {most} working days",
        fix_zh=f"例如 --days {most}；上限见部署目录的 sharing.yaml",
        fix_en=f"For example --days {most}; the limit stands in sharing.yaml of the deployment",
    )


def wrong_right(who: str, department: str, zh: str, en: str) -> RightError:
    """The caller may not do that; `zh` and `en` name who may."""
    return RightError(
        "SHR-RIGHT",
        zh=f"{who}（{department or '-'}）不能办理此事",
        en=f"{who} ({department or '-'}) may not do this",
        fix_zh=f"可由{zh}办理；人员与角色登记在部署目录的 people.yaml",
        fix_en=f"This is for {en}; people and roles stand in people.yaml of the deployment",
    )


def wrong_state(what: str, number: object, state: str, may: Iterable[str]) -> StateError:
    """`may` are the states in which it could be done."""
    zh = {"application": "申请", "grant": "授权"}[what]
    called, states = {**STATES, **GRANT_STATES}, list(may)
    told, listed = called[state], "、".join(called[one] for one in states)
    return StateError(
        "SHR-APPLICATION-STATE",
        zh=f"{zh} {number} 的状态为“{told}”，不能办理此事",
        en=f"the {what} {number} is {state}; this cannot be done to it",
        fix_zh=f"只有状态为“{listed}”时可以办理；经过见 shutong {what} show {number}",
        fix_en=f"It can be done when the state is {' or '.join(states)}; so far: shutong {what} show {number}",
    )


def once(zh: str, en: str) -> StateError:
    """It can be done so many times only, and was."""
    return StateError(
        "SHR-ONCE",
        zh=zh,
        en=en,
        fix_zh="经过见 shutong application show",
        fix_en="What happened so far: shutong application show",
    )


def ended(grant: str) -> StateError:
    """A grant whose last day has passed is neither renewed nor extended."""
    return once(f"授权 {grant} 已到期，请重新申请", f"the grant {grant} has ended; file a new application")


def words(said: str, what: tuple[str, str], today: date) -> str:
    """What a person wrote, on one line; SHR-WORDS when there is none, it is too long or names a citizen's number."""
    plain = " ".join(said.split())
    if (
        plain
        and len(plain) <= LONGEST_WORDS
        and plain.isprintable()
        and not any(valid("citizen_id", one.upper(), today) for one in _NUMBER.findall(plain))
    ):
        return plain
    raise no_words(*what)
