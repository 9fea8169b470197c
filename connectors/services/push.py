"""Take apart the batches a department hands over itself (push 推送): a JSON array, JSON lines or CSV."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from connectors.errors import SourceError
from connectors.files.csv_format import OPTIONS as CSV
from connectors.files.csv_format import CsvFormat
from connectors.options import Options, Secrets, secret
from connectors.rest_json import batch_of, columns_of, parsed
from connectors.rows import CHUNK, ESCAPE, first_rows
from connectors.services.answers import python_codec
from connectors.services.signing import ALGORITHMS
from schemas.values import Batch, Check, Json, Position, Split, StreamInfo

OPTIONS = ("secret", "algorithm", "columns")
VALUES = 5_000_000  # JSON values of one batch; each is held in memory while it is taken apart
PLACES = 20_000_000  # rows times columns of one batch, empty places too: sparse records need far more than they say
MEDIA = {
    "application/json": "json",
    "application/x-ndjson": "lines",
    "application/jsonl": "lines",
    "application/x-jsonlines": "lines",
    "text/csv": "csv",
}


@dataclass(frozen=True, slots=True)
class PushTerms:
    """On what terms a resource takes batches: the name of the secret they are signed with, and by which algorithm."""

    secret: str
    algorithm: str | None
    columns: tuple[str, ...]


def terms(options: Mapping[str, Json]) -> PushTerms:
    """The options of kind `push`: `secret` names the push secret, `algorithm` (sha256 or sm3) insists on one."""
    own = Options({key: value for key, value in options.items() if key != "kind"}, OPTIONS)
    algorithm = own.choice("algorithm", ALGORITHMS[0], ALGORITHMS) if own.has("algorithm") else None
    return PushTerms(own.text("secret"), algorithm, own.names("columns"))


def open_push(options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> PushSource:  # noqa: ARG001
    """A source of kind `push`; OPTIONS are allowed. There is nothing to pull: batches come through the sharing API."""
    return PushSource(terms(options), secrets)


class PushSource:
    """A department that calls us."""

    def __init__(self, agreed: PushTerms, secrets: Secrets) -> None:
        self._agreed, self._secrets = agreed, secrets

    def check(self) -> list[Check]:
        """Whether the secret that batches are signed with is there."""
        try:
            secret(self._secrets, self._agreed.secret)
        except SourceError as error:
            return [Check("secret", ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")]
        return [Check("secret", ok=True, zh="推送密钥已保存", en="the push secret is stored")]

    def discover(self) -> list[StreamInfo]:
        """The one stream, as far as its columns are written down."""
        return [self.stream()]

    def stream(self) -> StreamInfo:
        """The columns that are written down."""
        return StreamInfo("push", dict.fromkeys(self._agreed.columns, "text"), declared=False)

    def preview(self, rows: int = 20) -> pa.Table:
        """No rows: they come when the department sends them."""
        return first_rows(iter([batch_of([], self._agreed.columns, 1, "push")]), rows)

    def estimate(self) -> int | None:
        """Not known."""
        return None

    def plan(self, position: Position | None) -> list[Split]:  # noqa: ARG002 - what was accepted is durable already
        """Nothing to read."""
        return []

    def read(self, split: Split) -> Iterator[Batch]:  # noqa: ARG002
        """Nothing to read."""
        return iter(())

    def close(self) -> None:
        """Nothing is held."""


def batches_of(body: bytes, content_type: str, where: str) -> Iterator[Batch]:
    """The records of a pushed batch, `_row` counting from 1; a record of a wrong shape is a reject.

    SRC-PUSH-TYPE for another content type, SRC-PUSH-JSON with line and column for what is no JSON, SRC-PUSH-MANY for
    more than one call may bring.
    """
    try:
        yield from _taken_apart(body, content_type, where)
    except SourceError as error:
        if error.code == "SRC-HEADER":  # what is said of a file is for a data manager
            error.fix_zh = "整批未收；请更正列名，按实际编码写 Content-Type 的 charset，以逗号分隔，再重新推送"
            error.fix_en = "Nothing was taken. Correct the names, say the encoding as charset of the Content-Type,"
            error.fix_en += " separate by commas, and push it again."
        raise


def _taken_apart(body: bytes, content_type: str, where: str) -> Iterator[Batch]:
    media, charset = _said(content_type)
    if MEDIA[media] == "csv":
        _bounded(where, (body.partition(b"\n")[0].count(b",") + 1) * body.count(b"\n"), PLACES)
        options: dict[str, Json] = {"encoding": charset} if charset else {}
        try:
            form = CsvFormat(Options(options, CSV), (), ",", "charset=")
        except SourceError:
            raise _unknown(content_type) from None
        yield from form.batches(io.BytesIO(body), where, CHUNK)
        return
    text = _decoded(body, charset, content_type)
    _bounded(where, text.count(",") + (text.count("\n") if MEDIA[media] == "lines" else 0), VALUES)
    records = _array(text, where) if MEDIA[media] == "json" else list(_lines(text, where))
    names = columns_of(records)
    _bounded(where, len(records) * len(names), PLACES)
    size = max(min(CHUNK, VALUES // max(len(names), 1)), 1)
    for start in range(0, max(len(records), 1), size):
        yield batch_of(records[start : start + size], names, start + 1, where)


def _bounded(where: str, said: int, most: int) -> None:
    if said > most:
        raise SourceError(
            "SRC-PUSH-MANY",
            zh=f"{where} 的值过多，或各行的字段各不相同：共 {said} 个，最多 {most} 个",
            en=f"{where} has too many values, or too many different fields: {said}, where {most} are allowed",
            fix_zh="整批未收；请拆成几批推送，并使各行的字段名一致",
            fix_en="Nothing was taken; push it as several batches whose rows have the same fields.",
        )


def _said(content_type: str) -> tuple[str, str]:
    media, *parameters = (part.strip() for part in content_type.split(";"))
    if media.lower() not in MEDIA:
        raise _unknown(content_type)
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return media.lower(), value.strip().strip('"').lower()
    return media.lower(), ""


def _decoded(body: bytes, charset: str, content_type: str) -> str:
    try:
        return body.decode(python_codec(charset), ESCAPE)
    except (LookupError, UnicodeError):
        raise _unknown(content_type) from None


def _array(text: str, where: str) -> list[object]:
    value = _value(text, where, 0)
    if isinstance(value, list):
        return value
    raise _no_json(where, 1, "不是 JSON 数组", "no JSON array")


def _lines(text: str, where: str) -> Iterator[object]:
    for number, line in enumerate(text.split("\n")):
        if line.strip():
            yield _value(line.rstrip("\r"), where, number)


def _value(text: str, where: str, before: int) -> object:
    try:
        return parsed(text)
    except json.JSONDecodeError as error:
        said = f"{error.msg}, column {error.colno}"
        raise _no_json(where, before + error.lineno, said, said) from None
    except (ValueError, RecursionError) as error:
        raise _no_json(where, before + 1, str(error), str(error)) from None


def _no_json(where: str, line: int, zh: str, en: str) -> SourceError:
    return SourceError(
        "SRC-PUSH-JSON",
        zh=f"{where} 第 {line} 行不是有效的 JSON：{zh}",
        en=f"line {line} of {where} is no valid JSON: {en}",
        fix_zh="整批未收；请更正后重新推送",
        fix_en="Nothing was taken; correct it and push the batch again.",
    )


def _unknown(content_type: str) -> SourceError:
    shown = content_type[:100] or "-"
    return SourceError(
        "SRC-PUSH-TYPE",
        zh=f"不支持 Content-Type {shown}",
        en=f"the Content-Type {shown} is not supported",
        fix_zh=f"可用：{', '.join(MEDIA)}，编码写在 charset",
        fix_en=f"Use one of {', '.join(MEDIA)}, with the encoding as charset.",
    )
