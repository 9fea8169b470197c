"""Every metered operation there is: those on one library by their verb, the others by their path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sharing import bulk, feed, forms_filling, looking_up, paging, profile, verifying
from sharing.operations import Path, Verb

VERBS: Final[Mapping[str, Verb]] = {"batch": looking_up.BATCH, "query": paging.QUERY, "verify": verifying.VERIFY}
PATHS: Final[tuple[Path, ...]] = (
    feed.CHANGES,
    bulk.RESULT,
    bulk.RECEIPTS,
    profile.PROFILE,
    forms_filling.FORMS,
    forms_filling.FILL,
)
