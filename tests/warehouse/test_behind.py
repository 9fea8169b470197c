"""Work done behind the caller's back comes in order, and an error of it is not lost."""

from __future__ import annotations

from functools import partial

import pytest

from warehouse.behind import Behind


def test_work_is_done_in_order_and_waited_for():
    done: list[int] = []
    behind = Behind("test")
    for number in range(20):
        behind.do(partial(done.append, number))
    behind.wait()
    behind.stop()
    assert done == list(range(20))


def test_an_error_comes_out_at_every_later_call_and_nothing_after_it_is_done():
    done: list[int] = []

    def broken() -> None:
        raise OSError(28, "no space left")

    behind = Behind("test")
    behind.do(broken)
    with pytest.raises(OSError, match="no space left"):
        behind.wait()
    for again in (partial(behind.do, partial(done.append, 2)), behind.wait):
        with pytest.raises(OSError, match="no space left"):
            again()
    behind.stop()
    assert done == []
