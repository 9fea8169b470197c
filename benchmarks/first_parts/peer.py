"""What a team would write without Shutong: pandas and stdnum into Parquet and SQLite, FastAPI over SQLAlchemy."""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

COLUMNS = {
    "统一社会信用代码": "uscc",
    "企业名称": "ent_name",
    "注册日期": "est_date",
    "企业类型": "ent_type_name",
    "法人代表": "legal_rep_name",
    "注册资金": "reg_capital",
    "经营范围": "op_scope",
    "注册地址": "domicile",
}


def ingest(source: Path, folder: Path) -> dict[str, int]:
    """Read, check the code, keep the newest of each code, write Parquet and an indexed SQLite table."""
    import pandas as pd
    from stdnum.cn import uscc

    read = {"dtype": str, "keep_default_na": False, "on_bad_lines": "skip"}
    try:
        rows = pd.read_csv(source, **read)
    except pd.errors.ParserError:  # a stray quote: the slow engine is what people turn to next
        csv.field_size_limit(1 << 30)
        rows = pd.read_csv(source, **read, engine="python")
    pulled = len(rows)
    rows = rows[list(COLUMNS)].rename(columns=COLUMNS)
    rows["uscc"] = rows["uscc"].str.strip().str.upper()
    rows = rows[rows["uscc"].map(uscc.is_valid)]
    checked = len(rows)
    rows = rows.sort_values("est_date", kind="stable").drop_duplicates("uscc", keep="last")
    rows.to_parquet(folder / "firms.parquet", index=False)
    with sqlite3.connect(folder / "firms.db") as database:
        rows.to_sql("firms", database, index=False, if_exists="replace", dtype={"uscc": "TEXT PRIMARY KEY"})
    return {"pulled": pulled, "landed": len(rows), "quarantined": pulled - checked}


def application() -> Any:  # noqa: ANN401 - granian takes any ASGI callable
    """The look-up over the SQLite table, without keys, grants, masks or records of calls."""
    import os

    from fastapi import FastAPI, HTTPException
    from sqlalchemy import Column, MetaData, String, Table, create_engine, select

    engine = create_engine(f"sqlite:///{os.environ['PEER_DATABASE']}")
    firms = Table("firms", MetaData(), *(Column(name, String) for name in COLUMNS.values()))
    app = FastAPI()

    @app.get("/firms/{uscc}")
    def look_up(uscc: str) -> dict[str, Any]:
        with engine.connect() as connection:
            row = connection.execute(select(firms).where(firms.c.uscc == uscc)).mappings().first()
        if row is None:
            raise HTTPException(404)
        return {"data": dict(row)}

    return app


def serve(port: int) -> None:
    """Serve the look-up under the same server that Shutong uses, one worker."""
    from granian import Granian
    from granian.constants import Interfaces

    sys.path.insert(0, str(Path(__file__).parent))
    Granian(
        "peer:application", port=port, interface=Interfaces.ASGI, factory=True, websockets=False, log_access=False
    ).serve()


if __name__ == "__main__":
    if sys.argv[1] == "ingest":
        print(json.dumps(ingest(Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        serve(int(sys.argv[2]))
