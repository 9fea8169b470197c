"""The tables of a library as a bundle names them, and what a standard's digest says of them."""

from __future__ import annotations

import hashlib
import json
import re

from schemas.standard import Standard
from warehouse.bundle_errors import damaged
from warehouse.library_job import BASE

RECORDS, LANDED, XREF, HISTORY = "records", "landed", "xref", "history"
SAID = "said:"  # before the resource whose rows were merged: who said what
PLACE = ("_batch", "_row")  # tell the rows of a resource apart
_ENDINGS = {RECORDS: "", LANDED: "_attr", XREF: "_xref", HISTORY: "_history"}


def base_tables(library: str) -> dict[str, str]:
    """The library's own tables by their names in a bundle, the records last: they are committed last."""
    return {part: f"{BASE}.{library}{_ENDINGS[part]}" for part in (LANDED, XREF, HISTORY, RECORDS)}


def said_table(library: str, resource: str) -> str:
    """Where rows that were merged elsewhere stand here; WH-BUNDLE-DAMAGED for what can name no resource."""
    if not re.fullmatch(r"\w[\w-]*(\.\w[\w-]*)+", resource):
        raise damaged("资源名不合规", "it names a resource as none can be named")
    return f"said_{library}.{resource.replace('.', '__')}"


def table_of(library: str, part: str) -> str:
    """The table that a part of a bundle is in a deployment that takes it."""
    if part.startswith(SAID):
        return said_table(library, part.removeprefix(SAID))
    if part not in _ENDINGS:
        raise damaged("清单中有不认识的表", "it lists a table of a kind that does not exist")
    return base_tables(library)[part]


def shape(standard: Standard) -> str:
    """A digest of what must be the same for records to mean the same: key, identifiers, names and types of fields."""
    told = [standard.key, standard.identifiers, [(one.name, one.type, one.length) for one in standard.fields]]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:16]
