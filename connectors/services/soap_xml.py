"""Take SOAP answers apart without changing a character: text stays text, whatever type the schema gives it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree  # type: ignore[import-untyped]

from connectors.errors import SourceError
from connectors.rest_json import found
from connectors.services.answers import Passing

_ENVELOPES = ("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope")
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)")
_RECEIVER = ("server", "receiver")


@dataclass(frozen=True, slots=True)
class Fault:
    """A SOAP fault of version 1.1 or 1.2; `receiver`: the service's own trouble, which may pass."""

    code: str
    reason: str
    receiver: bool


def declared_in(content: bytes) -> str:
    """The encoding an XML declaration names; empty without one."""
    found = _ENCODING.match(content[:200].removeprefix(b"\xef\xbb\xbf").lstrip())
    return found[1].decode("ascii", "replace").lower() if found else ""


def tree_of(text: str, where: str, shown: Callable[[], str]) -> etree._Element:
    """The XML of an answer; Passing when it ends too early, SRC-SOAP-XML when it is none, or brings entities."""
    plain = _DECLARATION.sub("", text.lstrip("\ufeff"), count=1)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        tree = etree.fromstring(plain, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        if _ends_early(plain.strip()):
            raise Passing("the XML ends too early") from None
        raise _no_xml(where, str(error), shown()) from None
    if tree.getroottree().docinfo.doctype:
        raise _no_xml(where, "it has a DOCTYPE", shown())
    return tree


def body_of(envelope: etree._Element, where: str) -> etree._Element:
    """The first element inside the envelope's body."""
    body = next((one for one in envelope if one.tag in _tags("Body")), None)
    inside = next((one for one in body if isinstance(one.tag, str)), None) if body is not None else None
    if inside is None:
        raise _no_xml(where, f"<{etree.QName(envelope).localname}> has no SOAP body", "")
    return inside


def fault_of(content: bytes) -> Fault | None:
    """The fault an answer holds, or None; content that is no XML holds none."""
    if b"Fault" not in content:
        return None
    try:
        tree = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return None
    fault = next((one for one in tree.iter(*_tags("Fault"))), None)
    if fault is None:
        return None
    named = {etree.QName(one).localname: one for one in fault if isinstance(one.tag, str)}
    if "faultcode" in named:
        code, reason = _text(named["faultcode"]), _text(named.get("faultstring"))
    else:
        values = [_text(one) for one in named["Code"].iter("{*}Value")] if "Code" in named else [""]
        code, reason = ".".join(values), _text(named.get("Reason"))
    receiver = code.split(".", 1)[0].rpartition(":")[2].lower() in _RECEIVER
    return Fault(code, reason, receiver)


def value_of(element: etree._Element) -> object:
    """An element as a value: a dict of its children by local name, a list where one repeats, else its exact text.

    Nil is null; attributes stand under `@name`. Namespaces are left out: a department's records have one.
    """
    if element.get(_NIL) in ("true", "1"):
        return None
    made: dict[str, object] = {
        f"@{etree.QName(name).localname}": str(value) for name, value in element.attrib.items() if name != _NIL
        and not str(name).startswith("{http://www.w3.org/2001/XMLSchema-instance}")
    }  # fmt: skip
    children = [one for one in element if isinstance(one.tag, str)]
    if not children and not made:
        return "".join(element.itertext())
    if not children:
        return made | {"#text": "".join(element.itertext())}
    for child in children:
        name = etree.QName(child).localname
        value = value_of(child)
        if name not in made:
            made[name] = value
        elif isinstance(made[name], _Repeated):
            made[name].append(value)  # type: ignore[attr-defined]  # checked in the line before
        else:
            made[name] = _Repeated([made[name], value])
    return made


class _Repeated(list[object]):
    """The values of an element that stands more than once."""


def listed_at(value: object, path: str) -> list[object]:
    """The repeated element at a path: all, the only one, or none; KeyError when what should hold it is absent."""
    above, _, name = path.rpartition(".")
    holder = found(value, above)
    if holder is None or holder == "":
        return []
    if not isinstance(holder, dict):
        raise KeyError(path)
    records = holder.get(name, _Repeated())
    return records if isinstance(records, list) else [records]


def _tags(name: str) -> tuple[str, ...]:
    return tuple(f"{{{space}}}{name}" for space in _ENVELOPES)


def _text(element: etree._Element | None) -> str:
    return " ".join("".join(element.itertext()).split()) if element is not None else ""


def _ends_early(plain: str) -> bool:
    root = re.match(r"<([\w.:-]+)", plain)
    return not plain or (root is not None and not plain.endswith((f"</{root[1]}>", "/>")))


def _no_xml(where: str, why: str, shown: str) -> SourceError:
    return SourceError(
        "SRC-SOAP-XML",
        zh=f"{where} 的应答不是可用的 SOAP（{why}）：{shown}",
        en=f"the answer of {where} is no usable SOAP ({why}): {shown}",
        fix_zh="请来源部门检查接口；本次不采集",
        fix_en="Nothing was taken; ask the department to check the interface.",
    )
