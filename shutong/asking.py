"""Ask a library as a department, from Python or the command line: the same grants, masks and records as over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from schemas.errors import ShutongError
from shutong.settings import Settings, Storage, read

if TYPE_CHECKING:
    import pandas as pd

KEY_LIFE = timedelta(minutes=5)
SEGMENT_BYTES = 128 << 10  # one call, of at most 1,000 keys, is all that this process records


class QueryRefusedError(ShutongError):
    """The sharing service refused the query; code and words are the service's own."""


def query(
    library: str,
    keys: Sequence[str] | str,
    *,
    department: str,
    fields: Sequence[str] | None = None,
    grant: str | None = None,
    home: Path | None = None,
) -> pd.DataFrame:
    """Records of a library as a department may see them: one row per key found, one column per granted field.

    `keys` are up to 1,000 USCCs or citizen IDs. Every call is granted, masked and recorded as over HTTP. Raises
    QueryRefusedError with the service's code (SHR-…).
    """
    import pandas as pd

    settings = read()
    if home is not None:
        settings = replace(settings, home=home, state_url=f"sqlite:///{home}/state/state.db", storage=Storage())
    wanted = [keys] if isinstance(keys, str) else list(keys)
    answer = ask(settings, library, wanted, department=department, fields=fields, grant=grant)
    return pd.DataFrame([line["record"] for line in answer["data"] if line["found"]])


def ask(
    settings: Settings,
    library: str,
    keys: Sequence[str],
    *,
    department: str,
    fields: Sequence[str] | None = None,
    grant: str | None = None,
) -> dict[str, Any]:
    """The answer to a batch of keys as JSON data (see BatchAnswer in sharing/contract.py)."""
    body: dict[str, object] = {"keys": list(keys)}
    if fields:
        body["fields"] = list(fields)
    path = f"/v1/libraries/{library}/records:batch"
    return _call(settings, department, "POST", path, body=body, grant=grant)


def usage(settings: Settings, department: str, days: int, by: str = "day") -> dict[str, Any]:
    """A department's own usage, by the day, hour or minute, and quotas."""
    return _call(settings, department, "GET", f"/v1/usage?days={days}&by={by}")


def _call(
    settings: Settings,
    department: str,
    method: str,
    path: str,
    *,
    body: dict[str, object] | None = None,
    grant: str | None = None,
) -> dict[str, Any]:
    """One call through the service inside this process, under a key that lives for a few minutes."""
    import httpx

    from sharing.app import create_app
    from sharing.keys import Keys
    from shutong.api import config_of
    from shutong.deployment import load

    load(settings).department(department)
    config = replace(config_of(settings), segment_bytes=SEGMENT_BYTES)
    key = Keys(config.engine).issue(department, "shutong query", KEY_LIFE)
    app = create_app(config)
    headers = {"x-api-key": key, **({"x-grant": grant} if grant else {})}

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shutong") as client:
            return await client.request(method, path, json=body, headers=headers)

    try:
        answer = asyncio.run(call())
    finally:
        app.state.desk.close()
        config.engine.dispose()
    told = cast("dict[str, Any]", answer.json())
    if answer.status_code != httpx.codes.OK:
        raise QueryRefusedError(
            told["code"],
            zh=told["zh"]["detail"],
            en=told["en"]["detail"],
            fix_zh=told["zh"]["fix"],
            fix_en=told["en"]["fix"],
        )
    return told
