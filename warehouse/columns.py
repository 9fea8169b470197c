"""Column types as Arrow, Iceberg and DuckDB call them, and the additive changes a table may go through."""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, IcebergType, IntegerType, ListType, LongType, NestedField

from warehouse.errors import WarehouseError
from warehouse.sql import literal, quote

FIELD_ID = "PARQUET:field_id"  # what Arrow calls the id of a column in a Parquet file
_NARROW = (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16())
_DUCKDB = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "string": "VARCHAR",
    "binary": "BLOB",
}


def storable(schema: pa.Schema) -> pa.Schema:
    """The Arrow schema in the types Iceberg v2 keeps: microseconds in UTC, plain text, 32 or 64 bit integers."""
    return pa.schema([pa.field(field.name, _storable(field.type)) for field in schema])


def _storable(kind: pa.DataType) -> pa.DataType:  # noqa: PLR0911 (one line per family of types)
    if pa.types.is_dictionary(kind):
        return _storable(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_integer(kind):
        return pa.int32() if kind in _NARROW else pa.int64()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_storable(kind.value_type))
    return kind


def iceberg_schema(schema: pa.Schema) -> Schema:
    """The Iceberg schema of an Arrow schema; field ids are given out by the table."""
    return _pyarrow_to_schema_without_ids(storable(schema))


def shape(existing: Schema | None, last: int, schema: pa.Schema) -> pa.Schema:
    """The Arrow schema as files of a table have it, with field ids: those of `existing`, or those the table would give.

    `last` is the greatest id given so far; columns are no lists. An integer is as wide as the table has it.
    """
    known = {field.name: field for field in existing.fields} if existing else {}
    fields = []
    for field in storable(schema):
        have = known.get(field.name)
        last += have is None
        wide = have is not None and isinstance(have.field_type, LongType) and pa.types.is_integer(field.type)
        number = str(have.field_id if have else last)
        fields.append(pa.field(field.name, pa.int64() if wide else field.type, metadata={FIELD_ID: number}))
    return pa.schema(fields)


def changes(table: str, existing: Schema, wanted: Schema) -> tuple[list[NestedField], list[NestedField]]:
    """The columns to add and those to widen from int to long, so that `existing` can hold `wanted`.

    Raises WH-COLUMN-TYPE when a column would have to change its type in any other way.
    """
    known = {field.name: field for field in existing.fields}
    added = [field for field in wanted.fields if field.name not in known]
    widened = []
    for field in wanted.fields:
        have = known[field.name].field_type if field.name in known else field.field_type
        if _same(have, field.field_type) or (isinstance(have, LongType) and isinstance(field.field_type, IntegerType)):
            continue
        if not (isinstance(have, IntegerType) and isinstance(field.field_type, LongType)):
            raise WarehouseError(
                "WH-COLUMN-TYPE",
                zh=f"表 {table} 的列 {field.name} 类型是 {have}，不能改为 {field.field_type}",
                en=f"column {field.name} of table {table} is {have} and cannot become {field.field_type}",
                fix_zh="数据项改变类型时请改用新名称，或用新版本的标准",
                fix_en="Give the changed data element a new name, or a new version of the standard",
            )
        widened.append(field)
    return added, widened


def _same(one: IcebergType, other: IcebergType) -> bool:
    if isinstance(one, ListType) and isinstance(other, ListType):
        return _same(one.element_type, other.element_type)
    return one == other


def duckdb_type(kind: IcebergType) -> str:
    """The DuckDB type that holds the Iceberg type."""
    if isinstance(kind, ListType):
        return duckdb_type(kind.element_type) + "[]"
    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return _DUCKDB[str(kind)]


def field_ids(schema: Schema, names: list[str]) -> dict[str, object]:
    """DuckDB's FIELD_IDS for a file that holds the named columns."""
    return {field.name: _ids(field.field_id, field.field_type) for field in schema.fields if field.name in names}


def _ids(number: int, kind: IcebergType) -> object:
    if isinstance(kind, ListType):
        return {"__duckdb_field_id": number, "element": _ids(kind.element_id, kind.element_type)}
    return number


def by_field_id(schema: Schema, names: list[str]) -> str:
    """DuckDB's read_parquet schema argument: the named columns found by field id, whatever a file calls them."""
    wanted = [field for field in schema.fields if field.name in names]
    parts = [
        f"{field.field_id}: {{name: {literal(field.name)}, type: {literal(duckdb_type(field.field_type))}, "
        "default_value: NULL}"
        for field in wanted
    ]
    return "MAP {" + ", ".join(parts) + "}"


def nothing(schema: Schema, names: list[str]) -> str:
    """A query with the named columns and no row."""
    columns = [
        f"CAST(NULL AS {duckdb_type(f.field_type)}) AS {quote(f.name)}" for f in schema.fields if f.name in names
    ]
    return f"SELECT {', '.join(columns)} WHERE false"
