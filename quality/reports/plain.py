"""A report as JSON, and the JSON Schema of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from quality.reports.values import VERSION, Language, Report


def as_json(report: Report, _lang: Language = "zh") -> bytes:
    """Every number and both languages; `version` says which form it is."""
    told = {"version": VERSION, **asdict(report)}
    told["names"] = {name: asdict(words) for name, words in report.names}
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `as_json` writes."""
    from pydantic import TypeAdapter

    made: dict[str, Any] = TypeAdapter(Report).json_schema(mode="serialization")
    words = {"$ref": "#/$defs/Words"}
    made["properties"] = {"version": {"const": VERSION}, **made["properties"]}
    made["properties"]["names"] = {"type": "object", "additionalProperties": words}
    made["required"] = list(made["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
