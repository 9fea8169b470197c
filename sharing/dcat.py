"""The directory in DCAT-AP 3, as JSON-LD or Turtle, for catalogues that harvest others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module

import orjson

from schemas.values import Json
from sharing.directory import Directory, by_code
from sharing.directory_refusals import RdfMissingError
from sharing.directory_values import AUTHORITY, Entry, Words

BASE = "urn:shutong:"
_CONTEXT: Mapping[str, Json] = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_EU = "http://publications.europa.eu/resource/authority/"
# The frequencies of the Publications Office, by the update cycles of the guide.
_FREQUENCIES = {
    "1": "CONT",
    "2": "DAILY",
    "3": "WEEKLY",
    "4": "MONTHLY",
    "5": "QUARTERLY",
    "6": "ANNUAL_2",
    "7": "ANNUAL",
    "8": "IRREG",
    "9": "NEVER",
}
_RIGHTS = {"1": "RESTRICTED", "2": "RESTRICTED", "3": "NON_PUBLIC"}


def json_ld(directory: Directory, base: str = BASE) -> bytes:
    """The directory as one JSON-LD document that names everything it needs; ids begin with `base`."""
    entries = by_code(directory)
    providers = {"": AUTHORITY} | {one.provider.id: one.provider.name for one in entries}
    agents = [_agent(base, name, words) for name, words in sorted(providers.items())]
    classes = {
        "/".join(one.core.classification.split("/")[: place + 1]): words
        for one in entries
        for place, words in enumerate(one.core.classes)
    }
    themes = [_theme(base, code, words) for code, words in sorted(classes.items())]
    graph: list[Json] = [
        _catalog(base, entries),
        {"@id": f"{base}themes", "@type": "skos:ConceptScheme", "dct:title": _in_both(_THEMES)},
        *agents,
        *themes,
        *(one for entry in entries for one in _dataset(base, entry)),
        *_concepts("frequency", "dct:Frequency", {_FREQUENCIES[one.core.update] for one in entries if one.core.update}),
        *_concepts("access-right", "dct:RightsStatement", {_right(one) for one in entries}),
    ]
    return orjson.dumps({"@context": dict(_CONTEXT), "@graph": graph}, option=orjson.OPT_INDENT_2) + b"\n"


def turtle(directory: Directory, base: str = BASE) -> bytes:
    """The same in Turtle. Raises RdfMissingError SHR-RDF where rdflib is not installed."""
    try:
        rdflib = import_module("rdflib")
    except ImportError:
        raise RdfMissingError.of() from None
    graph = rdflib.Graph()
    graph.parse(data=json_ld(directory, base), format="json-ld")
    written: bytes = graph.serialize(format="turtle", encoding="utf-8")
    return written


_THEMES = Words("信息资源分类", "Classes of information resources")
_TITLE = Words("信息资源目录", "Directory of information resources")
_ABOUT = Words("各部门信息资源与基础库的目录", "The directory of the departments' resources and of the base libraries")


def _catalog(base: str, entries: list[Entry]) -> Json:
    return {
        "@id": f"{base}catalog",
        "@type": "dcat:Catalog",
        "dct:title": _in_both(_TITLE),
        "dct:description": _in_both(_ABOUT),
        "dct:publisher": {"@id": f"{base}agent:authority"},
        "dcat:themeTaxonomy": {"@id": f"{base}themes"},
        "dcat:dataset": [{"@id": f"{base}dataset:{one.id}"} for one in entries],
    }


def _dataset(base: str, entry: Entry) -> list[Json]:
    core = entry.core
    about: dict[str, Json] = {
        "@id": f"{base}dataset:{entry.id}",
        "@type": "dcat:Dataset",
        "dct:title": _in_both(entry.listed.title),
        "dct:description": _in_both(core.abstract if core.abstract.zh else entry.listed.title),
        "dct:identifier": entry.code or entry.id,
        "dct:publisher": {"@id": f"{base}agent:{entry.provider.id or 'authority'}"},
        "dct:accessRights": {"@id": f"{_EU}access-right/{_right(entry)}"},
        "dcat:keyword": [_zh(one) for one in core.keywords],
        "dcat:distribution": {"@id": f"{base}distribution:{entry.id}"},
    }
    if core.update:
        about["dct:accrualPeriodicity"] = {"@id": f"{_EU}frequency/{_FREQUENCIES[core.update]}"}
    if core.published:
        about["dct:issued"] = {"@value": core.published, "@type": "xsd:date"}
    if core.classification:
        about["dcat:theme"] = {"@id": f"{base}theme:{core.classification}"}
    distribution: dict[str, Json] = {
        "@id": f"{base}distribution:{entry.id}",
        "@type": "dcat:Distribution",
        "dct:title": _in_both(entry.listed.title),
        "dcat:accessURL": {"@id": f"{base}v1/directory/{entry.id}"},
    }
    return [about, distribution]


def _agent(base: str, name: str, words: Words) -> Json:
    return {"@id": f"{base}agent:{name or 'authority'}", "@type": "foaf:Agent", "foaf:name": _in_both(words)}


def _theme(base: str, code: str, words: Words) -> Json:
    return {
        "@id": f"{base}theme:{code}",
        "@type": "skos:Concept",
        "skos:prefLabel": _in_both(words),
        "skos:notation": code,
        "skos:inScheme": {"@id": f"{base}themes"},
    }


def _concepts(list_: str, kind: str, used: Iterable[str]) -> Iterator[Json]:
    """What is used of a list of the Publications Office, said here so that nobody must fetch the list to know it."""
    for one in sorted(used):
        yield {"@id": f"{_EU}{list_}/{one}", "@type": [kind, "skos:Concept"], "skos:prefLabel": _en(one)}


def _right(entry: Entry) -> str:
    """Open to the public only where it is so without a condition; all else needs a grant."""
    if entry.core.public and not entry.core.open_condition.zh:
        return "PUBLIC"
    return _RIGHTS.get(entry.core.share, "RESTRICTED")


def _in_both(words: Words) -> Json:
    return [_zh(words.zh), _en(words.en)] if words.en else [_zh(words.zh)]


def _zh(text: str) -> Json:
    return {"@value": text, "@language": "zh"}


def _en(text: str) -> Json:
    return {"@value": text, "@language": "en"}
