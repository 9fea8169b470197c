"""Parse a YAML file into nodes that know their line, or say in which line it is not YAML and what to write instead."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as Raw

from schemas.errors import StandardError

_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_CORE + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq"))

# What the parser complains of (in its own words) → what to write instead.
_SYNTAX_FIXES = (
    ("\\t", "缩进请用空格，不要用制表符 (Tab)", "Indent with spaces, not with tabs"),
    (
        "mapping values are not allowed",
        "值中含有“: ”时请加引号 (例如 zh: '登记: 变更')；若是下一个键，请与同层的键左对齐",
        "Quote a value that holds ': ' (for example en: 'a: b'); align a key with the keys of its level",
    ),
    (
        "alias",
        "以 * 开头的值请加引号，例如 schedule: '*/2 * * * *'",
        "Quote a value that starts with *, for example schedule: '*/2 * * * *'",
    ),
    (
        "cannot start any token",
        "以特殊字符 (@ % ` 等) 开头的值请加引号，例如 name: '@x'",
        "Quote a value that starts with a special character (@ % `), for example name: '@x'",
    ),
    ("quoted scalar", "引号没有闭合，请补上结束的引号", "Close the quotation mark"),
    ("expected ',' or", "方括号或花括号没有闭合，或缺少逗号", "Close the bracket, or add the missing comma"),
    ("another document", "一个文件只写一份内容，请删除 --- 行", "Keep one document in a file: remove the line ---"),
    ("block end", "同一层的键要左对齐，列表项要以“- ”开头", "Align the keys of one level; start list items with '- '"),
    ("could not find expected ':'", "键后面要写“: 值”，例如 type: text", "Write 'key: value', for example type: text"),
)


def compose(path: Path) -> Raw | None:
    """The root node of a YAML file; None when it is empty.

    Raises StandardError: STD-FILE (missing, not UTF-8), STD-YAML-SYNTAX with line and column, and STD-YAML-DUPLICATE,
    STD-YAML-TAG, STD-YAML-ANCHOR for what hides from a reader what the file says.
    """
    return composed(path, _source(path))


def composed(path: Path, source: str) -> Raw | None:
    """The root node of YAML text; `path` says in errors where it stands, see `compose`."""
    root = _compose(path, source)
    if root is not None:
        _inspect(path, root, set())
    return root


def where(file: Path, raw: Raw) -> str:
    """`file:line` of a node."""
    return f"{file}:{raw.start_mark.line + 1}"


def nearest(written: str, choices: Collection[str]) -> str | None:
    """The choice spelled most like what was written; None when nothing is near."""
    folded = {choice.casefold(): choice for choice in choices}
    close = get_close_matches(written.casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def _source(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise StandardError(
            "STD-FILE",
            zh=f"{path}:{line}：文件不是 UTF-8 编码",
            en=f"{path}:{line}: the file is not UTF-8",
            fix_zh="请在编辑器中“另存为 UTF-8”",
            fix_en="Save it as UTF-8 in your editor",
        ) from error
    except OSError as error:
        beside = sorted(one.name for one in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        near = nearest(path.name, beside)
        raise StandardError(
            "STD-FILE",
            zh=f"读不了文件 {path}（{error.strerror}）",
            en=f"cannot read {path} ({error.strerror})",
            fix_zh=f"是否指 {near}？" if near else "请检查路径和权限",
            fix_en=f"Did you mean {near}?" if near else "Check the path and its permissions",
        ) from error


def _compose(path: Path, source: str) -> Raw | None:
    try:
        root: Raw | None = YAML(typ="safe", pure=True).compose(source)
    except MarkedYAMLError as error:
        mark, problem = error.problem_mark, str(error.problem or "")
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = f"{error.context or ''} {problem}"
        raise _syntax(f"{path}:{line}:{column}", said, problem) from error
    except YAMLError as error:
        raise _syntax(f"{path}:1", str(error), "a character that cannot stand in YAML") from error
    except RecursionError as error:
        raise _syntax(f"{path}:1", "", "nested too deeply") from error
    return root


def _syntax(place: str, said: str, problem: str) -> StandardError:
    fixes = ((zh, en) for sign, zh, en in _SYNTAX_FIXES if sign in said)
    fix_zh, fix_en = next(
        fixes, ("请检查这一行的缩进、冒号和引号", "Check indentation, colons and quotes on this line")
    )
    return StandardError(
        "STD-YAML-SYNTAX",
        zh=f"{place}：不是合法的 YAML（{problem}）",
        en=f"{place}: this is not YAML ({problem})",
        fix_zh=fix_zh,
        fix_en=fix_en,
    )


def _inspect(path: Path, raw: Raw, seen: set[int]) -> None:
    """Refuse tags, anchors used twice, duplicate keys and keys that are not plain text, anywhere in the file."""
    if id(raw) in seen:
        raise _refused("STD-YAML-ANCHOR", where(path, raw), "锚点 (&) 与引用 (*)", "an anchor (&) with its alias (*)")
    seen.add(id(raw))
    if str(raw.tag) not in _PLAIN_TAGS:
        raise _refused("STD-YAML-TAG", where(path, raw), f"标签 {raw.tag}", f"the tag {raw.tag}")
    if isinstance(raw, ScalarNode):
        raw.value = _whole(path, raw)
    if isinstance(raw, SequenceNode):
        for item in raw.value:
            _inspect(path, item, seen)
    if isinstance(raw, MappingNode):
        written: dict[str, int] = {}
        for key, value in raw.value:
            if not isinstance(key, ScalarNode):
                raise _refused("STD-YAML-TAG", where(path, key), "不是文字的键", "a key that is not text")
            key.value = _whole(path, key)
            if key.value in written:
                raise StandardError(
                    "STD-YAML-DUPLICATE",
                    zh=f"{where(path, key)}：键“{key.value}”重复，前一处在第 {written[key.value]} 行",
                    en=f"{where(path, key)}: the key '{key.value}' is repeated; it stands in line {written[key.value]}",
                    fix_zh="请只保留一处",
                    fix_en="Keep one of the two",
                )
            written[key.value] = key.start_mark.line + 1
            _inspect(path, value, seen)


def _whole(path: Path, raw: ScalarNode) -> str:
    """The text of a scalar; a character written as two escapes, as JSON writes 𠮷, becomes one."""
    try:
        return str(raw.value).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise _syntax(where(path, raw), "", "half a character, written as an escape") from error


def _refused(code: str, place: str, what_zh: str, what_en: str) -> StandardError:
    return StandardError(
        code,
        zh=f"{place}：这里不能使用{what_zh}",
        en=f"{place}: {what_en} cannot be used here",
        fix_zh="请把内容直接写出来；以 * & ! 开头的文字请加引号",
        fix_en="Write the value out; quote text that starts with *, & or !",
    )
