"""Write SQL Server's types as text in the SELECT, so that no driver rounds money, cuts a time or drops an offset."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mssql

_Kinds = tuple[type[sa.types.TypeEngine[Any]], ...]
_BINARY: _Kinds = (sa.LargeBinary, sa.BINARY, sa.VARBINARY, mssql.TIMESTAMP)
_ODD_TEXTS: _Kinds = (mssql.NTEXT, sa.TEXT, mssql.XML)
# What is converted to, and the style: 2 is all four decimals of money, 23 a day, 121 a moment with every digit of a
# second the type has. The first that fits counts; None leaves a value alone that Arrow keeps exactly.
_CONVERTED: tuple[tuple[_Kinds, str | None, int | None], ...] = (
    ((mssql.MONEY, mssql.SMALLMONEY), "varchar(30)", 2),
    ((sa.Integer, mssql.BIT, sa.Boolean, sa.Float), None, None),
    ((sa.Numeric,), "varchar(45)", None),
    ((sa.Date,), "varchar(10)", 23),
    ((sa.DateTime, sa.Time, mssql.DATETIMEOFFSET, mssql.SMALLDATETIME), "varchar(40)", 121),
    ((mssql.UNIQUEIDENTIFIER, sa.Uuid), "char(36)", None),
    ((mssql.SQL_VARIANT,), "nvarchar(4000)", 121),
)


def as_text(column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    """How `column` of the reflected type `kind` is selected; a text without a declared length has type Text."""
    name = column.name
    if isinstance(kind, _BINARY):
        return sa.type_coerce(column, sa.LargeBinary).label(name)
    if isinstance(kind, sa.String) and not isinstance(kind, _ODD_TEXTS):
        return sa.type_coerce(column, sa.String if kind.length else sa.Text).label(name)
    for kinds, to, style in _CONVERTED:
        if isinstance(kind, kinds):
            return column if to is None else _converted(to, column, style).label(name)
    # xml, the old unlimited texts, shapes, hierarchies
    return sa.type_coerce(_converted("nvarchar(max)", column, None), sa.Text).label(name)


def _converted(kind: str, column: sa.ColumnClause[Any], style: int | None) -> sa.ColumnElement[Any]:
    styled: list[sa.ColumnElement[Any]] = [] if style is None else [sa.literal_column(str(style))]
    return sa.func.convert(sa.literal_column(kind), column, *styled, type_=sa.String())
