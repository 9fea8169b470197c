"""Put the SQL service together: every resource, base library and quarantine of a deployment as a table to be asked."""

from __future__ import annotations

import getpass
from collections.abc import Iterator

from quality.orders_values import DATA_MANAGER
from schemas.standard import Field
from sharing.analysts import Analyst, Analysts, Subject
from sharing.grant_register import BUMP_FILE, GrantRegister
from sharing.grants import Grants
from shutong.deployment import Deployment
from shutong.layout import SetupError
from shutong.watching import person
from shutong.wiring import Wired
from warehouse.merge import base_table

_FAILED_ROWS = (
    Field("_batch", "批次", "Batch"),
    Field("_run", "运行", "Run"),
    Field("_row", "行号", "Row", type="integer"),
    Field("key", "主键", "Key", level=4),
    Field("rules", "违反的规则", "Violated rules"),
    Field("detail", "说明", "Detail", level=4),
    Field("received", "收到的内容", "As received", level=4),
    Field("standardised", "标准化后", "Standardised", level=4),
    Field("landed_at", "入库时间", "Landed at", type="datetime"),
)


def analysts(wired: Wired) -> Analysts:
    """The service over an open deployment."""
    resources = wired.deployment.resources
    libraries = wired.deployment.libraries
    standards = {one.id: one.standard for one in resources}
    home = wired.deployment.home
    register = GrantRegister(wired.state.engine, home / "meter" / BUMP_FILE)
    grants = Grants(home / "grants.yaml", libraries, standards, register)
    return Analysts(wired.state, wired.tables, subjects(wired.deployment), grants, meter=home / "meter")


def subjects(deployment: Deployment) -> Iterator[Subject]:
    """Every table there can be, whether anything landed there or not."""
    for one in sorted(deployment.resources, key=lambda one: one.standard.version):
        fields = one.checked.fields
        yield Subject(one.id, one.table, one.zh, one.en, fields, grant=one.id, owner=one.department)
        name = f"quarantine.{one.department}__{one.name}"
        zh, en = f"{one.zh}：隔离的行", f"{one.en}: failed rows"
        yield Subject(name, one.quarantine, zh, en, _FAILED_ROWS, raw=True)
    for library, standard in deployment.libraries.items():
        table = base_table(library)
        yield Subject(table, table, standard.zh, standard.en, standard.fields, grant=library)


def analyst(
    deployment: Deployment,
    *,
    department: str | None = None,
    by: str | None = None,
    why: str = "",
    grant: str | None = None,
    clear: bool = False,
) -> Analyst:
    """Who asks. `clear` is for a data manager of people.yaml; without a name it is the account on this host."""
    if department is not None:
        deployment.department(department)
    known = person(deployment, by) if by else None
    if clear and (known is None or DATA_MANAGER not in known.roles or department is not None):
        raise SetupError(
            "SYS-SQL-CLEAR",
            zh="只有数据管理员可以查看未脱敏的内容与隔离的行",
            en="only a data manager may see what is not masked, and failed rows",
            fix_zh="写明 --by <people.yaml 中的数据管理员> 与 --why，不写 --as；其他人不加 --clear",
            fix_en="Name a data manager of people.yaml with --by, and --why, without --as; others leave --clear out",
        )
    who = known.id if known else f"account:{_account()}"
    return Analyst(who, department, why, grant, clear)


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "?"
