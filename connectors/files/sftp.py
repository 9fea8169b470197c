"""Files on an SFTP server whose host key is known beforehand."""

from __future__ import annotations

import asyncio
import contextlib
import io
import posixpath
import stat
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar, cast

from connectors.errors import SourceError
from connectors.files.place import Found, decoded, gone, missing, no_file, no_folder, unreadable
from connectors.files.place_ahead import Ahead
from connectors.files.sftp_login import Login, as_os_error, connected, explained, login
from connectors.options import Options, Secrets
from schemas.values import Check

if TYPE_CHECKING:
    import asyncssh

OPTIONS = ("host", "port", "user", "password_secret", "key_secret", "known_host", "known_hosts", "folder", "timeout")
_REQUESTS = 32  # reads of 64 KiB or so under way at once for one block
_PARTING = 5.0  # seconds for the server to see that we leave
T = TypeVar("T")


def open_sftp(options: Options, folder: str, secrets: Secrets) -> SftpPlace:
    """The place that `connection.sftp` and `folder` describe; connects when it is first used."""
    return SftpPlace(login(options, secrets), posixpath.join(options.text("folder", "."), folder))


class SftpPlace:
    """The files under one folder of an SFTP server; one connection, made on first use, in a thread of its own."""

    def __init__(self, who: Login, top: str) -> None:
        self._login, self._top = who, posixpath.normpath(top)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._odd: dict[str, bytes] = {}  # names that are no UTF-8 over there → as the server wants them

    def path(self, name: str) -> str:
        """The file as an sftp:// address without the account."""
        whole = posixpath.join(self._top, name) if name else self._top
        return f"sftp://{self._login.host}:{self._login.port}/{whole.lstrip('/')}"

    def _remote(self, name: str) -> bytes:
        under = self._odd.get(name, name.encode("utf-8", "surrogateescape"))
        return posixpath.join(self._top.encode(), under) if under else self._top.encode()

    # waiting for the thread

    def _run(self, work: Coroutine[None, None, T], *, patient: bool = False) -> T:
        """The outcome of `work` in the connection's thread; `patient` work watches the clock itself."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_turning, args=(self._loop,), name="shutong-sftp", daemon=True)
            self._thread.start()
        return self._outcome(asyncio.run_coroutine_threadsafe(work, self._loop), patient=patient)

    def _outcome(self, future: Future[T], *, patient: bool = False) -> T:
        try:
            return future.result(None if patient else self._login.timeout)
        except TimeoutError:
            future.cancel()
            raise

    def _ask(self, work: Coroutine[None, None, T], name: str) -> T:
        """The outcome of `work` about the file called `name`; what fails is our error."""
        try:
            return self._run(work)
        except (Exception, asyncio.CancelledError) as error:
            raise self._explained(error, name) from error

    def _explained(self, error: BaseException, name: str) -> SourceError:
        if isinstance(error, SourceError):
            return error
        return explained(error, self._login) or unreadable(self.path(name), as_os_error(error))

    async def _sftp(self) -> asyncssh.SFTPClient:
        if self._client is None:
            self._connection = await connected(self._login)
            self._client = await self._connection.start_sftp_client(path_encoding=None)
        return self._client

    # the place

    def listing(self, folder: str, *, deep: bool) -> Iterator[Found]:
        """The regular files of a folder; links are followed, each folder is entered once."""
        left, entered = [folder], set[bytes]()
        while left:
            here = left.pop()
            try:
                # A folder may hold very many files: each answer of the server is waited for, not all of them together.
                entries = self._run(self._entries(self._remote(here), entered if deep else None), patient=True)
            except (Exception, asyncio.CancelledError) as error:
                raise self._no_folder(here, error) from error
            for raw, facts in entries:
                name = posixpath.join(here, decoded(raw)) if here else decoded(raw)
                if not raw.isascii():
                    self._odd[name] = posixpath.join(self._odd.get(here, here.encode()), raw)
                if facts is not None and stat.S_ISDIR(facts.permissions or 0):
                    left += [name] if deep else []
                elif facts is not None:
                    yield _found(name, facts)

    async def _entries(
        self, folder: bytes, entered: set[bytes] | None = None
    ) -> list[tuple[bytes, asyncssh.SFTPAttrs | None]]:
        """The names in a folder with their facts; none for what is neither file nor folder.

        A folder among `entered` counts as empty, and is among them afterwards.
        """
        import asyncssh

        found: list[tuple[bytes, asyncssh.SFTPAttrs | None]] = []
        async with asyncio.timeout(None) as patience:
            loop = asyncio.get_running_loop()
            patience.reschedule(loop.time() + self._login.timeout)
            client = await self._sftp()
            if entered is not None:
                real = await client.realpath(folder)
                if real in entered:
                    return []
                entered.add(real)
            async for entry in client.scandir(folder):
                patience.reschedule(loop.time() + self._login.timeout)
                name, facts = entry.filename, entry.attrs
                if not isinstance(name, bytes) or name in (b".", b".."):
                    continue
                mode = facts.permissions or 0
                if stat.S_ISLNK(mode):
                    try:
                        facts = await client.stat(posixpath.join(folder, name))
                    except asyncssh.SFTPError:
                        continue
                    mode = facts.permissions or 0
                # Some servers on Windows say nothing of the kind of a file.
                plain = not mode or stat.S_ISREG(mode) or stat.S_ISDIR(mode)
                found.append((name, facts if plain else None))
        return found

    def _no_folder(self, folder: str, error: BaseException) -> SourceError:
        told = self._explained(error, folder)
        if not isinstance(as_os_error(error), FileNotFoundError | NotADirectoryError):
            return told
        facts = self._facts(folder)
        return self.absent(folder) if facts is None else no_folder(self.path(folder))

    def _facts(self, name: str) -> asyncssh.SFTPAttrs | None:
        async def asked() -> asyncssh.SFTPAttrs:
            client = await self._sftp()
            return await client.stat(self._remote(name))

        try:
            return self._run(asked())
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(as_os_error(error), FileNotFoundError | NotADirectoryError):
                return None
            raise self._explained(error, name) from error

    def stat(self, name: str) -> Found | None:
        """The file called `name`; SRC-FILE-FOLDER when that is a folder."""
        facts = self._facts(name)
        if facts is None and not name.isascii() and name not in self._odd:
            # Written by an old program: the same name in the bytes of Chinese Windows.
            self._odd[name] = name.encode("gb18030")
            facts = self._facts(name)
        if facts is None:
            self._odd.pop(name, None)
            return None
        if stat.S_ISDIR(facts.permissions or 0):
            raise no_file(self.path(name))
        return _found(name, facts)

    def absent(self, name: str) -> SourceError:
        """SRC-FILE-MISSING with what the nearest folder that exists holds."""
        parent = posixpath.dirname(posixpath.join(self._top, name))
        names: list[str] = []
        while parent not in ("", "/", "."):
            with contextlib.suppress(Exception):
                names = [decoded(raw) for raw, _ in self._run(self._entries(parent.encode()))]
                break
            parent = posixpath.dirname(parent)
        top = self.path("").rstrip("/")
        shown = top.removesuffix(self._top.strip("/")) + parent.strip("/")
        return missing(self.path(name), shown, names)

    def open(self, name: str) -> io.RawIOBase:
        """The file's bytes, forwards, read ahead."""

        async def opening() -> tuple[asyncssh.SFTPClientFile, int]:
            client = await self._sftp()
            file = await client.open(self._remote(name), "rb", max_requests=_REQUESTS)
            return file, (await file.stat()).size or 0

        async def reading(offset: int, size: int) -> bytes:
            return cast("bytes", await file.read(size, offset))

        file, whole = self._ask(opening(), name)

        def ask(offset: int, size: int) -> Future[bytes]:
            if self._loop is None:
                raise gone(self.path(name))
            return asyncio.run_coroutine_threadsafe(reading(offset, size), self._loop)

        def got(future: Future[bytes]) -> bytes:
            try:
                return self._outcome(future)
            except (Exception, asyncio.CancelledError) as error:
                raise self._explained(error, name) from error

        def release() -> None:
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(_quietly(file.close()), self._loop)

        return Ahead(whole, ask, got, release=release)

    def check(self) -> list[Check]:
        """Whether the server answers, is the one expected, and lets us in."""
        where = f"{self._login.host}:{self._login.port}"
        try:
            self._ask(self._sftp(), "")
        except SourceError as error:
            return [Check("login", ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")]
        user = self._login.user
        return [Check("login", ok=True, zh=f"已登录 {where}（{user}）", en=f"logged in to {where} as {user}")]

    def close(self) -> None:
        """End the connection and its thread; may be called twice."""
        loop, self._loop = self._loop, None
        connection, self._connection, self._client = self._connection, None, None
        if loop is None:
            return
        parting = asyncio.run_coroutine_threadsafe(_ended(connection), loop)
        parting.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
        if self._thread is not None:
            self._thread.join(_PARTING + 1)


def _turning(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, and leave nothing of it behind."""
    try:
        loop.run_forever()
        loop.run_until_complete(_dropped())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _dropped() -> None:
    """End what is still under way."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _quietly(work: Coroutine[None, None, None]) -> None:
    with contextlib.suppress(Exception):
        await work


async def _ended(connection: asyncssh.SSHClientConnection | None) -> None:
    if connection is not None:
        connection.abort()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(connection.wait_closed(), _PARTING)


def _found(name: str, facts: asyncssh.SFTPAttrs) -> Found:
    return Found(name, facts.size or 0, (facts.mtime or 0) * 1_000_000_000 + (facts.mtime_ns or 0))
