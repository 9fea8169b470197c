"""Passwords that are guessed first are refused; hashes tell nothing, and are made anew when they are out of date."""

from __future__ import annotations

import threading

import pytest
from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st

from sharing.passwords import AT_ONCE, SHORTEST, Passwords, refuse_weak
from sharing.people_refusals import WeakPasswordError

NAMES = ("zhang.wei", "张伟", "Zhang Wei", "scjg", "zhang_wei88", "shutong", "数通")
CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


def judged(password: str) -> str:
    try:
        refuse_weak(password, NAMES)
    except WeakPasswordError as error:
        return error.code.rpartition("-")[2]
    return "ok"


@pytest.mark.parametrize(
    ("password", "verdict"),
    [
        ("eleven char", "LENGTH"), ("x" * 129, "LENGTH"), ("aaaaaaaaaaaaaaaa", "PLAIN"), ("123456789012", "PLAIN"),
        ("abcdefghijklmnop", "PLAIN"), ("abababababab", "PLAIN"), ("P@ssw0rd2026!!", "OFTEN"),
        ("passwordpassword", "OFTEN"), ("Admin@123456!", "OFTEN"), ("ｐａｓｓｗｏｒｄ２０２６", "OFTEN"),
        ("iloveyou5201314", "OFTEN"), ("Woaini1314520", "OFTEN"), ("Zhang.2026-spring", "NAME"),
        ("我是张伟不是别人家的孩子啊", "NAME"), ("SCJG-blue-lamp", "NAME"), ("Shutong-gate-1", "NAME"),
        ("correct horse battery", "ok"), ("沉舟侧畔千帆过病树前头", "LENGTH"), ("沉舟侧畔千帆过病树前头春", "ok"),
        ("𠮷野家的牛肉饭真好吃呀对吧", "ok"), ("9f8d7a6s5g4h", "ok"),
    ],
)  # fmt: skip
def test_a_password_is_long_various_uncommon_and_nobodys_name(password: str, verdict: str) -> None:
    assert judged(password) == verdict


@settings(max_examples=30)
@given(st.text(max_size=200))
def test_any_text_is_judged_and_what_is_short_never_passes(password: str) -> None:
    assert judged(password) in {"ok", "LENGTH", "PLAIN", "OFTEN", "NAME"}
    if len(password) < SHORTEST // 4:  # one character may become several when spellings are made one
        assert judged(password) != "ok" or len(password) == 0


def test_a_hash_is_salted_and_holds_for_its_password_alone() -> None:
    one, two = CHEAP.hash("ｏｎｅ password"), CHEAP.hash("one password")
    assert one != two
    assert one.startswith("$argon2id$")
    assert CHEAP.verify(one, "one password")
    assert CHEAP.verify(two, "ｏｎｅ password")
    assert not CHEAP.verify(one, "another")
    assert not CHEAP.verify(None, "a password that nobody has")
    assert not CHEAP.verify("no hash at all", "one password")
    assert not CHEAP.verify(one, "one password" + "x" * 200)


def test_the_parameters_of_a_deployment_are_those_of_today() -> None:
    made = Passwords()
    assert "m=19456,t=2,p=1" in made.hash("one password")
    assert made.outdated(CHEAP.hash("one password"))
    assert not made.outdated(made.hash("one password"))


def test_a_flood_of_log_ins_is_worked_on_two_at_a_time() -> None:
    at_work, most, lock = 0, 0, threading.Lock()

    class Slow(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            nonlocal at_work, most
            with lock:
                at_work += 1
                most = max(most, at_work)
            made = super().hash(password, salt=salt)
            with lock:
                at_work -= 1
            return made

    passwords = Passwords(Slow(time_cost=1, memory_cost=1024, parallelism=1))
    crowd = [threading.Thread(target=passwords.hash, args=("one password",)) for _ in range(12)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert most <= AT_ONCE
