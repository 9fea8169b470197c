"""Whatever is sent, the service answers as its contract says: Schemathesis over every operation there is."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from sharing_town import FIRM, PERSON
from whole_town import MATTER, whole

EXAMPLES = 40 if os.environ.get("SHUTONG_PROVE") == "1" else 1
# Names and keys that exist, so that more is reached than 404; every third call keeps what was made up.
REAL = {
    "name": ("legal_person", "population", "market.enterprise_base", "market.firms"), "key": (FIRM, PERSON),
    "resource": ("market.enterprise_base",), "grant": ("tax-people",), "month": ("2026-03",),
    "action": ("package_list", "package_show", "package_search"),
}  # fmt: skip
# The contract tells the shape of a call, not what a key, a date or a matter must be: those are refused with 422. What
# goes against the shape may be let pass, such as a parameter that nobody knows.
LEFT_OUT = [positive_data_acceptance, negative_data_rejection]
TOLD = ("/v1/jobs", "/v1/{kind}", "/v1/webhooks", "/v1/session", "/v1/statements", "/v1/profile", "/v1/forms")


def untold(paths: dict[str, dict[str, dict[str, dict]]]) -> list[str]:
    """Operations whose answer the contract does not describe."""
    return [
        f"{method} {path}"
        for path, operations in paths.items()
        if path.startswith(TOLD)
        for method, operation in operations.items()
        for status, answer in operation["responses"].items()
        if status.startswith("2") and not all(one.get("schema") for one in answer["content"].values())
    ]


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")  # of rdflib's own reader of JSON-LD
@pytest.mark.parametrize(
    "mode",
    [GenerationMode.POSITIVE, pytest.param(GenerationMode.NEGATIVE, marks=pytest.mark.prove)],
    ids=["as told", "otherwise"],
)
def test_every_operation_holds_its_contract_and_fails_at_nothing(tmp_path: Path, mode: GenerationMode) -> None:
    town = whole(tmp_path)
    schema = schemathesis.openapi.from_asgi("/openapi.json", town.app)
    turns, failed, seen = itertools.count(), [], set()
    many = EXAMPLES if mode is GenerationMode.POSITIVE else max(1, EXAMPLES // 2)
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=many, deadline=None, database=None, phases=[Phase.generate], derandomize=True,
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def run(case: schemathesis.Case) -> None:
            turn = next(turns)
            for name in case.path_parameters or {}:
                if name in REAL and turn % 3:
                    case.path_parameters[name] = REAL[name][turn % len(REAL[name])]
            if turn % 3 == 1:
                for said in ("X-Grant", "X-Case", "X-Client-Request-Id"):
                    case.headers.pop(said, None)
                case.headers["X-Matter"] = MATTER
                case.query.pop("grant", None)
            response = case.call(headers={"X-Api-Key": town.keys["tax"]} if turn % 7 else {})
            seen.add((case.operation.label, response.status_code))
            try:
                case.validate_response(response, excluded_checks=LEFT_OUT)
            except (Failure, FailureGroup) as error:
                told = getattr(error, "exceptions", [error])
                failed.append(f"{case.operation.label} {response.status_code}: {[str(one)[:300] for one in told]}")
            if response.status_code >= 500:
                failed.append(f"{case.operation.label} {response.status_code}: {response.text[:300]}")

        try:
            run()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # nothing of it can be wrong
    town.desk.close()
    town.config.engine.dispose()
    assert failed == []
    assert len({label for label, _ in seen}) > 15
    assert untold(schema.raw_schema["paths"]) == []
    assert town.desk.ledger.verify().sound
