"""Every way into the service, and who gets how far: a route that is added needs its row here, or this fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from sharing_town import FIRM, PERSON, Town
from whole_town import MATTER, whole

from sharing.contract import lean
from sharing.registered import PATHS, VERBS


class Row(NamedTuple):
    """What is sent, and the statuses that are due."""

    due: tuple[int, ...]
    method: str
    path: str
    body: dict[str, object] | None = None
    form: str | None = None


# Who asks, in the order of the statuses: nobody; a department without a grant; one that may; one whose grant has ended;
# one that has used up its quota; one that may, for another matter than that of its grant; a key that was revoked.
ASKERS = ("nobody", "without a grant", "allowed", "ended", "used up", "other matter", "revoked")
ANYBODY = (200,) * 7
KNOWN = (401, 200, 200, 200, 200, 200, 401)  # what every department may see: the directory, its own affairs
GRANTED = (401, 403, 200, 403, 429, 403, 401)  # what needs a grant
NONE_OF_ITS_OWN = (401, 404, 404, 404, 404, 404, 401)  # what others have, and what there is not, look alike
FIRMS, PEOPLE, SERVED = "/v1/libraries/legal_person", "/v1/libraries/population", "/v1/resources/market.enterprise_base"
SOUGHT = {"equal": {"ent_name": "杭州𠮷野家餐饮有限公司"}}
CLAIM = {"key": FIRM, "claims": {"ent_name": "杭州𠮷野家餐饮有限公司"}}

ROWS = {
    "GET /healthz": Row(ANYBODY, "GET", "/healthz"),
    "GET /readyz": Row(ANYBODY, "GET", "/readyz"),
    "GET /metrics": Row(ANYBODY, "GET", "/metrics"),  # by address: asked from this machine
    "GET /docs": Row(ANYBODY, "GET", "/docs"),
    "GET /docs/{name}": Row(ANYBODY, "GET", "/docs/page.js"),
    "GET /openapi.json": Row(ANYBODY, "GET", "/openapi.json"),
    "GET /v1/receipt-keys": Row(ANYBODY, "GET", "/v1/receipt-keys"),
    "GET /.well-known/jwks.json": Row(ANYBODY, "GET", "/.well-known/jwks.json"),
    "POST /oauth/token": Row((401,) * 7, "POST", "/oauth/token", form="grant_type=client_credentials&client_id=1"),
    "GET /v1/resources": Row(KNOWN, "GET", "/v1/resources"),
    "GET /v1/resources/{resource}": Row(KNOWN, "GET", SERVED),
    "GET /v1/libraries": Row(KNOWN, "GET", "/v1/libraries"),
    "GET /v1/usage": Row(KNOWN, "GET", "/v1/usage"),
    "GET /v1/statements/{month}": Row(NONE_OF_ITS_OWN, "GET", "/v1/statements/2026-03"),
    "POST /v1/ingest/{resource}/batches/{batch_id}": Row(
        NONE_OF_ITS_OWN, "POST", "/v1/ingest/market.enterprise_base/batches/b1", {}
    ),
    "POST /v1/applications": Row((401, 422, 422, 422, 422, 422, 401), "POST", "/v1/applications", {"subject": "legal_person"}),
    "GET /v1/applications": Row(KNOWN, "GET", "/v1/applications"),
    "GET /v1/applications/{number}": Row(NONE_OF_ITS_OWN, "GET", "/v1/applications/77"),
    "POST /v1/applications/{number}/{act}": Row(
        NONE_OF_ITS_OWN, "POST", "/v1/applications/77/withdraw", {"why": "不再需要这项共享"}
    ),
    "GET /v1/grants": Row(KNOWN, "GET", "/v1/grants"),
    "GET /v1/grants/{grant}": Row(NONE_OF_ITS_OWN, "GET", "/v1/grants/app:77"),
    "GET /v1/directory": Row(KNOWN, "GET", "/v1/directory"),
    "GET /v1/directory:export": Row(KNOWN, "GET", "/v1/directory:export?format=csv"),
    "GET /v1/directory:sample": Row(KNOWN, "GET", "/v1/directory:sample?name=market.firms"),
    "GET /v1/directory/{name}": Row(KNOWN, "GET", "/v1/directory/market.firms"),
    **{
        f"{method} /api{version}/action/{{action}}": Row(KNOWN, method, f"/api{version}/action/package_list", body)
        for method, body in (("GET", None), ("POST", {}))
        for version in ("/3", "")
    },
    **{
        f"GET /v1/{kind}/{{name}}/records/{{key}}": Row(GRANTED, "GET", f"{path}/records/{FIRM}")
        for kind, path in (("libraries", FIRMS), ("resources", SERVED))
    },
    "POST /v1/libraries/{name}/records": Row(GRANTED, "POST", f"{PEOPLE}/records", {"key": PERSON}),
    "POST /v1/resources/{name}/records": Row(GRANTED, "POST", f"{SERVED}/records", {"key": FIRM}),
    "POST /v1/libraries/{name}/records:batch": Row(GRANTED, "POST", f"{PEOPLE}/records:batch", {"keys": [PERSON]}),
    "POST /v1/resources/{name}/records:batch": Row(GRANTED, "POST", f"{SERVED}/records:batch", {"keys": [FIRM]}),
    "POST /v1/libraries/{name}/records:query": Row(GRANTED, "POST", f"{FIRMS}/records:query", SOUGHT),
    "POST /v1/resources/{name}/records:query": Row(GRANTED, "POST", f"{SERVED}/records:query", SOUGHT),
    "POST /v1/libraries/{name}/records:verify": Row(GRANTED, "POST", f"{FIRMS}/records:verify", CLAIM),
    "POST /v1/resources/{name}/records:verify": Row(GRANTED, "POST", f"{SERVED}/records:verify", CLAIM),
    "POST /v1/webhooks": Row((401, 403, 201, 403, 201, 403, 401), "POST", "/v1/webhooks",
                             {"url": "https://203.0.113.5/told", "library": "legal_person"}),
    "GET /v1/webhooks": Row(KNOWN, "GET", "/v1/webhooks"),
    "GET /v1/webhooks/{number}": Row(NONE_OF_ITS_OWN, "GET", "/v1/webhooks/77"),
    "DELETE /v1/webhooks/{number}": Row(NONE_OF_ITS_OWN, "DELETE", "/v1/webhooks/77"),
    "POST /v1/webhooks/{number}/test": Row(NONE_OF_ITS_OWN, "POST", "/v1/webhooks/77/test"),
    # All grants for one matter together: each that refuses is told in the answer.
    "POST /v1/profile": Row((401, 403, 200, 200, 200, 403, 401), "POST", "/v1/profile", {"kind": "person", "key": PERSON}),
    "GET /v1/forms": Row(KNOWN, "GET", "/v1/forms"),
    "POST /v1/forms/{form}:fill": Row(NONE_OF_ITS_OWN, "POST", "/v1/forms/form-77:fill", {"key": PERSON}),
    # What a job counts and answers, it counts and answers later: whoever has used up today's quota goes on tomorrow.
    "POST /v1/{kind}/{name}/jobs": Row((401, 403, 202, 403, 202, 403, 401), "POST", f"{FIRMS}/jobs", form=f"key\n{FIRM}\n"),
    "GET /v1/jobs": Row(KNOWN, "GET", "/v1/jobs"),
    "GET /v1/jobs/{job}": Row(NONE_OF_ITS_OWN, "GET", f"/v1/jobs/{'0' * 32}"),
    "POST /v1/jobs/{job}/cancel": Row(NONE_OF_ITS_OWN, "POST", f"/v1/jobs/{'0' * 32}/cancel"),
    "GET /v1/jobs/{job}/result": Row(NONE_OF_ITS_OWN, "GET", f"/v1/jobs/{'0' * 32}/result"),
    "GET /v1/jobs/{job}/receipts": Row(NONE_OF_ITS_OWN, "GET", f"/v1/jobs/{'0' * 32}/receipts"),
    # These libraries keep no log of changes: whoever may, learns that.
    "GET /v1/libraries/{name}/changes": Row((401, 403, 404, 403, 404, 403, 401), "GET", f"{FIRMS}/changes"),
    "GET /v1/resources/{name}/changes": Row((401, 403, 404, 403, 404, 403, 401), "GET", f"{SERVED}/changes"),
}  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    built = whole(tmp_path_factory.mktemp("whole"))
    yield built
    built.desk.close()
    built.config.engine.dispose()


def ways_in(town: Town) -> set[str]:
    """Everything that is mounted, shown in the contract, or registered as an operation."""
    mounted = {
        f"{method} {route.path.replace(':path}', '}')}"
        for route in (*town.app.routes, *lean.routes)
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD"
    }
    paths = town.app.openapi()["paths"]
    told = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    verbs = {
        f"{verb.method} /v1/{kind}/{{name}}/records:{word}"
        for word, verb in VERBS.items()
        for kind in ("libraries", "resources")
    }
    return mounted | told | verbs


def test_every_way_in_has_its_row(town: Town) -> None:
    assert ways_in(town) - ROWS.keys() == set(), "say who may: add a row to ROWS"
    assert ROWS.keys() - ways_in(town) == set()
    for act in PATHS:
        assert [row for row in ROWS.values() if act.pattern.fullmatch(row.path.partition("?")[0])], act.operation


@pytest.mark.parametrize("way", ROWS)
def test_each_gets_as_far_as_it_may(town: Town, way: str) -> None:
    row = ROWS[way]
    sent = {"json": row.body} if row.body is not None else {}
    if row.form is not None:
        sent = {"content": row.form}
    media = {"Content-Type": "application/x-www-form-urlencoded"} if row.form is not None else {}
    right = {"X-Matter": MATTER, "X-Case": "case-1"}
    got = []
    for who, said in ((None, right), ("stranger", right), ("tax", right), ("bank", right), ("school", right),
                      ("tax", right | {"X-Matter": "other-matter"}), ("gone", right)):  # fmt: skip
        answer = town.ask(row.path, who, row.method, headers=media | said, **sent)
        got.append(answer.status_code)
        if answer.status_code >= 400 or who in {None, "stranger", "bank", "gone"}:
            assert [secret for secret in ("杭州𠮷野家", "张三", "欧阳") if secret in answer.text] == []
    assert dict(zip(ASKERS, got, strict=True)) == dict(zip(ASKERS, row.due, strict=True))
