"""Applications and their keys from the command line: registered, restricted, rotated, shut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sharing.signed import signing_secret
from shutong.cli import main
from shutong.layout import init
from shutong.settings import SettingError, read
from shutong.trusting import sharing_secret, trust_of


def run(home: Path, *arguments: str, lang: str = "en") -> Result:
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": ""}
    result = CliRunner().invoke(main, arguments, env=said)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(home: Path, *arguments: str, code: int = 0):
    result = run(home, *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("clients") / "home"
    init(made, "enterprises")
    return made


def test_an_application_is_registered_restricted_and_shut_off(home):
    made = told(home, "client", "add", "报税大厅", "--as", "swj", "--from", "10.2.0.0/16")["client"]
    number = str(made["id"])
    assert (made["networks"], made["proofs"]) == (["10.2.0.0/16"], ["key", "signature", "token", "certificate"])
    assert told(home, "client", "add", "报税大厅", "--as", "swj", code=1)["error"]["code"] == "SYS-CLIENT-EXISTS"
    changed = told(home, "client", "change", number, "--proof", "signature")["client"]
    assert (changed["networks"], changed["proofs"]) == (["10.2.0.0/16"], ["signature"])
    assert told(home, "client", "change", number, "--anywhere")["client"]["networks"] == []
    assert told(home, "client", "change", number, "--from", "x", code=1)["error"]["code"] == "SYS-NETWORK"
    assert told(home, "client", "disable", number)["client"]["disabled_at"]
    assert told(home, "client", "enable", number)["client"]["disabled_at"] is None
    assert told(home, "client", "disable", "999", code=1)["error"]["code"] == "SYS-CLIENT"
    assert "报税大厅" in run(home, "client", "list").output
    assert "网段" in run(home, "client", "list", lang="zh").output


def test_a_key_is_issued_for_an_application_and_rotated(home):
    client = told(home, "client", "add", "counter", "--as", "swj")["client"]
    made = told(home, "key", "issue", "--as", "swj", "--client", "counter")
    assert made["client"] == client["id"]
    found = told(home, "key", "rotate", str(made["id"]), "--overlap", "12h")
    assert found["key"] != made["key"]
    listed = {one["id"]: one for one in told(home, "key", "list")["keys"]}
    assert (listed[made["id"]]["ends_soon"], listed[found["id"]]["ends_soon"]) == (True, False)
    assert run(home, "key", "rotate", "999").exit_code == 1
    assert told(home, "key", "issue", "--as", "swj", "--client", "nobody", code=1)["error"]["code"] == "SYS-CLIENT"
    assert "X-Key-Id" in run(home, "key", "issue", "--as", "swj", "--client", "counter").output


def test_a_certificate_is_pinned_from_its_file(home):
    path = home / "none.pem"
    path.write_text("nothing", encoding="utf-8")
    wrong = told(home, "client", "add", "tls", "--as", "swj", "--certificate", str(path), code=1)
    assert wrong["error"]["code"] == "SYS-CERTIFICATE"


def test_proxies_come_from_the_settings(home):
    settings = read({"SHUTONG_HOME": str(home), "SHUTONG_API_PROXIES": "10.0.0.0/8, 127.0.0.1",
                     "SHUTONG_API_CERTIFICATE_HEADER": "X-Client-Cert", "SHUTONG_SECRET_PROXY": "between us"})  # fmt: skip
    trust = trust_of(settings)
    assert [str(one) for one in trust.proxies] == ["10.0.0.0/8", "127.0.0.1/32"]
    assert (trust.certificate_header, trust.certificate_secret) == (b"x-client-cert", b"between us")
    assert trust_of(read({"SHUTONG_HOME": str(home)})).certificate_header is None
    assert len(signing_secret(sharing_secret(settings), "x")) == 43
    for name, value in (("SHUTONG_API_PROXIES", "10.0.0.1/8"), ("SHUTONG_API_CERTIFICATE_HEADER", "a b")):
        with pytest.raises(SettingError):
            read({name: value})
