"""Forms 表单: which library fields answer a form's questions, in which order, and how the answers are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn

from schemas import lines, normalise
from schemas.standard import Standard
from sharing.comparing import code

FORMATS: Final = ("plain", "upper", "date_zh", "date_digits", "number")
KINDS: Final = ("firm", "person")
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


@dataclass(frozen=True, slots=True)
class Place:
    """A field of a library or served resource."""

    subject: str
    field: str


@dataclass(frozen=True, slots=True)
class Question:
    """One field of a form: where its answer is looked for, the first place first, and how it is written."""

    name: str
    zh: str
    en: str
    places: Sequence[Place]
    format: str = "plain"
    required: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """A form about one firm or person."""

    id: str
    zh: str
    en: str
    kind: Literal["firm", "person"]
    questions: Sequence[Question]


def read_forms(folder: Path, known: Mapping[str, Standard]) -> Mapping[str, Form]:
    """The forms of `<folder>/*.yaml` by id; `known` are the standards of what can be asked, by name.

    Raises StandardError (SHR-FORM) with file and line.
    """
    found: dict[str, Form] = {}
    for path in sorted(folder.glob("*.yaml")):
        node = lines.read(path)
        form = _form(node, known)
        if form.id in found:
            _fail(node, "form", f"表单编号 {form.id} 重复", f"the form id {form.id} is used twice", "改用另一个编号",
                  "Use another id")  # fmt: skip
        found[form.id] = form
    return found


def formatted(value: object, form: str) -> str:
    """A value as the form wants it: as it is, in capitals, as 2020年1月2日 or 20200102, or without idle zeros."""
    text = str(value)
    if form == "upper":
        return code(text)
    if form in {"date_zh", "date_digits"}:
        day = normalise.parse_date(text)
        if day is None:
            return text
        return f"{day.year}年{day.month}月{day.day}日" if form == "date_zh" else day.strftime("%Y%m%d")
    if form == "number" and "." in text:
        return text.rstrip("0").rstrip(".")
    return text


def _form(node: lines.Node, known: Mapping[str, Standard]) -> Form:
    node.only("form", "zh", "en", "about", "fields")
    about = node.one_of("about", KINDS)
    questions = [_question(one, known) for one in node.nodes("fields")]
    names = [one.name for one in questions]
    if not questions or len(set(names)) != len(names):
        _fail(node, "fields", "没有字段，或字段重复", "there are no fields, or a field is named twice",
              "每个字段写一次", "Name each field once")  # fmt: skip
    kind: Literal["firm", "person"] = "firm" if about == "firm" else "person"
    return Form(node.pattern("form", _NAME, "business-change"), node.text("zh"), node.text("en"), kind, questions)


def _question(node: lines.Node, known: Mapping[str, Standard]) -> Question:
    node.only("name", "zh", "en", "from", "format", "required")
    places = [_place(node, text, known) for text in node.texts("from")]
    return Question(
        name=node.pattern("name", _NAME, "ent_name"),
        zh=node.text("zh"),
        en=node.text("en"),
        places=places,
        format=node.one_of("format", FORMATS, "plain"),
        required=node.flag("required", default=True),
    )


def _place(node: lines.Node, text: str, known: Mapping[str, Standard]) -> Place:
    subject, _, field = text.rpartition(".")
    standard = known.get(subject)
    if standard is None:
        listed = sorted(known)
        _fail(node, "from", f"没有 {subject or text}", f"there is no {subject or text}", f"可用：{'、'.join(listed)}",
              f"Known: {', '.join(listed)}")  # fmt: skip
    if all(one.name != field for one in standard.fields):
        _fail(node, "from", f"{standard.id} 没有字段 {field}", f"{standard.id} has no field {field}",
              "核对标准中的字段名", "See the standard's fields")  # fmt: skip
    return Place(subject, field)


def _fail(node: lines.Node, key: str, zh: str, en: str, fix_zh: str, fix_en: str) -> NoReturn:  # noqa: PLR0917 texts
    node.fail(key, zh, en, fix_zh, fix_en, code="SHR-FORM")
