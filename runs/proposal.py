"""Propose a resource file from what a source says of itself: which standard fits, which column feeds which field."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from schemas.normalise import fold
from schemas.reading import Reading, read
from schemas.standard import Field, Standard
from schemas.validators import arrow
from schemas.values import Json, StreamInfo

LEAST = 0.5  # a guess below that is only told, not written
_SURE, _ALIAS, _COMMENT, _PART, _NEAR = 1.0, 0.98, 0.95, 0.75, 0.7
_LIKE = 0.82  # how alike two names must be to be taken for spellings of one
_CONTENT = 0.8  # at most this sure of what only the values say
_CHECKED = ("uscc", "org_code", "citizen_id")
_FEW = 5  # values needed before values say anything

_Reason = tuple[float, str, str]  # how sure, and why (zh, en)


@dataclass(frozen=True, slots=True)
class Guess:
    """A column that probably feeds a field, how probably (0–1), and why."""

    field: Field
    column: str
    confidence: float
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a resource file could say: guesses to be written, weaker ones to be told, columns nothing was found for."""

    standard: Standard
    guesses: tuple[Guess, ...]
    doubtful: tuple[Guess, ...]
    left: tuple[str, ...]

    @property
    def missing(self) -> tuple[Field, ...]:
        """Required fields and keys no column was found for."""
        found = {one.field.name for one in self.guesses}
        needed = [one for one in self.standard.fields if one.required or one.name in self.standard.key]
        return tuple(one for one in needed if one.name not in found)


def propose(stream: StreamInfo, sample: pa.Table, standards: Sequence[Standard], today: date) -> Proposal:
    """The proposal of the standard that fits best.

    `sample` is a preview (text columns); its values count where neither name nor comment says anything: identifiers
    whose check characters are right.
    """
    proposals = [_matched(one, stream, sample, today) for one in standards]
    return max(proposals, key=lambda one: (-len(one.missing), sum(guess.confidence for guess in one.guesses)))


def _matched(standard: Standard, stream: StreamInfo, sample: pa.Table, today: date) -> Proposal:
    candidates = [
        guess
        for column in stream.columns
        for field in standard.fields
        if (guess := _guess(field, column, stream.comments.get(column, ""), sample, today)) is not None
    ]
    places = {column: at for at, column in enumerate(stream.columns)}
    candidates.sort(key=lambda one: (-one.confidence, places[one.column]))
    taken_fields, taken_columns, chosen = set[str](), set[str](), list[Guess]()
    for guess in candidates:
        if guess.field.name not in taken_fields and guess.column not in taken_columns:
            chosen.append(guess)
            taken_fields.add(guess.field.name)
            taken_columns.add(guess.column)
    order = {field.name: at for at, field in enumerate(standard.fields)}
    chosen.sort(key=lambda one: order[one.field.name])
    written = tuple(one for one in chosen if one.confidence >= LEAST)
    fed = {one.column for one in written}
    return Proposal(
        standard,
        written,
        tuple(one for one in chosen if one.confidence < LEAST),
        tuple(column for column in stream.columns if column not in fed),
    )


def _guess(field: Field, column: str, comment: str, sample: pa.Table, today: date) -> Guess | None:
    found = _by_name(field, column) or _by_comment(field, comment) or _by_values(field, column, sample, today)
    return Guess(field, column, *found) if found else None


def _by_name(field: Field, column: str) -> _Reason | None:
    name = _plain(column)
    if name in (_plain(field.name), _plain(field.zh)):
        return _SURE, "与字段同名", "named as the field"
    if any(name == _plain(alias) for alias in field.aliases):
        return _ALIAS, "是字段的别名", "an alias of the field"
    best = max(difflib.SequenceMatcher(a=name, b=_plain(one)).ratio() for one in (field.name, field.zh, *field.aliases))
    return (round(_NEAR * best, 2), "名称相近", "a name much alike") if best >= _LIKE else None


def _by_comment(field: Field, comment: str) -> _Reason | None:
    said = _plain(comment)
    names = [_plain(one) for one in (field.zh, *field.aliases)]
    if said and said in names:
        return _COMMENT, f"注释“{comment}”是字段名", f"its comment '{comment}' names the field"
    if any(len(one) > 1 and not one.isascii() and one in said for one in names):
        return _PART, f"注释“{comment}”含字段名", f"its comment '{comment}' mentions the field"
    return None


def _by_values(field: Field, column: str, sample: pa.Table, today: date) -> _Reason | None:
    if field.type not in _CHECKED or column not in sample.column_names:
        return None
    received = sample[column].combine_chunks().drop_null()
    if len(received) < _FEW:
        return None
    values = read(received, Reading(field, (), {}, today)).values.drop_null()
    share = arrow.valid(field.type, values, today).true_count / len(received) if len(values) else 0.0
    zh, en = f"{share:.0%} 的样例值校验位正确", f"the check characters of {share:.0%} of the sampled values are right"
    return (round(_CONTENT * share, 2), zh, en) if share >= LEAST else None


def _plain(name: str) -> str:
    return fold(name).casefold().replace("_", "").replace(" ", "")


def as_yaml(
    proposal: Proposal,
    *,
    name: str,
    title: tuple[str, str],
    connection: str | None,
    source: Mapping[str, Json],
    cursors: Sequence[str] = (),
) -> str:
    """The proposal as the text of a resource file; what is not certain is said in comments beside it.

    A table is read against its last snapshot, which needs nothing from the department; `cursors` are told as a quicker
    way it may agree to.
    """
    zh, en = title
    lines = [f"resource: {name}", f"title: {{zh: {_quoted(zh)}, en: {_quoted(en)}}}"]
    lines.append(f"standard: {proposal.standard.id}  # {proposal.standard.zh} | {proposal.standard.en}")
    if connection:
        lines.append(f"connection: {connection}")
    lines += [f"source: {_flow(dict(source))}", *_reading(source, cursors), "map:"]
    for one in proposal.guesses:
        told = _one_line(f"{one.confidence:.2f} {one.field.zh}：{one.zh} | {one.en}")
        lines.append(f"  {one.field.name}: {_quoted(one.column)}  # {told}")
    for one in proposal.doubtful:
        told = _one_line(f"{one.confidence:.2f} {one.field.zh}：{one.zh} | {one.en}")
        lines.append(f"  # {one.field.name}: {_quoted(one.column)}  # ? {told}")
    lines += [
        f"  # {one.name}: ?  # 必填字段未找到来源列 {one.zh} | required, no column found" for one in proposal.missing
    ]
    if not proposal.guesses:
        lines[lines.index("map:")] = "map: {}"
    if proposal.left:
        left = _one_line(", ".join(proposal.left))
        lines.append(f"# 未对应的列（照收不用）| columns fed to no field: {left}")
    lines += [
        "gate: {max_percent: 5.0}",
        '# schedule: "0 2 * * *"  # 每天两点（北京时间）| 02:00 every day, Asia/Shanghai',
        "# expect_within: 26h",
        "",
    ]
    return "\n".join(lines)


def _reading(source: Mapping[str, Json], cursors: Sequence[str]) -> list[str]:
    if source.get("kind") != "sql":
        return []
    usual = "read: {mode: snapshot_diff}  # 每次读全表，只取变化与删除 | compared with the last snapshot"
    if not cursors:
        return [usual]
    told = (
        f"# 或在 source 写 cursor: {{column: {_quoted(cursors[0])}}} 并删去 read | or read by that column, without read"
    )
    return [usual, told]


def _quoted(text: str) -> str:
    plain = text and text[0].isalpha() and all(char.isalnum() or char in "_-" for char in text)
    odd = text.casefold() in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
    if plain and not odd:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else f"\\U{ord(one):08X}" for one in escaped) + '"'


def _one_line(text: str) -> str:
    """What a system says of itself, fit for a comment: a second line would be taken for part of the file."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _flow(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else "null" if value is None else str(value)
