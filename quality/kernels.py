"""Evaluate conditions of Great Expectations on Arrow columns: what it resolved as SQL, without SQL.

A condition comes as the SQLAlchemy expression that Great Expectations would run, nulls and ignored rows included, so
that its shape says what it means. What is not surely the same on columns has no kernel.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.sql import elements, operators

from quality import kernels_text as text
from quality.columns import Part, Truth, is_text
from quality.errors import QualityError
from quality.limits import heavy
from quality.spoken import Tree, UnspokenError, spoken

Kernel = Callable[[Part], Truth]
Listed = Callable[[Any], pa.Array]  # a SELECT of one column → its values
Parsed = Callable[[str], Tree]  # a text of SQL → DuckDB's tree of it
Comparison = Callable[[Any, Any], Any]

_COMPARISONS: Mapping[Any, Comparison] = {
    operators.eq: operator.eq,
    operators.ne: operator.ne,
    operators.lt: operator.lt,
    operators.le: operator.le,
    operators.gt: operator.gt,
    operators.ge: operator.ge,
}
_TURNED: Mapping[Comparison, Comparison] = {
    operator.eq: operator.eq,
    operator.ne: operator.ne,
    operator.lt: operator.gt,
    operator.le: operator.ge,
    operator.gt: operator.lt,
    operator.ge: operator.le,
}
_LARGEST = 1 << 62
_FAR = 1 << 20  # the farthest place and the most characters of a piece
_PAIR = 2


class _NoKernelError(Exception):
    """SQL must answer."""


_REFUSALS = (_NoKernelError, UnspokenError, QualityError, pa.ArrowException, duckdb.Error, sa.exc.SQLAlchemyError)


def kernel(condition: sa.ColumnElement[Any], schema: pa.Schema, listed: Listed, parsed: Parsed) -> Kernel | None:
    """A function from a part, whose columns are of `schema`, to the truth of the condition; None when SQL must answer.

    The function raises DeclinedError for a part that holds values it cannot judge. `listed` gives the values of a
    SELECT that a value is looked for in; they may not change while the kernel is used. `parsed` reads a part of the
    condition that is written in SQL, and may refuse with a QualityError.
    """
    try:
        return _Compiler(schema, listed, parsed).truth(condition)
    except _REFUSALS:
        return None  # what is wrong with it, SQL says better


class _Compiler:
    def __init__(self, schema: pa.Schema, listed: Listed, parsed: Parsed) -> None:
        self._schema, self._listed, self._parsed = schema, listed, parsed

    def truth(self, one: Any) -> Kernel:  # noqa: ANN401, PLR0911 - any SQLAlchemy element, one kind after the other
        """The kernel of a condition."""
        one = _inner(one)
        if isinstance(one, elements.True_ | elements.False_):
            return _constant(isinstance(one, elements.True_))
        if isinstance(one, elements.BooleanClauseList):
            parts = [self.truth(clause) for clause in one.clauses]
            return _all(parts) if one.operator is operators.and_ else _any(parts)
        if isinstance(one, elements.UnaryExpression):
            return self._unary(one)
        if isinstance(one, elements.ColumnClause):
            if one.is_literal:
                return self._written(str(one.name))
            name, kind = self._column(one)
            if not pa.types.is_boolean(kind):
                raise _NoKernelError
            return _flag(name)
        if isinstance(one, elements.BinaryExpression):
            return self._binary(one)
        if isinstance(one, sa.Function):
            return self._call(one)
        raise _NoKernelError

    def _written(self, sql: str) -> Kernel:
        said = spoken(self._parsed(sql))
        cases = Counter(name.lower() for name in self._schema.names)
        names = [str(each.name) for each in sa.sql.visitors.iterate(said) if isinstance(each, elements.ColumnClause)]
        if any(cases[name.lower()] != 1 for name in names):
            raise _NoKernelError  # SQL knows no upper and lower case
        return self.truth(said)

    def _call(self, one: sa.Function[Any]) -> Kernel:
        given = [_inner(each) for each in one.clauses]
        if one.name == "coalesce" and len(given) == _PAIR and isinstance(given[1], elements.True_ | elements.False_):
            return _known_or(self.truth(given[0]), otherwise=isinstance(given[1], elements.True_))
        if one.name == "starts_with" and len(given) == _PAIR and isinstance(given[1], elements.BindParameter):
            if not isinstance(given[1].value, str):
                raise _NoKernelError  # DuckDB takes no number for a text
            return text.beginning(self._text_column(given[0]), given[1].value)
        raise _NoKernelError

    def _unary(self, one: elements.UnaryExpression[Any]) -> Kernel:
        if one.operator in (operators.inv, operators.is_false):
            return _not(self.truth(one.element))
        if one.operator is operators.is_true:
            return self.truth(one.element)
        raise _NoKernelError

    def _binary(self, one: elements.BinaryExpression[Any]) -> Kernel:
        sign, left, right = one.operator, _inner(one.left), _inner(one.right)
        if sign in (operators.is_, operators.is_not) and isinstance(right, elements.Null):
            name, _ = self._column(left)
            return _present(name) if sign is operators.is_not else _not(_present(name))
        if sign in _COMPARISONS:
            return self._compared(left, _COMPARISONS[sign], right)
        if sign in (operators.in_op, operators.not_in_op):
            found = self._in(left, right)
            return found if sign is operators.in_op else _not(found)
        matched = self._matched(one, sign, left, right)
        if matched is None:
            raise _NoKernelError
        return matched

    def _matched(self, one: Any, sign: Any, left: Any, right: Any) -> Kernel | None:  # noqa: ANN401 - SQLAlchemy's
        pattern = right.value if isinstance(right, elements.BindParameter) else None
        if not isinstance(pattern, str):
            return None
        name = self._text_column(left)
        if isinstance(sign, operators.custom_op) and sign.opstring in ("~", "!~") and not heavy(pattern):
            found = text.matching(name, pattern)
            return found if sign.opstring == "~" else _not(found)
        escaped = (one.modifiers or {}).get("escape") is not None or "\\" in pattern
        if sign in (operators.like_op, operators.not_like_op) and not escaped:
            found = text.like(name, pattern)
            return found if sign is operators.like_op else _not(found)
        return None

    def _compared(self, left: Any, sign: Comparison, right: Any) -> Kernel:  # noqa: ANN401 - SQLAlchemy's
        if isinstance(left, elements.BindParameter):
            left, sign, right = right, _TURNED[sign], left
        if isinstance(left, sa.Function) and left.name == "length" and isinstance(right, elements.BindParameter):
            (argument,) = left.clauses
            number = _exact(right.value, 0)
            return text.length(self._text_column(_inner(argument)), *_whole(sign, number))
        if _is_truth(left) and _is_truth(right) and sign in (operator.eq, operator.ne):
            same = _same(self.truth(left), self.truth(right))
            return same if sign is operator.eq else _not(same)
        if isinstance(left, sa.Function) or isinstance(right, sa.Function):
            return self._cut(left, sign, right)
        name, kind = self._column(left)
        if isinstance(right, elements.BindParameter):
            return _limited(name, kind, sign, right.value)
        other, same_kind = self._column(right)
        if kind != same_kind:
            raise _NoKernelError
        return _paired(name, other, kind, sign)

    def _cut(self, left: Any, sign: Comparison, right: Any) -> Kernel:  # noqa: ANN401 - SQLAlchemy's
        """A piece of a text beside a text, or beside one that is known beforehand."""
        if not isinstance(left, sa.Function):
            left, sign, right = right, _TURNED[sign], left
        piece = self._piece(left)
        if isinstance(right, elements.BindParameter) and isinstance(right.value, str):
            return piece.compared(sign, right.value)
        other = self._text_column(right)
        if self._schema.field(piece.column).type != self._schema.field(other).type:
            raise _NoKernelError
        return piece.paired(other, sign)

    def _piece(self, one: Any) -> text.Piece:  # noqa: ANN401 - any SQLAlchemy element
        """What a substr takes, said with numbers that are known."""
        given = [_inner(each) for each in one.clauses] if isinstance(one, sa.Function) and one.name == "substr" else []
        numbers = [one.value for one in given[1:] if isinstance(one, elements.BindParameter)]
        start, most = numbers if len(numbers) == _PAIR == len(given) - 1 else (None, None)
        if not isinstance(start, int) or not isinstance(most, int) or not (0 < start <= _FAR and 0 < most <= _FAR):
            raise _NoKernelError
        return text.Piece(self._text_column(given[0]), start - 1, most)

    def _in(self, left: Any, right: Any) -> Kernel:  # noqa: ANN401 - SQLAlchemy's
        if isinstance(left, sa.Function) and isinstance(right, elements.BindParameter):
            wanted = list(right.value or ())
            if not all(isinstance(one, str) for one in wanted):
                raise _NoKernelError
            return self._piece(left).among(pa.array(wanted, pa.string()))
        name, kind = self._column(left)
        if isinstance(right, elements.BindParameter):
            values = right.value
            if not isinstance(values, list | tuple | set | frozenset) or not values:
                raise _NoKernelError
            return _among(name, kind, list(values))
        if isinstance(right, sa.ScalarSelect | sa.Select):
            found = self._listed(right)
            if not _is_text(kind) or found.null_count or not pa.types.is_string(found.type):
                raise _NoKernelError
            return text.among(name, found)
        raise _NoKernelError

    def _column(self, one: Any) -> tuple[str, pa.DataType]:  # noqa: ANN401 - any SQLAlchemy element
        if not isinstance(one, elements.ColumnClause) or one.is_literal or one.table is not None:
            raise _NoKernelError
        places = self._schema.get_all_field_indices(str(one.name))
        if len(places) != 1:
            raise _NoKernelError
        return str(one.name), self._schema.field(places[0]).type

    def _text_column(self, one: Any) -> str:  # noqa: ANN401 - any SQLAlchemy element
        name, kind = self._column(one)
        if not _is_text(kind):
            raise _NoKernelError
        return name


def _inner(one: Any) -> Any:  # noqa: ANN401 - any SQLAlchemy element
    while isinstance(one, elements.Grouping):
        one = one.element
    return one


def _is_text(kind: pa.DataType) -> bool:
    return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _constant(value: bool) -> Kernel:  # noqa: FBT001 - a value
    return lambda part: Truth(np.full(part.rows, value), np.full(part.rows, not value))


def _not(one: Kernel) -> Kernel:
    def turned(part: Part) -> Truth:
        truth = one(part)
        return Truth(truth.false, truth.true)

    return turned


def _all(ones: Sequence[Kernel]) -> Kernel:
    def every(part: Part) -> Truth:
        first, *rest = (one(part) for one in ones)
        true, false = first.true, first.false
        for one in rest:
            true, false = true & one.true, false | one.false
        return Truth(true, false)

    return every


def _any(ones: Sequence[Kernel]) -> Kernel:
    return _not(_all([_not(one) for one in ones]))


def _is_truth(one: Any) -> bool:  # noqa: ANN401 - any SQLAlchemy element
    """Whether it surely is true, false or neither."""
    kinds = (elements.BooleanClauseList, elements.UnaryExpression, elements.BinaryExpression)
    return isinstance(one, kinds) or (isinstance(one, sa.Function) and one.name == "coalesce")


def _known_or(one: Kernel, *, otherwise: bool) -> Kernel:
    def settled(part: Part) -> Truth:
        truth = one(part)
        return Truth(~truth.false, truth.false) if otherwise else Truth(truth.true, ~truth.true)

    return settled


def _same(one: Kernel, other: Kernel) -> Kernel:
    def compared(part: Part) -> Truth:
        first, second = one(part), other(part)
        true = first.true & second.true | first.false & second.false
        return Truth(true, first.true & second.false | first.false & second.true)

    return compared


def _present(name: str) -> Kernel:
    return lambda part: Truth(part[name].valid, ~part[name].valid)


def _flag(name: str) -> Kernel:
    return lambda part: part[name].known(part[name].flags)


def _limited(name: str, kind: pa.DataType, sign: Comparison, value: Any) -> Kernel:  # noqa: ANN401 - a bound value
    """A column beside a value that is known beforehand."""
    if _is_text(kind):
        if not isinstance(value, str):
            raise _NoKernelError
        return text.compared(name, sign, value)
    if pa.types.is_float64(kind):
        number = float(_number(value))
        return lambda part: part[name].known(_floats(part[name].floats, sign, number))
    sign, whole = _whole(sign, _scaled(kind, value))
    if not -_LARGEST < whole < _LARGEST:
        raise _NoKernelError
    return lambda part: part[name].known(sign(part[name].numbers, whole))


def _floats(values: Any, sign: Comparison, limit: float) -> Any:  # noqa: ANN401 - numpy
    """DuckDB holds NaN for greater than every number."""
    answer = sign(values, limit)
    return answer | np.isnan(values) if sign in (operator.gt, operator.ge) else answer


def _paired(name: str, other: str, kind: pa.DataType, sign: Comparison) -> Kernel:
    if _is_text(kind):
        return text.paired(name, other, sign)
    if not (pa.types.is_date32(kind) or pa.types.is_timestamp(kind) or _is_exact(kind)):
        raise _NoKernelError

    def beside(part: Part) -> Truth:
        first, second = part[name], part[other]
        both = first.valid & second.valid
        true = sign(first.numbers, second.numbers) & both
        return Truth(true, both & ~true)

    return beside


def _among(name: str, kind: pa.DataType, values: list[Any]) -> Kernel:
    if _is_text(kind) and all(isinstance(value, str) for value in values):
        return text.among(name, pa.array(values, pa.string()))
    if pa.types.is_boolean(kind) and all(isinstance(value, bool) for value in values):
        flags = [_flag(name) if value else _not(_flag(name)) for value in values]
        return _any(flags)
    if pa.types.is_integer(kind) or pa.types.is_date32(kind):
        limits = [_whole(operator.eq, _scaled(kind, value))[1] for value in values]
        if any(abs(whole) >= _LARGEST for whole in limits):
            raise _NoKernelError
        wanted = np.array(limits, np.int64)
        return lambda part: part[name].known(np.isin(part[name].numbers, wanted))
    raise _NoKernelError


def _is_exact(kind: pa.DataType) -> bool:
    whole = pa.types.is_integer(kind) and not pa.types.is_uint64(kind)
    return bool(whole or pa.types.is_decimal128(kind))


def _scaled(kind: pa.DataType, value: Any) -> Decimal:  # noqa: ANN401 - a bound value
    """The value as the whole numbers behind a column count it."""
    if pa.types.is_date32(kind):
        return Decimal((_day(value) - date(1970, 1, 1)).days)
    if not _is_exact(kind):
        raise _NoKernelError
    return _exact(value, kind.scale if pa.types.is_decimal128(kind) else 0)


def _day(value: Any) -> date:  # noqa: ANN401 - a bound value
    if type(value) is date:
        return value
    try:
        written = date.fromisoformat(value)
    except (TypeError, ValueError):
        raise _NoKernelError from None
    if written.isoformat() != value:
        raise _NoKernelError
    return written


def _number(value: Any) -> Decimal:  # noqa: ANN401 - a bound value
    """A number as SQL is told it: a float by its shortest digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _NoKernelError
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise _NoKernelError
    return number


def _exact(value: Any, scale: int) -> Decimal:  # noqa: ANN401 - a bound value
    return _number(value).scaleb(scale)


def _whole(sign: Comparison, limit: Decimal) -> tuple[Comparison, int]:
    """The same comparison of whole numbers with a whole number."""
    floor = int(limit.to_integral_value("ROUND_FLOOR"))
    if floor == limit:
        return sign, floor
    if sign in (operator.lt, operator.le):
        return operator.le, floor
    if sign in (operator.gt, operator.ge):
        return operator.gt, floor
    return sign, _LARGEST * 2  # equal to none, different from all; refused where it matters
