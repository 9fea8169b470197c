"""Pick records out of an XML text as it streams by, one element at a time, without entities and without a DTD."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from connectors.rest_json import written

DEEPEST = 100  # elements inside each other within one record
_PATHS = 20  # element paths remembered for the message that there is no record

Record = dict[str, str | None]


class DeclarationError(Exception):
    """The text declares entities or elements of its own, or uses entities that a DTD elsewhere would declare."""


@dataclass(slots=True)
class Element:
    """An element being read: its children by name in order, and the text between them."""

    name: str
    attributes: dict[str, str]
    texts: list[str] = field(default_factory=list)
    children: dict[str, list[object]] = field(default_factory=dict)


@dataclass(slots=True)
class Odd:
    """A record that is not kept whole: `size` bytes are too many, or it is nested too `deep`."""

    size: int = 0
    deep: bool = False


class Records:
    """Feed it UTF-8; the records that have ended by then are in `found`, with the lines they begin on."""

    def __init__(self, path: str, longest: int) -> None:
        self._wanted = [part for part in path.split("/") if part]
        self._from_root, self._longest = path.startswith("/"), longest
        self._path: list[str] = []
        self._open: list[Element] = []
        self._depth = self._line = 0
        self._odd: Odd | None = None
        self._size = 0
        self.found: list[tuple[int, Record, Odd | None]] = []
        self.seen: dict[str, None] = {}
        self.matched = False  # whether a record, or the element that would hold records, was seen
        self.any = False  # whether a record was seen
        self._beside = ""  # the element beside records that began last, until something begins inside it
        self._others: dict[str, int] = {}  # how many elements with something inside them stand there, by name
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._doctype
        parser.SkippedEntityHandler = self._entity
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def feed(self, data: bytes, *, last: bool) -> None:
        """Read on; raises expat.ExpatError where it is no XML and DeclarationError for a DTD with content."""
        self._parser.Parse(data, last)

    def _doctype(self, _name: str, _system: str | None, _public: str | None, has_internal: int) -> None:
        if has_internal:
            raise DeclarationError

    def _entity(self, _name: str, _is_parameter: bool) -> None:  # noqa: FBT001 - expat's way of calling
        raise DeclarationError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(":")[2])
        if self._depth:
            self._inside(name, attributes)
        elif self._is_record():
            self.matched = self.any = True
            self._depth, self._size, self._line, self._odd = 1, 0, self._parser.CurrentLineNumber, None
            self._open = [Element(self._path[-1], attributes)]
            self._parser.CharacterDataHandler = self._text
        else:
            self._outside()
        self.matched = self.matched or self._may_hold(self._path)

    def _is_record(self) -> bool:
        if self._from_root:
            return self._path == self._wanted
        return self._path[-len(self._wanted) :] == self._wanted

    def _outside(self) -> None:
        if len(self.seen) < _PATHS:
            self.seen["/".join(self._path)] = None
        if self._may_hold(self._path[:-1]):
            self._beside = self._path[-1]
        elif self._beside and self._may_hold(self._path[:-2]) and len(self._others) < _PATHS:
            self._others[self._beside] = self._others.get(self._beside, 0) + 1
            self._beside = ""

    @property
    def renamed(self) -> bool:
        """True when no record stands where they should, but several others of one name with fields of their own."""
        return not self.any and max(self._others.values(), default=0) > 1

    def _may_hold(self, path: list[str]) -> bool:
        """True at the element around records, when the path says which one that is."""
        around = self._wanted[:-1]
        return bool(around) and (path == around if self._from_root else path[-len(around) :] == around)

    def _inside(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            self._odd = self._odd or Odd(deep=True)
        if self._odd is None:
            self._open.append(Element(name.rpartition(":")[2], attributes))
            self._weigh(sum(map(len, attributes.values())))

    def _text(self, text: str) -> None:
        if self._odd is None:
            self._open[-1].texts.append(text)
        self._weigh(len(text) if text.isascii() else len(text.encode()))

    def _weigh(self, size: int) -> None:
        self._size += size
        if self._size > self._longest:
            self._odd = self._odd or Odd()
            self._odd.size = self._size

    def _end(self, _name: str) -> None:
        self._path.pop()
        if not self._depth:
            return
        self._depth -= 1
        if self._odd is None:
            ended = self._open.pop()
            if self._depth:
                self._open[-1].children.setdefault(ended.name, []).append(_value(ended))
            else:
                self.found.append((self._line, _columns(ended), None))
        elif not self._depth:
            begun = self._open[0]
            del self._open[1:]
            self.found.append((self._line, _columns(begun), self._odd))
        if not self._depth:
            self._parser.CharacterDataHandler = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A child without children of its own: its text, and its attributes."""

    text: str | None
    attributes: dict[str, str]


def _value(element: Element) -> object:
    """A child as its record sees it: a Leaf, or what becomes JSON."""
    text = "".join(element.texts)
    attributes = {name: of for name, of in element.attributes.items() if not name.startswith("xmlns")}
    if not element.children:
        nil = [name for name, of in attributes.items() if name.rpartition(":")[2] == "nil" and of in {"true", "1"}]
        for name in nil:
            del attributes[name]
        return Leaf(None if nil else text, attributes)
    made: dict[str, object] = {f"@{name}": of for name, of in attributes.items()}
    made |= {name: _plain(values) for name, values in element.children.items()}
    return made | ({"#text": text} if text.strip() else {})


def _plain(values: list[object]) -> object:
    """Children of one name as JSON values: a list when there are several."""
    made = [_of_leaf(one) if isinstance(one, Leaf) else one for one in values]
    return made[0] if len(made) == 1 else made


def _of_leaf(leaf: Leaf) -> object:
    if not leaf.attributes or leaf.text is None:
        return leaf.text
    return {f"@{name}": of for name, of in leaf.attributes.items()} | {"#text": leaf.text}


def _columns(record: Element) -> Record:
    """`@attribute`, `child`, `child@attribute`, and `#text` for text of the record itself."""
    made: Record = {f"@{name}": of for name, of in record.attributes.items() if not name.startswith("xmlns")}
    for name, values in record.children.items():
        one = values[0]
        if len(values) == 1 and isinstance(one, Leaf):
            made[name] = one.text
            made |= {f"{name}@{of}": text for of, text in one.attributes.items()}
        else:
            made[name] = written(_plain(values))
    text = "".join(record.texts)
    return made | ({"#text": text} if text.strip() else {})
