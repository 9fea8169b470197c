"""Give the sharing API what it needs to take pushed batches: each resource's terms and secret, and who keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError

from connectors.options import Secrets
from connectors.services.push import terms
from runs import accept as keeping
from runs.resources import Resource
from schemas.errors import ShutongError
from sharing.errors import InternalError, SharingError, UnavailableError
from sharing.ingest_errors import BadBatchError, ConflictError
from sharing.ingest_terms import Counter, Pushed, Receipt, Reject
from shutong.deployment import Deployment
from shutong.storage import places
from warehouse.state import State
from warehouse.store import ObjectStore

KIND = "push"


def counters(deployment: Deployment, state: State, secrets: Secrets) -> Mapping[str, Counter]:
    """Who takes batches, by resource id: every resource whose source is of kind `push`."""
    pushed = [one for one in deployment.resources if one.kind == KIND]
    if not pushed:
        return {}
    store = places(deployment.settings, secrets).store()
    return {one.id: _counter(one, store, state, secrets) for one in pushed}


def _counter(resource: Resource, store: ObjectStore, state: State, secrets: Secrets) -> Counter:
    agreed = terms(resource.options)
    return Counter(
        department=resource.department,
        secret=_told(lambda: secrets.get(agreed.secret)),
        accept=lambda pushed: _kept(store, state, resource, pushed),
        algorithm=agreed.algorithm,
    )


def _told(secret: Callable[[], str]) -> Callable[[], str]:
    """The secret; a missing one is the operator's matter, which the caller learns as nothing but that."""

    def get() -> str:
        try:
            return secret()
        except (LookupError, ShutongError) as error:
            raise InternalError.of() from error

    return get


def _kept(store: ObjectStore, state: State, resource: Resource, pushed: Pushed) -> Receipt:
    batch = keeping.Pushed(pushed.batch, pushed.content_type, pushed.body, pushed.sha256)
    try:
        done = keeping.accept(store, state, resource, batch)
    except ShutongError as error:
        raise _refusal(error) from error
    except (OSError, SQLAlchemyError) as error:
        raise UnavailableError.keeping() from error
    return Receipt(
        resource=resource.id,
        batch=done.batch,
        run=done.run,
        rows=done.rows,
        sha256=done.sha256,
        accepted_at=done.accepted_at,
        already=done.already,
        rejected=done.rejected,
        rejects=[Reject(row=one.row, rule=one.rule, detail=one.detail) for one in done.rejects],
    )


def _refusal(error: ShutongError) -> SharingError:
    """What the sender is told: what is wrong with the batch as it is, what is wrong here by its request id only."""
    if isinstance(error, keeping.PushConflict):
        return ConflictError(error.code, zh=error.zh, en=error.en, fix_zh=error.fix_zh, fix_en=error.fix_en)
    if error.code.startswith("SRC-"):
        return BadBatchError(error.code, zh=error.zh, en=error.en, fix_zh=error.fix_zh, fix_en=error.fix_en)
    return UnavailableError.keeping() if error.retryable else InternalError.of()
