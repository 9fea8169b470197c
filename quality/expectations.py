"""Expectations of our own: valid identifiers, codes of a code list, rows that satisfy a condition."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from quality.columns import MARKS, bits, booleans
from quality.dialect import quote
from quality.divisions import guarded
from quality.engine import validate as _  # noqa: F401 - sets up the import of Great Expectations
from quality.outliers import DuckDBOutlierStatistics as __  # noqa: F401 - Great Expectations knows it from here on
from schemas.validators import arrow, sql
from schemas.values import ROW

from great_expectations.execution_engine import SqlAlchemyExecutionEngine  # isort: skip
from great_expectations.expectations.expectation import (  # isort: skip
    ColumnMapExpectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.metrics.map_metric_provider import (  # isort: skip
    ColumnMapMetricProvider,
    MulticolumnMapMetricProvider,
    column_condition_partial,
    multicolumn_condition_partial,
)

BLANKS = " \t\r\n\v\f\u00a0\u3000"  # what a cell of nothing but white space is made of


def mark(kind: str, column: str, *, required: bool) -> str:
    """The name of the boolean column that says in advance whether `column` holds an identifier of `kind`."""
    return f"{MARKS[required]}{kind}:{column}"


def marked(table: pa.Table, kind: str, column: str, today: date, *, required: bool) -> pa.BooleanArray:
    """Whether each value is a valid identifier; null, and without `required` a blank, is nothing to judge: true.

    With `required` a null or a blank is no valid identifier. All are null when the column cannot be read as text.
    """
    values = table[column]
    try:
        right = arrow.valid(kind, values, today)
        answer = booleans(right)
        if right.null_count and not required:
            answer |= ~booleans(right.is_valid())
        wrong = np.flatnonzero(~answer)
        if len(wrong):
            others = values.take(pa.array(wrong))
            others.validate(full=True)  # what is valid is made of plain signs
            if not required:
                answer[wrong] = pc.equal(pc.utf8_trim(others.cast(pa.large_string()), BLANKS), "").to_numpy()
        return bits(answer)
    except pa.ArrowInvalid:
        return pa.nulls(table.num_rows, pa.bool_())


def _valid(column: Any, kind: str, today: str, known: Mapping[str, Any], *, required: bool) -> Any:  # noqa: ANN401 - SQLAlchemy column and clause
    name = mark(kind, str(column.name), required=required)
    if name in known["table.columns"]:
        return sa.column(name, sa.Boolean)
    quoted = quote(str(column.name))
    right = f"coalesce({sql.condition(kind, quoted, date.fromisoformat(today))}, {str(not required).lower()})"
    blank = "".join(f"chr({ord(one)}) || " for one in BLANKS).removesuffix(" || ")
    return sa.literal_column(right if required else f"({right} OR trim({quoted}, {blank}) = '')", sa.Boolean)


class ColumnValuesValidIdentifier(ColumnMapMetricProvider):  # type: ignore[misc]
    """True for a value that is a valid identifier or blank; nulls are not asked."""

    condition_metric_name = "column_values.valid_identifier"
    condition_value_keys = ("kind", "today")

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, column: Any, kind: str, today: str, **kw: Any) -> Any:  # noqa: ANN401, N805 - as GX calls it
        return _valid(column, kind, today, kw["_metrics"], required=False)


class ColumnValuesPresentValidIdentifier(ColumnMapMetricProvider):  # type: ignore[misc]
    """True for a value that is a valid identifier; false for null and blank."""

    condition_metric_name = "column_values.present_valid_identifier"
    condition_value_keys = ("kind", "today")
    filter_column_isnull = False

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, column: Any, kind: str, today: str, **kw: Any) -> Any:  # noqa: ANN401, N805 - as GX calls it
        return _valid(column, kind, today, kw["_metrics"], required=True)


class ExpectColumnValuesToBeValidIdentifier(ColumnMapExpectation):  # type: ignore[misc]
    """Expect values to be valid identifiers of `kind` (check digits and format, as schemas.validators); nulls pass."""

    kind: str
    today: str
    map_metric: ClassVar[str] = "column_values.valid_identifier"
    success_keys: ClassVar[tuple[str, ...]] = ("kind", "today", "mostly")


class ExpectColumnValuesToBePresentValidIdentifier(ColumnMapExpectation):  # type: ignore[misc]
    """Expect every row to hold a valid identifier of `kind`; nulls and blanks fail."""

    kind: str
    today: str
    map_metric: ClassVar[str] = "column_values.present_valid_identifier"
    success_keys: ClassVar[tuple[str, ...]] = ("kind", "today", "mostly")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,  # noqa: ANN401 - GX's signature
    ) -> Any:  # noqa: ANN401 - a GX result
        """Missing values are violations here, so none of them is set aside."""
        judged = {**metrics, "column_values.nonnull.unexpected_count": 0}
        return super()._validate(judged, runtime_configuration, execution_engine)


def code_table(code_list: str) -> str:
    """The name under which a code list is registered beside the checked table; its column is `code`."""
    return f"codes:{code_list}"


class ColumnValuesInCodeList(ColumnMapMetricProvider):  # type: ignore[misc]
    """True for a value that is a code of the registered list."""

    condition_metric_name = "column_values.in_code_list"
    condition_value_keys = ("code_list",)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, column: Any, code_list: str, **kw: Any) -> Any:  # noqa: ANN401, N805, ARG002 - as GX calls it
        codes = sa.table(code_table(code_list), sa.column("code"))
        return column.in_(sa.select(codes.c.code))


class ExpectColumnValuesToBeInCodeList(ColumnMapExpectation):  # type: ignore[misc]
    """Expect values to be codes of `code_list`; nulls pass."""

    code_list: str
    map_metric: ClassVar[str] = "column_values.in_code_list"
    success_keys: ClassVar[tuple[str, ...]] = ("code_list", "mostly")


class MulticolumnConditionSatisfied(MulticolumnMapMetricProvider):  # type: ignore[misc]
    """False for a row for which the condition is false; a condition that is neither true nor false passes."""

    condition_metric_name = "multicolumn_values.condition_satisfied"
    condition_domain_keys = ("batch_id", "table", "column_list", "row_condition", "condition_parser", "ignore_row_if")
    condition_value_keys = ("condition",)

    @multicolumn_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, column_list: Any, condition: str, **kw: Any) -> Any:  # noqa: ANN401, N805, ARG002 - as GX calls it
        accepted = guarded(condition)
        clause = sa.literal_column(f"({accepted})", sa.Boolean)
        if isinstance(kw["_table"], sa.FromClause):
            _must_be_boolean(sa.select(clause).select_from(kw["_table"]), kw["_sqlalchemy_engine"])
        return sa.func.coalesce(clause, sa.true())


def _must_be_boolean(query: sa.Select[Any], engine: sa.Engine) -> None:
    """TypeError when what the query selects is not a boolean; DuckDB would take 7 for true."""
    text = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"DESCRIBE {text}").fetchall()
    if rows[0][1] != "BOOLEAN":
        message = f"the condition yields {rows[0][1]}, not true or false"
        raise TypeError(message)


class ExpectRowsToSatisfyCondition(MulticolumnMapExpectation):  # type: ignore[misc]
    """Expect no row for which the SQL `condition` over its columns is false; not known (null) passes."""

    condition: str
    ignore_row_if: str = "never"
    map_metric: ClassVar[str] = "multicolumn_values.condition_satisfied"
    success_keys: ClassVar[tuple[str, ...]] = ("condition", "mostly")


def violators_table(rule: str) -> str:
    """The name under which the rows that violate a rule about several rows are registered; its column is `_row`."""
    return f"violators:{rule}"


class MulticolumnNotListed(MulticolumnMapMetricProvider):  # type: ignore[misc]
    """False for a row that is listed as violating the rule; its last column is the row's number."""

    condition_metric_name = "multicolumn_values.not_listed"
    condition_domain_keys = ("batch_id", "table", "column_list", "row_condition", "condition_parser", "ignore_row_if")
    condition_value_keys = ("rule",)

    @multicolumn_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, column_list: Any, rule: str, **kw: Any) -> Any:  # noqa: ANN401, N805, ARG002 - as GX calls it
        listed = sa.table(violators_table(rule), sa.column(ROW))
        return sa.column(ROW).not_in(sa.select(listed.c[ROW]))


class ExpectRowsToAgreeWithOtherRows(MulticolumnMapExpectation):  # type: ignore[misc]
    """Expect no row to be listed as violating `rule`, which looks at other rows or relations (quality.rowsets)."""

    rule: str
    kind: str
    ignore_row_if: str = "never"
    map_metric: ClassVar[str] = "multicolumn_values.not_listed"
    success_keys: ClassVar[tuple[str, ...]] = ("rule", "mostly")


class MulticolumnIdentifierWhere(MulticolumnMapMetricProvider):  # type: ignore[misc]
    """False where `when` is true and the first column holds no valid identifier; blank and null pass."""

    condition_metric_name = "multicolumn_values.identifier_where"
    condition_domain_keys = ("batch_id", "table", "column_list", "row_condition", "condition_parser", "ignore_row_if")
    condition_value_keys = ("kind", "today", "when", "required")

    @multicolumn_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, column_list: Any, **kw: Any) -> Any:  # noqa: ANN401, N805 - as GX calls it
        identifier = next(iter(column_list))
        right = _valid(identifier, kw["kind"], kw["today"], kw["_metrics"], required=kw["required"])
        if isinstance(right, sa.ColumnClause) and not right.is_literal:
            unread = "error('the identifiers are not UTF-8')"
            right = sa.func.coalesce(right, sa.literal_column(unread, sa.Boolean))
        applies = sa.literal_column(f"({guarded(kw['when'])})", sa.Boolean)
        return sa.or_(sa.func.coalesce(sa.not_(applies), sa.true()), right)


class ExpectIdentifierToBeValidWhere(MulticolumnMapExpectation):  # type: ignore[misc]
    """Expect the first column to hold valid identifiers of `kind` in the rows for which `when` is true."""

    kind: str
    today: str
    when: str
    required: bool = False
    ignore_row_if: str = "never"
    map_metric: ClassVar[str] = "multicolumn_values.identifier_where"
    success_keys: ClassVar[tuple[str, ...]] = ("kind", "today", "when", "required", "mostly")
