"""Who is calling: by a key, a signature, an access token or a client certificate, each ends in one Caller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from sharing import signed
from sharing.caller_refusals import AddressError, CertificateError, ProofError, SealError
from sharing.certificates import fingerprint
from sharing.clients import Client, Clients
from sharing.errors import NoKeyError, UnavailableError, WrongKeyError
from sharing.ingest_gate import Nonces
from sharing.keys import Key, Keys, digest
from sharing.proxies import Trust
from sharing.shown import Shown
from sharing.tokens import Tokens
from warehouse.errors import WarehouseError

CHECK_SECONDS: Final = 1.0  # how long another process's revocation may go unnoticed
MOST_KNOWN: Final = 20_000  # keys and tokens remembered for that long
FORWARDED, PROXY_SECRET = b"x-forwarded-for", b"x-proxy-secret"
TOKEN_START = "eyJ"  # noqa: S105 how every JWT begins, and no key
Proof = Literal["key", "signature", "token", "certificate"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the department, its application (of a key without one its label), the key, and how it was proven."""

    department: str
    client: str
    key_id: int | None
    proof: Proof
    client_id: int | None = None

    @property
    def who(self) -> str:
        """As records of acts name them."""
        return f"key:{self.key_id}" if self.key_id is not None else f"client:{self.client_id}"


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    until: float
    client: Client | None = None
    secret: str = ""


class Callers:
    """Finds out who calls; what it found counts for CHECK_SECONDS, its end is looked at each time."""

    def __init__(self, engine: sa.Engine, secret: bytes, nonces: Path, trust: Trust) -> None:
        self.keys, self.clients, self.trust = Keys(engine), Clients(engine), trust
        self.tokens = Tokens(secret, trust.issuer)
        self._secret, self._nonces, self._sm3 = secret, Nonces(nonces), signed.knows_sm3()
        self._known: dict[str, tuple[_Known, float]] = {}
        self._looking: dict[str, asyncio.Future[_Known | None]] = {}
        named = {*signed.HEADERS, FORWARDED, PROXY_SECRET, trust.certificate_header or FORWARDED}
        self.headers: Final = frozenset(named)  # those that `of` looks at, lower case

    def forget(self) -> None:
        """Ask the state database again about everybody from the next call on."""
        self._known.clear()
        self._looking.clear()  # what is being looked up now may be what was before

    async def of(self, shown: Shown) -> Caller:
        """Who sent the request. NoKeyError, WrongKeyError, SealError, CertificateError, ProofError, AddressError;
        UnavailableError while the state database is silent.
        """
        certificate = self._certificate(shown) if self.trust.certificate_header is not None else None
        if shown.key:
            known = self._fresh(digest(shown.key)) or await (
                self._by_token if shown.key.startswith(TOKEN_START) else self._by_key
            )(shown.key)
        elif signed.KEY_ID in shown.headers:
            known = await self._by_signature(shown)
        elif certificate:
            known = await self._by_certificate(certificate)
        else:
            raise NoKeyError.of()
        if known.client is not None:
            self.admit(known.client, known.caller.proof, shown)
        return known.caller

    def admit(self, client: Client, proof: Proof, shown: Shown) -> None:
        """ProofError, AddressError: the application does not prove itself so, or is not called from there."""
        if proof not in client.proofs:
            raise ProofError.of(client.proofs)
        if client.networks:
            address = self.trust.origin(shown.peer, shown.headers.get(FORWARDED))
            if not client.reached_from(address):
                raise AddressError.of(str(address or "-"))

    def _certificate(self, shown: Shown) -> str | None:
        """What our proxy says of a certificate; nobody else may say anything."""
        name = self.trust.certificate_header
        written = shown.headers.get(name) if name is not None else None
        if not written:
            return None
        if not self.trust.vouched(shown.peer, shown.headers.get(PROXY_SECRET)):
            raise CertificateError.elsewhere()
        return written.decode("latin-1")

    async def _by_key(self, key: str) -> _Known:
        digested = digest(key)
        found = await self._look(digested, lambda: self._holder(self.keys.find(digested), "key"))
        if found is None:
            raise WrongKeyError.of()
        return found

    async def _by_token(self, token: str) -> _Known:
        def find() -> _Known | None:
            claims = self.tokens.read(token)
            held = self.keys.numbered(claims.key) if claims is not None else None
            if claims is None or held is None or held[0].client != claims.client:
                return None
            return self._holder(held[0], "token", claims.until)

        found = await self._look(digest(token), find)
        if found is None:
            raise WrongKeyError.of()
        return found

    async def _by_signature(self, shown: Shown) -> _Known:
        call = signed.SignedCall.of(shown.headers, time.time(), sm3=self._sm3)

        def find() -> _Known | None:
            held = self.keys.numbered(call.key_id)
            if held is None:
                return None
            return self._holder(held[0], "signature", secret=signed.signing_secret(self._secret, held[1]))

        found = await self._look(f"signed:{call.key_id}", find)
        body = await shown.body()
        # An unknown key costs what a known one does, and is answered like a wrong signature.
        secret = found.secret if found is not None else signed.signing_secret(self._secret, "")
        call.check(secret, shown.method, shown.path, shown.query, body)
        if found is None:
            raise SealError.wrong()
        try:
            await asyncio.to_thread(call.use, self._nonces)
        except OSError as error:
            raise UnavailableError.state() from error
        return found

    async def _by_certificate(self, written: str) -> _Known:
        mark = fingerprint(written, datetime.now(UTC))

        def find() -> _Known | None:
            client = self.clients.showing(mark)
            if client is None or client.disabled_at is not None:
                return None
            caller = Caller(client.department, client.name, None, "certificate", client.id)
            return _Known(caller, float("inf"), client)

        found = await self._look(f"certificate:{mark}", find)
        if found is None:
            raise CertificateError.unusable()
        return found

    def _fresh(self, name: str) -> _Known | None:
        held = self._known.get(name)
        if held is None or time.monotonic() - held[1] >= CHECK_SECONDS or time.time() >= held[0].until:
            return None
        return held[0]

    async def _look(self, name: str, find: Callable[[], _Known | None]) -> _Known | None:
        """What is known under the name, of the last second or looked up; None for whom it has ended too."""
        now, held = time.monotonic(), self._known.get(name)
        if held is not None and now - held[1] < CHECK_SECONDS:
            return held[0] if time.time() < held[0].until else None
        looking = under_way = self._looking.get(name)  # one look serves all calls that wait for it
        if looking is None:
            looking = self._looking[name] = asyncio.ensure_future(asyncio.to_thread(find))
            looking.add_done_callback(partial(self._looked, name, now))
        try:
            found = await asyncio.shield(looking)
            if found is None and under_way is not None:
                found = await asyncio.to_thread(find)  # whom another call did not find may have come since
        except (SQLAlchemyError, WarehouseError) as error:
            raise UnavailableError.state() from error
        return found if found is not None and time.time() < found.until else None

    def _looked(self, name: str, since: float, looking: asyncio.Future[_Known | None]) -> None:
        """Remember what a look found, unless everybody was to be forgotten while it went on."""
        if self._looking.get(name) is not looking:
            return
        del self._looking[name]
        found = None if looking.cancelled() or looking.exception() is not None else looking.result()
        if found is None or time.time() >= found.until:
            self._known.pop(name, None)
            return
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[name] = (found, since)

    def _holder(self, key: Key | None, proof: Proof, until: float = float("inf"), secret: str = "") -> _Known | None:
        """Whoever holds a key that is alive, with an application that is not shut off; its day of use is noted."""
        now = datetime.now(UTC)
        if key is None or not key.alive(now):
            return None
        client = self.clients.get(key.client) if key.client is not None else None
        if key.client is not None and (client is None or client.disabled_at is not None):
            return None
        if key.expires_at is not None:
            until = min(until, datetime.fromisoformat(key.expires_at).timestamp())
        today = now.date().isoformat()
        if key.last_used is None or key.last_used < today:
            with suppress(SQLAlchemyError, WarehouseError):  # who may call does not hang on it
                self.keys.used(key, today)
        name = client.name if client is not None else key.label
        return _Known(Caller(key.department, name, key.id, proof, key.client), until, client, secret)
