"""ETags 实体标签: a look-up whose answer would be the one the caller has is answered in a few bytes, and counted."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

import orjson

from sharing.calls import Call
from sharing.grants import Plan
from sharing.problems import Answer

NOT_MODIFIED: Final = 304
_MOST: Final = 10_000  # plans whose newest tag is remembered


def version_of(plan: Plan) -> bytes:
    """What tells one wording of a grant from every other: whatever decides which rows and fields are seen, and how."""
    grant = plan.grant
    told = [
        grant.department, grant.subject, grant.id, grant.fields, sorted(grant.clear), sorted(grant.token), plan.masked,
        sorted((name, list(values)) for name, values in grant.rows.items()),
    ]  # fmt: skip
    return hashlib.sha256(orjson.dumps(told)).digest()


class Tags:
    """Tags of look-ups: each is of the generation, the wording of the grant and the fields; the URL says the key.

    They are weak, since the answer's `request_id` differs each time, and keyed: nobody learns a grant's rows from one.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = hashlib.sha256(b"shutong etags" + secret).digest()
        self._known: dict[int, tuple[Plan, object, list[str], bytes]] = {}

    def of(self, plan: Plan, call: Call) -> bytes:
        """The tag of the answer to a call under the plan."""
        held = self._known.get(id(plan))
        if held is not None and held[0] is plan and held[1] == call.generation and held[2] == call.names:
            return held[3]
        told = version_of(plan) + orjson.dumps([call.generation, call.names])
        digest = hashlib.blake2b(told, digest_size=16, key=self._key).digest()
        tag = b'W/"' + base64.urlsafe_b64encode(digest).rstrip(b"=") + b'"'
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[id(plan)] = plan, call.generation, call.names, tag
        return tag

    def tagged(self, answer: Answer, plan: Plan | None, call: Call, known: bytes | None) -> Answer:
        """The answer with its tag; nothing but the tag where it is among those the caller says it has.

        `known` is If-None-Match as it came. What was looked up is charged and recorded either way.
        """
        if plan is None:
            return answer
        header = b"etag", self.of(plan, call)
        if known is None:
            return answer.headed(*header)
        if known.strip() == b"*" or header[1][2:] in {one.strip().removeprefix(b"W/") for one in known.split(b",")}:
            return Answer(NOT_MODIFIED, b"", headers=(header,))
        return answer.headed(*header)
