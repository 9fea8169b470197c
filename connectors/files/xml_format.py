"""Read XML files: one element of a path is one record, its children and attributes are columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast
from xml.parsers import expat

import pyarrow as pa

from connectors.errors import SourceError, changed
from connectors.files.encoding import AUTO, ENCODINGS, blocks, encoding_checks, encoding_option
from connectors.files.format import MAX_FIELD_BYTES
from connectors.files.names import Names
from connectors.files.xml_records import DEEPEST, DeclarationError, Odd, Record, Records
from connectors.options import Options, wrong
from connectors.rows import Reject, arrow_batch, as_json
from schemas.values import Batch, Check

OPTIONS = ("record", "encoding", "max_field_bytes")
PATTERNS = ("*.xml", "*.xml.gz")
_HEAD = 1 << 10  # bytes in which a declaration stands
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
# What no XML may hold is carried as characters of private use, which no text has, until the record is made.
_CARRIED = 0x10FF00
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xed[\xa0-\xbf]|\xef\xbf[\xbe\xbf]")
_SURROGATE = 0xDC00
_CARRY = {byte: _CARRIED + byte for byte in range(0x20) if byte not in b"\t\n\r"}
_CARRY |= {_SURROGATE + byte: _CARRIED + byte for byte in range(0x100)} | dict.fromkeys((0xFFFE, 0xFFFF), _CARRIED)
_SHOWN = re.compile("[\U0010ff00-\U0010ffff]")


def open_format(options: Options) -> XmlFormat:
    """XML; `record` is the path of one record's element, from the root with a leading slash: `/list/firm`, `firm`."""
    path = options.text("record")
    if not path.strip("/"):
        raise wrong("source.record", "须为元素路径", "must be a path of elements")
    return XmlFormat(path, encoding_option(options, AUTO), options.whole("max_field_bytes", MAX_FIELD_BYTES, least=1))


class XmlFormat:
    """XML whose encoding is what it declares unless the option says otherwise; namespaces do not matter."""

    patterns: tuple[str, ...] = PATTERNS

    def __init__(self, path: str, encoding: str, longest: int) -> None:
        self._path, self._encoding, self._longest = path, encoding, longest

    def batches(self, file: BinaryIO, name: str, size: int) -> Iterator[Batch]:
        """The records of one file; SRC-FILE-XML when it is no whole XML."""
        names, first = Names(name), 1
        records = Records(self._path, self._longest)
        for last, data in self._fed(file):
            try:
                records.feed(data, last=last)
            except expat.ExpatError as error:
                raise _broken(name, error, empty=not records.seen and not records.matched) from error
            except DeclarationError:
                raise _declares(name) from None
            if last and ((not records.matched and len(records.seen) > 1) or records.renamed):
                raise changed(("元素", "element"), name, [self._path], list(records.seen))
            while len(records.found) >= size or (last and (records.found or first == 1)):
                yield _batch(records.found[:size], names, first, self._longest)
                first += size
                del records.found[:size]

    def checks(self, head: bytes) -> list[Check]:
        """Which encoding is read and why."""
        codec = self._codec(head)
        if codec == AUTO or self._encoding != AUTO:
            return encoding_checks(self._encoding, head)
        zh, en = f"编码：{codec}，按 XML 声明", f"encoding: {codec}, as the XML declares"
        return [Check("encoding", ok=True, zh=zh, en=en)]

    def _codec(self, head: bytes) -> str:
        """What is to be read: the option, or what the XML declares, or AUTO where it declares nothing."""
        said = _DECLARED.match(head.removeprefix(b"\xef\xbb\xbf"))
        if self._encoding != AUTO or said is None:
            return self._encoding
        declared = said.group(1).decode().lower()
        if declared not in ENCODINGS:
            zh, en = f"须写明：XML 声明为 {declared}", f"must be written: the XML declares {declared}"
            raise wrong("source.encoding", zh, en, tuple(ENCODINGS))
        # What declares UTF-16 and could be read to here as ASCII is not UTF-16.
        return AUTO if ENCODINGS[declared].startswith("utf-16") else ENCODINGS[declared]

    def _fed(self, file: BinaryIO) -> Iterator[tuple[bool, bytes]]:
        """The text as UTF-8 that a parser takes, and whether it is the last of it."""
        head = file.read(_HEAD)
        whole = cast("BinaryIO", _Again(head, file))
        for data in blocks(whole, self._codec(head)):
            yield False, _carried(data)
        yield True, b""


class _Again:
    """A file whose beginning was read already."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head, self._file = head, file

    def read(self, size: int) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or self._file.read(size)


def _carried(data: bytes) -> bytes:
    if _FORBIDDEN.search(data) is None:
        return data
    return data.decode("utf-8", "surrogatepass").translate(_CARRY).encode("utf-8", "replace")


def _visible(text: str) -> str:
    return _SHOWN.sub(lambda match: f"\\x{ord(match.group()) - _CARRIED:02X}", text)


def _batch(found: list[tuple[int, Record, Odd | None]], names: Names, first: int, longest: int) -> Batch:
    rejects: dict[int, Reject] = {}
    kept: list[Mapping[str, str | None]] = []
    for at, (line, record, odd) in enumerate(found):
        zh = en = ""
        rule, shown = "row_shape", record
        if odd is not None and odd.deep:
            zh, en = f"元素嵌套超过 {DEEPEST} 层", f"elements are nested deeper than {DEEPEST}"
        elif odd is not None:
            rule = "field_size"
            zh = f"{odd.size} 字节，超过 max_field_bytes（{longest}）"
            en = f"{odd.size} bytes are more than max_field_bytes ({longest})"
        elif any(value and _SHOWN.search(value) for value in record.values()):
            shown = {name: value and _visible(value) for name, value in record.items()}
            rule, zh, en = "bad_bytes", "含无法解码的字节或控制字符", "undecodable bytes or control characters"
        if not names.add(shown):
            zh, en = f"字段名超过 {names.most} 个", f"more than {names.most} field names"
        if en:
            line_ = as_json(list(shown), list(shown.values()))
            rejects[at] = Reject(rule, f"第 {line} 行起：{zh} | from line {line}: {en}", line_)
        kept.append(shown)
    columns = [pa.array([record.get(name) for record in kept], pa.string()) for name in names.known]
    return arrow_batch(names.known, columns, len(kept), first, rejects)


def _broken(name: str, error: expat.ExpatError, *, empty: bool) -> SourceError:
    zh, en = f"不是完整的 XML：{error}", f"is no whole XML: {error}"
    if empty and error.code == expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]:
        zh, en = "没有内容", "is empty"
    return SourceError(
        "SRC-FILE-XML",
        zh=f"{name} {zh}",
        en=f"{name} {en}",
        fix_zh="本次不采集；请来源部门重新投放该文件",
        fix_en="Nothing was taken; ask the department to drop the file again.",
    )


def _declares(name: str) -> SourceError:
    return SourceError(
        "SRC-FILE-XML-DTD",
        zh=f"{name} 自带 DTD 声明，或使用了 DTD 中的实体；实体可用于攻击，不予读取",
        en=f"{name} declares a DTD of its own, or uses entities of one; entities can be an attack and are not read",
        fix_zh="请来源部门投放不带 <!DOCTYPE …> 的文件",
        fix_en="Ask the department for a file without <!DOCTYPE …>.",
    )
