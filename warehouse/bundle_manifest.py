"""What a bundle may say of itself, type by type: a signature says who wrote a manifest, not that it makes sense."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from warehouse.bundle_errors import BundleError, damaged
from warehouse.bundle_seal import PIECE, TAG

FORMAT = 1
_SHOWN = 9_999  # a greater format is not repeated
_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


def _instant(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("no offset")
    return text


Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Text = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
Id = Annotated[str, Field(max_length=190, pattern=r"^[a-z][a-z0-9_]*-[0-9]{8}-[0-9a-f]{12}$")]
Instant = Annotated[str, Field(max_length=40), AfterValidator(_instant)]
Table = Annotated[
    str, Field(max_length=255, pattern=r"^(records|landed|xref|history|said:\w[\w-]*(\.\w[\w-]*)+)$")
]  # fmt: skip


class _Member(BaseModel):
    model_config = _STRICT
    name: Annotated[str, Field(pattern=r"^data/[0-9]{6,9}$")]
    table: Table | Literal[""]
    kind: Literal["rows", "gone", "merge"]
    rows: Count
    size: Count
    plain: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = _STRICT
    table: Table
    rows: Count
    key: Annotated[tuple[Name, ...], Field(max_length=64)]
    sort: Annotated[tuple[Name, ...], Field(max_length=64)]
    whole: bool


class Manifest(BaseModel):
    """The manifest of a bundle in this version's format."""

    model_config = _STRICT
    format: Literal[1]
    id: Id
    library: Annotated[str, Field(max_length=128, pattern=r"^[a-z][a-z0-9_]*$")]
    standard: Name
    shape: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    previous: Id | None
    began: Literal[""] | Instant
    merged_at: Instant
    made_at: Instant
    by: Text
    signer: Text
    receiver: Text | None
    key: Text | None
    parts: Annotated[tuple[_Part, ...], Field(min_length=1, max_length=10_000)]
    members: Annotated[tuple[_Member, ...], Field(min_length=1, max_length=200_000)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """What must hold between its values."""
        kinds: dict[str, set[str]] = {one.table: set() for one in self.parts}
        if len(kinds) != len(self.parts) or "records" not in kinds:
            raise ValueError("a table twice, or no records")
        if (self.receiver is None) != (self.key is None):
            raise ValueError("a receiver and no key, or a key and no receiver")
        if [one.table for one in self.members if one.kind == "merge" or not one.table] != [""]:
            raise ValueError("not one member that says how it was merged")
        for one in self.members:
            pieces = max(1, -(-one.plain // PIECE)) if self.key is not None else 0
            if one.size != one.plain + TAG * pieces:
                raise ValueError(f"the sizes of {one.name}")
            if one.kind != "merge":
                if one.table not in kinds:
                    raise ValueError(f"{one.name} is of no table")
                kinds[one.table].add(one.kind)
        for part in self.parts:
            if kinds[part.table] != ({"rows"} if part.whole or not part.key else {"rows", "gone"}):
                raise ValueError(f"the members of {part.table}")
        return self


class _Contribution(BaseModel):
    model_config = ConfigDict(strict=True)
    resource: Annotated[str, Field(pattern=r"^\w[\w-]*(\.\w[\w-]*)+$")]
    department: Name
    table: Name
    order: tuple[Name, ...] | None


class _Words(BaseModel):
    model_config = ConfigDict(strict=True)
    changes: tuple[tuple[str, str], ...]
    decisions: tuple[tuple[str, str], ...]


class _Rules(BaseModel):
    model_config = ConfigDict(strict=True)
    key: Annotated[tuple[Name, ...], Field(min_length=1)]
    order: tuple[Name, ...]
    identifiers: tuple[Name, ...]
    fields: tuple[tuple[Name, Name, tuple[Name, ...]], ...]
    contributions: tuple[_Contribution, ...]
    words: _Words


class _Compared(BaseModel):
    model_config = _STRICT
    field: Name
    department: Name
    other: Name
    records: Count
    differing: Count


class _Told(BaseModel):
    model_config = ConfigDict(strict=True)
    records: Count
    compared: tuple[_Compared, ...]
    unlinked: dict[Name, Count]


class _Merge(BaseModel):
    model_config = _STRICT
    rules: _Rules
    told: _Told


class _Said(BaseModel):
    model_config = _STRICT
    rules: dict[str, JsonValue]
    told: dict[str, JsonValue]


class _Format(BaseModel):
    format: JsonValue = None


def manifest(content: bytes) -> Manifest:
    """The manifest that these bytes are; WH-BUNDLE-FORMAT or WH-BUNDLE-DAMAGED, which names the place."""
    try:
        found = _Format.model_validate_json(content).format
        if found == FORMAT:
            return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise _wrong("清单", "its manifest", error) from None
    if not isinstance(found, int) or isinstance(found, bool):
        raise damaged("清单没有写明格式", "its manifest does not say its format")
    shown = found if 0 <= found <= _SHOWN else "?"
    raise BundleError(
        "WH-BUNDLE-FORMAT",
        zh=f"数据包的格式为 {shown}，本版本只认识 {FORMAT}",
        en=f"the bundle has format {shown}, this version knows {FORMAT} only",
        fix_zh="升级本部署的数通，或请发送方用相同版本导出",
        fix_en="Upgrade Shutong here, or ask the sender to export with the same version",
    )


def merged(content: bytes) -> Mapping[str, Mapping[str, JsonValue]]:
    """How the library was merged, `rules` and what was `told`, as its member has it; WH-BUNDLE-DAMAGED."""
    try:
        _Merge.model_validate_json(content)
        return _Said.model_validate_json(content).model_dump()
    except ValidationError as error:
        raise _wrong("归并说明", "what it says of the merge", error) from None


def _wrong(zh: str, en: str, error: ValidationError) -> BundleError:
    """Names the place and the rule, never the value: it may be personal or without end."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(one)[:64] for one in first["loc"]) or "-"
    return damaged(f"{zh}的 {place} 不合规（{first['type']}）", f"{en} has a wrong {place} ({first['type']})")
