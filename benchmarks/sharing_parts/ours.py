"""Our side: a deployment over the made-up firms, the real server of it, and the same server without one feature."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(TOP / "benchmarks")]

import sqlalchemy as sa  # noqa: E402
from first_parts.processes import server  # noqa: E402

from infra.testing.postgres import free_port  # noqa: E402
from schemas.standard import Field, Standard  # noqa: E402
from sharing.catalog import Library, SharingConfig  # noqa: E402
from sharing.keys import API_KEY, Keys  # noqa: E402
from sharing_parts.firms import COLUMNS, KEY, TABLE  # noqa: E402
from sharing_parts.load import Question  # noqa: E402
from shutong.api import Served  # noqa: E402
from warehouse.serving import ServingStore  # noqa: E402

SECRET = b"a benchmark's own secret, 32 bytes"
_MASKED = {"legal_rep": "name", "legal_rep_id": "id_number", "phone": "phone"}
STANDARD = Standard(
    TABLE, 1, "企业", "Firms", library=TABLE, rules=(), key=(KEY,),
    fields=tuple(
        Field(name, name, name, type="uscc" if name == KEY else "text", level=3 if name in _MASKED else 1,
              mask=_MASKED.get(name)) for name in COLUMNS
    ),
)  # fmt: skip
GRANTS = f"""grants:
  - id: bench
    department: tax
    library: {TABLE}
    fields: [{", ".join(COLUMNS)}]
    rows: {{area_code: ['3303*']}}
    verify: [ent_name, reg_capital]
    quota: {{per_day: 100000000000}}
    purpose: {{matter: 税务登记, basis: 税收征收管理法第十五条}}
    until: 2999-12-31
"""
RESOURCES = [f"d{number}.firms" for number in range(20)]  # what a profile is put together from
_PART = """  - id: part-{name}
    department: tax
    resource: {name}
    fields: [uscc, ent_name, status, legal_rep, legal_rep_id, phone, est_date, area_code]
    rows: {{area_code: ['3303*']}}
    quota: {{per_day: 100000000000}}
    purpose: {{matter: 企业一件事, basis: 优化营商环境条例}}
    until: 2999-12-31
"""
VARIANTS = ("all", "no_receipts", "no_meter", "constant")
HEADERS = {"X-Matter": quote("税务登记"), "X-Case": "330300-2026-000001"}


def lay_out(folder: Path) -> Mapping[str, str]:
    """Grants and a key beside the store in `folder`; the headers of a call of the department."""
    config = configure(folder)
    for table in API_KEY.metadata.sorted_tables:
        table.create(config.engine, checkfirst=True)
    from sharing.sql_log import SQL_QUERY

    SQL_QUERY.metadata.create_all(config.engine)
    config.grants.write_text(GRANTS + "".join(_PART.format(name=one) for one in RESOURCES), "utf-8")
    return {"X-Api-Key": Keys(config.engine).issue("tax", "benchmark"), **HEADERS}


def configure(folder: Path) -> SharingConfig:
    """The deployment in a folder."""
    store = Served(ServingStore(folder, TABLE, ahead=True))
    library = Library(STANDARD, store, personal=False, key_field=KEY)
    return SharingConfig(
        engine=sa.create_engine(f"sqlite:///{folder / 'state.db'}"), grants=folder / "grants.yaml",
        meter=folder / "meter", secret=SECRET, catalog=(),
        libraries={TABLE: library}, served=dict.fromkeys(RESOURCES, library),
    )  # fmt: skip


@contextmanager
def serving(folder: Path, variant: str = "all", workers: int = 2) -> Iterator[tuple[str, int]]:
    """The server of that variant: its address and process. `all` is what a deployment runs."""
    port = free_port()
    environment = {"SHARING_BENCH": str(folder), "SHARING_VARIANT": variant,
                   "PYTHONPATH": os.pathsep.join([str(TOP), str(TOP / "benchmarks")])}  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    command = ["-m", "sharing_parts.ours", str(port), str(workers)]
    with server(command, environment, f"{address}/healthz", folder / f"{variant}.log") as pid:
        yield address, pid


def look_up(address: str, headers: Mapping[str, str], keys: list[str]) -> Question:
    """A firm by its code."""
    return Question(address, f"/v1/libraries/{TABLE}/records/{{key}}", keys, headers=headers)


def verify(mine: Question) -> Question:
    """Whether a firm has a name it has not, and a capital."""
    body = '{"key": "{key}", "claims": {"ent_name": "温州某某有限公司", "reg_capital": "580.20"}}'
    return replace(mine, path=f"/v1/libraries/{TABLE}/records:verify", method="POST", body=body)


def profile(mine: Question) -> Question:
    """All that twenty resources have of a firm."""
    headers = {**mine.headers, "X-Matter": quote("企业一件事")}
    return replace(mine, path="/v1/profile", method="POST", body='{"kind": "firm", "key": "{key}"}', headers=headers)


def config() -> SharingConfig:
    """What each worker is given."""
    return configure(Path(os.environ["SHARING_BENCH"]))


def application() -> Any:  # noqa: ANN401 an ASGI application
    """The service of one worker without the feature that the variant names."""
    variant = os.environ["SHARING_VARIANT"]
    if variant == "constant":
        return _constant
    from sharing import front, meter
    from sharing.app import create_app

    if variant in {"no_receipts", "no_meter"}:
        front.signed = lambda *_: "none"
        front.receipt_of = lambda *_: None
    app = create_app(config())
    if variant == "no_meter":
        nowhere = meter.Written("none", 0, b"")

        async def record(_call: object) -> meter.Written:
            return nowhere

        app.state.desk.meter.record = record
    return app


async def _constant(scope: dict[str, Any], _receive: object, send: Any) -> None:  # noqa: ANN401
    """As many bytes as a look-up answers, and a header as long as a receipt."""
    if scope["type"] != "http":
        return
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY)), (b"x-receipt", _RECEIPT)]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": _BODY})


_BODY, _RECEIPT = b" " * 1_150, base64.b64encode(b" " * 600)


def main() -> None:
    """`python -m sharing_parts.ours <port> <workers>`."""
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    if os.environ["SHARING_VARIANT"] == "all":
        from sharing.serve import serve

        serve("sharing_parts.ours:config", port=port, workers=workers)
        return
    from granian import Granian
    from granian.constants import Interfaces

    Granian(
        "sharing_parts.ours:application", address="127.0.0.1", port=port, interface=Interfaces.ASGI, workers=workers,
        factory=True, websockets=False, log_access=False, respawn_failed_workers=True,
    ).serve()  # fmt: skip


if __name__ == "__main__":
    main()
