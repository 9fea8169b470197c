"""The peer a team would write first: FastAPI, SQLAlchemy and PostgreSQL; no key, no grant, no mask, no record."""

from __future__ import annotations

import os
import sys
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, HTTPException
from sqlalchemy.orm import Session

ENGINE = sa.create_engine(os.environ.get("PEER_URL", "sqlite://"), pool_size=20)
FIRMS = sa.Table("firms", sa.MetaData(), *(sa.Column(name, sa.Text) for name in os.environ["PEER_COLUMNS"].split(",")))
app = FastAPI()


@app.get("/firms/{uscc}")
def firm(uscc: str) -> dict[str, Any]:
    """A firm by its code."""
    with Session(ENGINE) as session:
        found = session.execute(sa.select(FIRMS).where(FIRMS.c.uscc == uscc)).mappings().first()
    if found is None:
        raise HTTPException(404)
    return dict(found)


def main() -> None:
    """`peer_app.py <port>`: two workers under the server that ours runs under."""
    from granian import Granian
    from granian.constants import Interfaces

    Granian(
        f"{__file__}:app", address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.ASGI, workers=2,
        websockets=False, log_access=False,
    ).serve()  # fmt: skip


if __name__ == "__main__":
    main()
