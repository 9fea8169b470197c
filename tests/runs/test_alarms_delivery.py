"""Messages reach a real mail server and a real address over HTTP, encrypted, signed, and with no secret in any log."""

from __future__ import annotations

import hmac
import logging
import socket
from pathlib import Path

import pytest
import stamina
from alarm_post import PASSWORD, USER, dripping, http_server, mail_server

from runs.alarms.mail import Mailer, MailServer
from runs.alarms.people import Person, Webhook
from runs.alarms.refusals import LineDown, NotDelivered, Refused
from runs.alarms.values import Message
from runs.alarms.webhook import Webhooks
from schemas.errors import ShutongError

SUBJECT = "[数通] 企业登记（scjg.firms）迟到，自 2026-09-01 02:00；shutong runs scjg.firms 查看原因"
MESSAGE = Message(
    7, 1, "chen", "mail", "begin", 0, SUBJECT, "资源：企业登记 𠮷\n", "d" * 32, "2026-09-01T02:00:00.000000+08:00",
    "waiting", 1, "", None, None,
)  # fmt: skip
CHEN = Person("chen", "陈", "", frozenset(), "chen@example.gov.cn", "oa", "zh", (), ())
SECRETS = {"smtp_password": PASSWORD, "oa_key": "signing key", "oa_url": ""}


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    with mail_server(tmp_path_factory.mktemp("smtp")) as found:
        yield found


@pytest.fixture
def posts():
    with http_server() as found:
        yield found


@pytest.fixture(autouse=True)
def _brisk():
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


class Known(dict):
    """Secrets by name, as a deployment has them."""

    def get(self, name):
        return self[name]


def mailer(letters, **said) -> Mailer:
    usual = {"host": "127.0.0.1", "port": letters.port, "user": USER, "ca": letters.ca, "timeout": 5.0}
    return Mailer(MailServer(**usual | {"sender": "shutong@example.gov.cn"} | said), Known(SECRETS))


def test_a_message_goes_encrypted_and_logged_in_and_arrives_as_written(letters):
    letters.taken.clear()
    sender = mailer(letters)
    sender.send(MESSAGE, CHEN)
    sender.send(MESSAGE, CHEN)
    sender.close()
    sender.close()
    first, second = letters.taken
    assert (first["Subject"], first["To"], first["From"]) == (SUBJECT, "chen@example.gov.cn", "shutong@example.gov.cn")
    assert first.get_content().replace("\r\n", "\n") == "资源：企业登记 𠮷\n"
    assert first["Message-ID"] == second["Message-ID"]  # sent twice, a mail program can tell
    assert letters.logins[-1] is True


def test_a_server_that_is_not_who_it_should_be_gets_no_password(letters):
    before = len(letters.logins)
    with pytest.raises(LineDown, match="RUN-ALARM-MAIL-DOWN"):
        mailer(letters, ca=None).send(MESSAGE, CHEN)
    assert len(letters.logins) == before


def test_a_password_never_goes_in_the_clear(letters):
    with pytest.raises(LineDown, match="RUN-ALARM-MAIL-OPEN"):
        mailer(letters, security="none").send(MESSAGE, CHEN)


def test_a_wrong_password_is_told_without_showing_it(letters):
    wrong = Mailer(MailServer("127.0.0.1", letters.port, user=USER, ca=letters.ca), Known(smtp_password="sesame"))
    with pytest.raises(LineDown) as caught:
        wrong.send(MESSAGE, CHEN)
    assert caught.value.code == "RUN-ALARM-MAIL-LOGIN"
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(("reply", "kind"), [("550 no such user", Refused), ("451 try later", NotDelivered)])
def test_an_address_that_is_refused_for_good_is_told_from_one_that_is_put_off(letters, reply, kind):
    letters.refuses["chen@example.gov.cn"] = reply
    sender = mailer(letters)
    try:
        with pytest.raises(kind) as caught:
            sender.send(MESSAGE, CHEN)
        assert type(caught.value) is kind
        letters.refuses.clear()
        sender.send(MESSAGE, CHEN)  # the line is still good
    finally:
        sender.close()
        letters.refuses.clear()


def test_a_server_without_encryption_serves_a_network_of_ones_own(tmp_path):
    with mail_server(tmp_path, security="none") as plain:
        sender = mailer(plain, security="none", user="")
        sender.send(MESSAGE, CHEN)
        sender.close()
        assert len(plain.taken) == 1
        with pytest.raises(LineDown, match="RUN-ALARM-MAIL-DOWN"):
            mailer(plain, security="starttls").send(MESSAGE, CHEN)


def test_a_dead_or_silent_mail_server_is_given_up_soon():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        for listening in (False, True):
            if listening:
                silent.listen(1)
            sender = Mailer(MailServer("127.0.0.1", port, timeout=0.3), Known())
            with pytest.raises(LineDown, match="RUN-ALARM-MAIL-DOWN"):
                sender.send(MESSAGE, CHEN)


def test_a_mail_server_that_answers_byte_by_byte_is_given_up_soon():
    with dripping(b"2") as port:
        sender = Mailer(MailServer("127.0.0.1", port, security="none", timeout=0.3), Known())
        with pytest.raises(LineDown, match="RUN-ALARM-MAIL-DOWN"):
            sender.send(MESSAGE, CHEN)
        sender.close()


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 503 No\r\nContent-Length: 99999999\r\n\r\n"])
def test_an_address_that_answers_byte_by_byte_is_given_up_soon(head):
    with dripping(b"x", head) as port:
        sender = Webhooks(
            {"oa": Webhook("oa", f"http://127.0.0.1:{port}/", None, "oa_key")}, Known(SECRETS), timeout=0.3
        )
        with pytest.raises(LineDown, match="RUN-ALARM-WEBHOOK"):
            sender.send(MESSAGE, CHEN)


def test_an_answer_without_end_is_not_read():
    with dripping(b"x" * 2**16, b"HTTP/1.1 200 Taken\r\nContent-Length: 9999999999\r\n\r\n", pause=0) as port:
        Webhooks({"oa": Webhook("oa", f"http://127.0.0.1:{port}/", None, "oa_key")}, Known(SECRETS)).send(MESSAGE, CHEN)


def hooks(url: str, at: float = 1_788_300_000.5) -> Webhooks:
    return Webhooks({"oa": Webhook("oa", None, "oa_url", "oa_key")}, Known(SECRETS | {"oa_url": url}), lambda: at)


def test_a_post_is_signed_over_time_and_body(posts):
    sender = hooks(posts.url)
    sender.send(MESSAGE, CHEN)
    sender.close()
    ((headers, body),) = posts.taken
    expected = hmac.digest(b"signing key", b"1788300000." + body, "sha256").hex()
    assert headers["X-Shutong-Timestamp"] == "1788300000"
    assert headers["X-Shutong-Signature"] == f"sha256={expected}"
    assert headers["X-Shutong-Delivery"] == "d" * 32
    (told,) = posts.bodies()
    assert (told["subject"], told["what"], told["person"]) == (SUBJECT, "begin", "chen")


@pytest.mark.parametrize("page", ["orders.md", "orders.zh-CN.md"])
def test_what_the_docs_tell_a_receiver_to_check_tells_genuine_posts_from_others(posts, page):
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    told: dict[str, object] = {}
    exec(text.split("```python")[1].split("```")[0], told)
    sender = hooks(posts.url)
    sender.send(MESSAGE, CHEN)
    sender.close()
    ((headers, body),) = posts.taken
    genuine = told["genuine"]
    assert genuine(b"signing key", headers, body, 1_788_300_010.0)
    assert not genuine(b"signing key", headers, body + b" ", 1_788_300_010.0)
    assert not genuine(b"another key", headers, body, 1_788_300_010.0)
    assert not genuine(b"signing key", headers, body, 1_788_400_000.0)


def test_an_answer_that_may_pass_is_asked_again_with_a_signature_of_its_own(posts):
    posts.answers = [503, 429]
    times = iter((100.0, 101.0, 102.0))
    sender = Webhooks({"oa": Webhook("oa", posts.url, None, "oa_key")}, Known(SECRETS), lambda: next(times))
    sender.send(MESSAGE, CHEN)
    sender.close()
    assert [headers["X-Shutong-Timestamp"] for headers, _ in posts.taken] == ["100", "101", "102"]
    assert len({headers["X-Shutong-Signature"] for headers, _ in posts.taken}) == 3


@pytest.mark.parametrize(("answers", "asked"), [([500, 500, 500], 3), ([403], 1), ([302], 1)])
def test_an_address_that_takes_nothing_is_told_without_its_token(posts, caplog, answers, asked):
    posts.answers = list(answers)
    sender = hooks(posts.url)
    with caplog.at_level(logging.INFO), pytest.raises(LineDown) as caught:
        sender.send(MESSAGE, CHEN)
    sender.close()
    assert len(posts.taken) == asked
    assert caught.value.code == "RUN-ALARM-WEBHOOK"
    for secret in ("sesame", "signing key"):
        assert secret not in str(caught.value)
        assert secret not in caplog.text


def test_a_missing_secret_is_told_by_its_name():
    with pytest.raises(ShutongError, match="oa_key"):
        Webhooks({"oa": Webhook("oa", "http://127.0.0.1:9/", None, "oa_key")}, Known()).send(MESSAGE, CHEN)
