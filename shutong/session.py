"""What every command shares: settings, voice, and turning our errors into an exit code a script can read."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Concatenate, ParamSpec

import click

from runs.errors import RunError
from schemas.errors import ShutongError
from shutong.printing import Voice
from shutong.settings import Settings, language, read

P = ParamSpec("P")
# Exit codes: an error that was explained; a batch that waits for a decision; Ctrl-C, as shells count it.
FAILED, HELD, INTERRUPTED = 1, 3, 130


@dataclass(frozen=True, slots=True)
class Session:
    """The settings, and how to speak."""

    settings: Settings
    voice: Voice


def command(act: Callable[Concatenate[Session, P], int | None]) -> Callable[P, None]:
    """Give a command its Session and --json; an error, or a file it names that cannot be, is told and exits with 1."""

    @click.option("--json", "as_json", is_flag=True, help="输出 JSON | print JSON")
    @wraps(act)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        voice = Voice(language(), as_json=bool(kwargs.pop("as_json")))
        try:
            code = act(Session(read(), voice), *args, **kwargs)
        except ShutongError as error:
            voice.error(error)
            code = FAILED
        except OSError as error:
            named = {one.parent for one in kwargs.values() if isinstance(one, Path)}
            if error.filename is None or Path(str(error.filename)).parent not in named:
                raise
            voice.error(_no_file(error))
            code = FAILED
        except KeyboardInterrupt:
            voice.error(_stopped())
            code = INTERRUPTED
        sys.exit(code or 0)

    return run


@contextmanager
def stoppable(*, as_json: bool) -> Iterator[None]:
    """While libraries are imported Ctrl-C ends the process at once and says so; nothing has been begun by then.

    An exception would not do: where a library's own start is interrupted, it comes out as any other error.
    """
    first = threading.current_thread() is threading.main_thread()
    if not first or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    voice = Voice(language(), as_json=as_json)

    def leave(_number: int, _frame: FrameType | None) -> None:
        voice.error(_stopped())
        sys.stdout.flush()
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _no_file(error: OSError) -> RunError:
    """A file that was named on the command line cannot be opened or written."""
    return RunError(
        "RUN-EXPORT-FILE",
        zh=f"不能读写 {error.filename}（{error.strerror}）",
        en=f"cannot read or write {error.filename} ({error.strerror})",
        fix_zh="写明已有、有权限且未满的文件夹中的文件",
        fix_en="Name a file in a folder that is there, that you may use and that is not full",
    )


def _stopped() -> RunError:
    """Somebody pressed Ctrl-C."""
    return RunError(
        "RUN-STOPPED",
        zh="已按 Ctrl-C 中断",
        en="stopped by Ctrl-C",
        fix_zh="已确认的内容不受影响，写了一半的不会计入；再次执行同一命令即从断点继续",
        fix_en="What counts is safe and nothing is half there; the same command again goes on from here",
    )
