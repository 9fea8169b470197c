"""What an entry of the directory 目录 consists of: the core metadata of the 2017 guide, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from schemas.standard import Field, Standard
from schemas.values import Json

# Shares of fields as standards write them, and the guide's digits for the same.
SHARES = {"U": "1", "C": "2", "N": "3"}
SHARE_NAMES = {
    "1": ("无条件共享", "shared without condition"),
    "2": ("有条件共享", "shared on condition"),
    "3": ("不予共享", "not shared"),
}
CYCLES = {
    "1": ("实时", "at once"),
    "2": ("每日", "daily"),
    "3": ("每周", "weekly"),
    "4": ("每月", "monthly"),
    "5": ("每季度", "quarterly"),
    "6": ("每半年", "every six months"),
    "7": ("每年", "yearly"),
    "8": ("不定期", "irregularly"),
    "9": ("不更新", "never"),
}
# The guide's types of items, by the types of fields.
_TYPES = {
    "integer": "整型I",
    "decimal": "数值型N",
    "capital": "货币型Y",
    "date": "日期型D",
    "datetime": "日期时间型T",
    "boolean": "逻辑型L",
}
_CHARACTERS = "字符型C"
_LENGTHS = {"uscc": 18, "org_code": 9, "citizen_id": 18}


@dataclass(frozen=True, slots=True)
class Words:
    """A text in both languages."""

    zh: str = ""
    en: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """An item 信息项: `share` is 1 无条件, 2 有条件 or 3 不予; `length` counts characters, None where it is open."""

    name: str
    zh: str
    en: str
    type: str
    length: int | None
    share: str
    level: int

    @classmethod
    def of(cls, one: Field) -> Item:
        """A field of a standard as the guide describes it."""
        length = one.length if one.length is not None else _LENGTHS.get(one.type)
        kind = _TYPES.get(one.type, _CHARACTERS)
        return cls(one.name, one.zh, one.en, kind, length, SHARES[one.share], one.level)


@dataclass(frozen=True, slots=True)
class Listed:
    """What is known of a resource or a library before its metadata is read; `fields` are those it delivers."""

    id: str
    kind: str
    title: Words
    provider: str
    standard: Standard
    fields: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """Its items, in the order of the standard."""
        wanted = set(self.fields)
        return tuple(Item.of(one) for one in self.standard.fields if not wanted or one.name in wanted)


@dataclass(frozen=True, slots=True)
class Provider:
    """A department as the directory names it; `code` is its USCC, empty where nobody wrote it down."""

    id: str
    name: Words
    code: str = ""


@dataclass(frozen=True, slots=True)
class Core:
    """The core metadata of one resource or library.

    `number` is its place within its class, None to be given one; `classes` are the names of 类, 项, 目 and 细目;
    `where` says which file and line a complaint is about.
    """

    classification: str = ""
    classes: tuple[Words, ...] = ()
    number: int | None = None
    abstract: Words = field(default_factory=Words)
    keywords: tuple[str, ...] = ()
    format_class: str = ""
    format_type: str = ""
    share: str = ""
    share_condition: Words = field(default_factory=Words)
    way_class: str = ""
    way_type: str = ""
    public: bool = False
    open_condition: Words = field(default_factory=Words)
    update: str = ""
    published: str = ""
    related: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured of an entry, None or empty where nobody has: shown beside the metadata, never written by hand.

    `completeness` and `score` are 0 to 100 of the newest month, `trend` scores by month, the oldest first; `calls` and
    `units` those answered in the last 30 days, by all departments together.
    """

    records: int | None = None
    last_landed: str | None = None
    completeness: float | None = None
    score: float | None = None
    trend: tuple[tuple[str, float], ...] = ()
    calls: int = 0
    units: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry 目录条目: what is listed, its provider, its core metadata and its code; `related` are codes too."""

    listed: Listed
    provider: Provider
    core: Core
    code: str
    related: tuple[str, ...]
    items: tuple[Item, ...]

    @property
    def id(self) -> str:
        """The id of the resource, or the name of the library."""
        return self.listed.id

    @property
    def missing(self) -> tuple[str, ...]:
        """The elements the guide asks for that nobody has said."""
        core = self.core
        said = {
            "classification": core.classification,
            "provider_code": self.provider.code,
            "abstract": core.abstract.zh,
            "format": core.format_class,
            "share_type": core.share,
            "share_way": core.way_class,
            "update_cycle": core.update,
            "publish_date": core.published,
        }
        return tuple(name for name, value in said.items() if not value)

    def summary(self) -> dict[str, Json]:
        """One line of a list, JSON-ready."""
        return {
            "id": self.id,
            "kind": self.listed.kind,
            "code": self.code,
            "title": _words(self.listed.title),
            "provider": {"id": self.provider.id, **_words(self.provider.name), "code": self.provider.code},
            "classification": [_words(one) for one in self.core.classes],
            "share_type": self.core.share,
            "update_cycle": self.core.update,
            "items": len(self.items),
        }

    def content(self) -> dict[str, Json]:
        """All that is written about it, JSON-ready, without what is measured: what a version of it keeps."""
        core = self.core
        return self.summary() | {
            "standard": self.listed.standard.id,
            "abstract": _words(core.abstract),
            "keywords": list(core.keywords),
            "format": {"class": core.format_class, "type": core.format_type},
            "items": [dict(asdict(one)) for one in self.items],
            "share_condition": _words(core.share_condition),
            "share_way": {"class": core.way_class, "type": core.way_type},
            "open": {"public": core.public, "condition": _words(core.open_condition)},
            "publish_date": core.published,
            "related": list(self.related),
            "missing": list(self.missing),
        }


def measured_json(one: Measured) -> dict[str, Json]:
    """What is measured, JSON-ready."""
    trend: list[Json] = [{"month": month, "score": score} for month, score in one.trend]
    return {
        "records": one.records,
        "last_landed": one.last_landed,
        "completeness": one.completeness,
        "score": one.score,
        "trend": trend,
        "usage_30_days": {"calls": one.calls, "units": one.units},
    }


def _words(one: Words) -> dict[str, Json]:
    return {"zh": one.zh, "en": one.en}


AUTHORITY = Words("数据主管部门", "Data authority")  # provides what no single department does
# Calls and units, by library or resource, since a day (ISO 8601).
Usage = Callable[[str], Mapping[str, tuple[int, int]]]
