"""Read JSON from a service without changing a digit, and turn its records into text columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from connectors.rows import Reject, arrow_batch, check_names, clean, visible
from schemas.values import Batch


class Number(str):
    """A JSON number exactly as the service wrote it."""

    __slots__ = ()


class Twice(dict[str, object]):
    """A JSON object that says the same name twice: no column can hold both values; `pairs` has them all."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def parsed(text: str) -> object:
    """The JSON value of `text`, numbers as Number; raises ValueError.

    Line breaks and tabs inside a text are taken as they are: many services forget to escape them.
    """
    return json.loads(
        text, parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=_object, strict=False
    )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Twice(pairs)


def found(value: object, path: str) -> object:
    """What lies at a dotted path (`data.items`); the value itself for an empty path; raises KeyError."""
    for name in path.split(".") if path else []:
        if not isinstance(value, dict) or name not in value:
            raise KeyError(name)
        value = value[name]
    return value


def written(value: object) -> str:
    """The value as JSON text again, its numbers as they were."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        pairs = value.pairs if isinstance(value, Twice) else value.items()
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {written(of)}" for key, of in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def columns_of(records: Sequence[object]) -> list[str]:
    """The keys of all records, in the order they are first seen."""
    names: dict[str, None] = {}
    for record in records:
        if isinstance(record, dict):
            names.update(dict.fromkeys(record))
    return list(names)


def batch_of(records: Sequence[object], names: Sequence[str], first: int, where: str) -> Batch:
    """The records as text columns `names`; a key a record lacks is null, a record that is no object is row_shape."""
    shown = [visible(name) for name in names]
    check_names(shown, where)
    rejects: dict[int, Reject] = {}
    objects: list[Mapping[str, Any]] = []
    for at, record in enumerate(records):
        if not isinstance(record, dict):
            detail = "记录不是 JSON 对象 | the record is no JSON object"
            rejects[at] = Reject("row_shape", detail, visible(written(record)))
        elif isinstance(record, Twice):
            detail = "记录中有重复的字段名 | the record says the same field twice"
            rejects[at] = Reject("row_shape", detail, visible(written(record)))
        objects.append(record if isinstance(record, dict) else {})
    columns = [
        [
            value if value is None or isinstance(value, str) else written(value)
            for value in [each.get(name) for each in objects]
        ]
        for name in names
    ]
    try:
        texts = [pa.array(column, pa.string()) for column in columns]
    except UnicodeEncodeError:  # some value holds what no UTF-8 can carry: look at each
        texts = [pa.array(column, pa.string()) for column in clean(shown, columns, rejects, where)]
    return arrow_batch(shown, texts, len(records), first, rejects)  # records without any field are records too
